"""The admin of runs, tasks, attempts and workers: it looks, and acts through the lifecycle alone.

No list counts its table, and none is searched or ordered without an index.
"""

import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.contrib import admin, messages
from django.contrib.admin import helpers
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import BadRequest
from django.core.paginator import Paginator
from django.db import DataError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse  # noqa: TID251 - the admin speaks HTTP
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.functional import cached_property
from django.utils.html import format_html

from runs import lifecycle, reports, uploads
from runs.admin_orders import ORDERS, Order
from runs.errors import Conflict, NotFound
from runs.filters import RunFilter, uuid_bounds
from runs.models import Attempt, Run, Task, Worker, task_id
from runs.wording import percentage, tasks

FARTHEST = 1_000
"""Rows that a list can be paged through; what lies beyond is found by searching.

So many runs at most are acted on at once: as many as the list offers to select.
"""
SHOWN = 50
"""Runs that the question about an action names."""
TOLD = 10
"""Runs of which is said why they were passed over."""

if TYPE_CHECKING:  # generic for the type checker alone
    AnyAdmin = admin.ModelAdmin[Any]
    AnyPaginator = Paginator[Any]
else:
    AnyAdmin = admin.ModelAdmin
    AnyPaginator = Paginator

admin.site.site_header = admin.site.site_title = "Taskfarm"
admin.site.index_title = "Accounts and runs"


class BoundedPaginator(AnyPaginator):
    """A paginator that looks no further than ``FARTHEST`` rows: ten million are never counted."""

    @cached_property
    def count(self) -> int:
        """How many rows there are, or ``FARTHEST`` where there are more."""
        rows: Any = self.object_list
        return len(rows.order_by().values_list("pk")[:FARTHEST])


def run_and_number(term: str) -> tuple[UUID, int | None] | None:
    """Understand ``UUID`` or ``UUID NUMBER``; None for anything else."""
    first, _, rest = term.strip().partition(" ")
    if len(first.replace("-", "")) != 32 or uuid_bounds(first) is None:
        return None
    rest = rest.strip()
    number = int(rest) if rest.isascii() and rest.isdigit() and len(rest) < 10 else None
    return None if rest and number is None else (UUID(hex=first), number)


class CarefulChangeList(ChangeList):
    """A list that shows all its rows where its address asks for what no database can compare."""

    def get_results(self, request: HttpRequest) -> None:
        """Look the rows up."""
        try:
            super().get_results(request)
        except (DataError, OverflowError, ValueError) as error:
            raise IncorrectLookupParameters(error) from error


ID = re.compile(r"[0-9]{1,18}")


def check_ids(request: HttpRequest, *names: str, empty: bool = False) -> None:
    """Refuse what can be no id; Django would look for it, and fail. ``empty``: none is fine, too.

    Raises:
        BadRequest: a posted field of one of these names is none.
    """
    for name in names:
        for value in request.POST.getlist(name):
            if not (ID.fullmatch(value) or (empty and not value)):
                raise BadRequest(f"{name}={value[:40]!r} is no id")


class ReadOnlyAdmin(AnyAdmin):
    """Rows that the farm itself writes: to be seen, never to be edited."""

    paginator = BoundedPaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    list_per_page = 50
    list_max_show_all = 0
    sortable_by = ()
    actions = None

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        """The list."""
        return CarefulChangeList

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Nobody."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody."""
        return False


class OfARunAdmin(ReadOnlyAdmin):
    """Tasks and attempts: the newest rows, or those of a run by number."""

    search_fields = ("run__uuid",)  # shows the search box; the search itself is below
    search_help_text = "The UUID of a run, or that and the number of a task: UUID NUMBER"
    list_select_related = ("run", "worker")
    by_number: tuple[str, ...] = ()

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        """Within a run by number, else the newest first: each of them is an index."""
        return self.by_number if request.GET.get("q", "").strip() else ("-id",)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """The rows of a run, or of one task of it; none for words that mean neither."""
        if not search_term.strip():
            return queryset, False
        found = run_and_number(search_term)
        run = Run.objects.filter(uuid=found[0]).first() if found else None
        if found is None or run is None:
            return queryset.none(), False
        return self.of_numbers(queryset, run, found[1]), False

    def of_numbers(self, rows: QuerySet[Any], run: Run, number: int | None) -> QuerySet[Any]:
        """The rows of one task of a run, or of all."""
        narrowed = rows.filter(run=run)
        return narrowed if number is None else narrowed.filter(number=number)


@admin.register(Task)
class TaskAdmin(OfARunAdmin):
    """Tasks."""

    by_number = ("id",)

    def of_numbers(self, rows: QuerySet[Any], run: Run, number: int | None) -> QuerySet[Any]:
        """One task of a run, or all: by id, which is what tasks are found by."""
        if number is not None:
            return rows.filter(id=task_id(run.id, number))
        return rows.filter(id__range=(task_id(run.id, 0), task_id(run.id + 1, 0) - 1))

    list_display = ("number", "run", "state", "percent", "attempt", "worker", "started", "updated")
    fields = ("run", "number", "state", "percent", "attempt", "worker", "started", "updated")


@admin.register(Attempt)
class AttemptAdmin(OfARunAdmin):
    """Attempts."""

    list_display = ("number", "attempt", "run", "outcome", "worker", "started", "ended")
    fields = (
        "run", "number", "attempt", "outcome", "worker", "started", "ended", "exit_code",
        "fingerprint", "error", "output", "log_tail",
    )  # fmt: skip
    by_number = ("run", "number", "attempt")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Attempt]:
        """Without the wide columns where only a list is shown."""
        attempts = super().get_queryset(request)
        match = request.resolver_match
        listing = match is not None and str(match.url_name).endswith("_changelist")
        return attempts.defer("output", "error", "log_tail") if listing else attempts


@admin.register(Worker)
class WorkerAdmin(ReadOnlyAdmin):
    """Workers."""

    list_display = ("hostname", "pid", "owner", "uuid", "heartbeat", "started", "last_seen")
    fields = ("uuid", "owner", "hostname", "pid", "labels", "heartbeat", "started", "last_seen")
    list_select_related = ("owner",)
    ordering = ("-id",)
    search_fields = ("uuid",)
    search_help_text = "The UUID of a worker, or the name of its owner"

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Worker], search_term: str
    ) -> tuple[QuerySet[Worker], bool]:
        """The worker with this UUID, or the workers of this user."""
        term = search_term.strip()
        if not term:
            return queryset, False
        found = run_and_number(term)
        if found is not None and found[1] is None:
            return queryset.filter(uuid=found[0]), False
        return queryset.filter(owner__username=term), False


class RunChangeList(CarefulChangeList):
    """The list of runs, each beside its counts: two queries for the whole page."""

    def get_results(self, request: HttpRequest) -> None:
        """Look the counts up for the runs that are shown."""
        super().get_results(request)
        runs = list(self.result_list)
        progress = reports.progress_of(runs)
        for run in runs:
            run.progress = progress[run.id]
        self.result_list = runs


@admin.register(Run)
class RunAdmin(AnyAdmin):
    """Runs: what people call them may be edited; their tasks move through the lifecycle alone."""

    paginator = BoundedPaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    list_per_page = 50
    list_max_show_all = 0
    sortable_by = ()
    ordering = ("-id",)
    list_display = (
        "title", "namespace", "owner", "shown_state", "num_tasks", "percent", "waiting",
        "computing", "done", "failed", "moved",
    )  # fmt: skip
    list_select_related = ("owner", "group")
    search_fields = ("uuid",)
    search_help_text = "Words of the name or namespace, or the start of the UUID"
    autocomplete_fields = ("owner", "group")
    actions = ("pause", "resume", "restart_unfinished", "restart_all", "cancel", "delete_selected")
    readonly_fields = (
        "uuid", "shown_state", "num_tasks", "percent", "waiting", "computing", "done", "failed",
        "cancelled", "stale", "created", "started", "moved", "page",
    )  # fmt: skip
    fieldsets = (
        (None, {"fields": ("name", "namespace", "description", "owner", "group")}),
        ("Tasks", {"fields": ("page", "uuid", "shown_state", "percent", "num_tasks", "waiting",
                              "computing", "done", "failed", "cancelled", "stale")}),
        ("Times", {"fields": ("created", "started", "moved")}),
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[Run]:
        """Without the runs that are on their way out."""
        return Run.objects.kept()

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        """The list that looks up the counts of a page at once."""
        return RunChangeList

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Run], search_term: str
    ) -> tuple[QuerySet[Run], bool]:
        """The search of the pages and the API."""
        return RunFilter({"search": search_term.strip()}, queryset=queryset).qs, False

    def changelist_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """The list, and what is asked of the runs that are ticked."""
        check_ids(request, helpers.ACTION_CHECKBOX_NAME)
        return super().changelist_view(request, *args, **kwargs)

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """One run."""
        check_ids(request, *self.autocomplete_fields, empty=True)
        return super().changeform_view(request, *args, **kwargs)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Runs are created on the pages, by the API or by a command."""
        return False

    def save_model(self, request: HttpRequest, obj: Run, form: Any, change: Any) -> None:
        """Write the edited fields alone: workers change the others meanwhile."""
        obj.save(update_fields=form.changed_data)

    def delete_model(self, request: HttpRequest, obj: Run) -> None:
        """Delete the run with all that belongs to it."""
        lifecycle.delete_run(run=obj)

    def get_deleted_objects(
        self, objs: Any, request: HttpRequest
    ) -> tuple[list[Any], dict[Any, Any], set[Any], list[Any]]:
        """Say how many tasks would go, without listing them."""
        runs = list(objs)
        lines = [f"{run.title} ({run.uuid.hex}): {tasks(run.num_tasks)}" for run in runs]
        counts = {"runs": len(runs), "tasks": sum(run.num_tasks for run in runs)}
        allowed = self.has_delete_permission(request)
        return lines, counts, set() if allowed else {"run"}, []

    @admin.action(description="Pause", permissions=["change"])
    def pause(self, request: HttpRequest, queryset: QuerySet[Run]) -> HttpResponse | None:
        """Ask, then hand out nothing more."""
        return self._ask_then_act(request, queryset, "pause")

    @admin.action(description="Resume", permissions=["change"])
    def resume(self, request: HttpRequest, queryset: QuerySet[Run]) -> HttpResponse | None:
        """Ask, then hand out again."""
        return self._ask_then_act(request, queryset, "resume")

    @admin.action(description="Restart unfinished tasks", permissions=["change"])
    def restart_unfinished(
        self, request: HttpRequest, queryset: QuerySet[Run]
    ) -> HttpResponse | None:
        """Ask, then restart what is not done."""
        return self._ask_then_act(request, queryset, "restart_unfinished")

    @admin.action(description="Restart all tasks", permissions=["change"])
    def restart_all(self, request: HttpRequest, queryset: QuerySet[Run]) -> HttpResponse | None:
        """Ask, then restart everything."""
        return self._ask_then_act(request, queryset, "restart_all")

    @admin.action(description="Cancel", permissions=["change"])
    def cancel(self, request: HttpRequest, queryset: QuerySet[Run]) -> HttpResponse | None:
        """Ask, then call off what waits and computes."""
        return self._ask_then_act(request, queryset, "cancel")

    @admin.action(description="Delete selected runs", permissions=["delete"])
    def delete_selected(self, request: HttpRequest, queryset: QuerySet[Run]) -> HttpResponse | None:
        """Ask, then delete the runs with all that belongs to them."""
        if request.POST.get("post"):
            self.log_deletions(request, chosen(request, queryset))
        return self._ask_then_act(request, queryset, "delete_selected")

    def _ask_then_act(
        self, request: HttpRequest, queryset: QuerySet[Run], name: str
    ) -> HttpResponse | None:
        """Show how many tasks an action touches; do it when that was answered."""
        order = ORDERS[name]
        if request.POST.get("post"):
            act(request, chosen(request, queryset), order)
            return None
        if request.POST.get("select_across") == "1":  # the others would only be passed over
            queryset = queryset.filter(state__in=order.run_states)
        runs = list(queryset[: FARTHEST + 1])
        if not runs:
            messages.warning(request, f"There is no run to {order.button.lower()}.")
            return None
        context = {
            **self.admin_site.each_context(request),
            "title": order.question,
            "opts": self.opts,
            "order": order,
            "name": name,
            "checkbox": helpers.ACTION_CHECKBOX_NAME,
            **asked(runs[:FARTHEST], order),
            "most": FARTHEST if len(runs) > FARTHEST else None,
        }
        return TemplateResponse(request, "admin/runs/run/act.html", context)

    @admin.display(description="name")
    def title(self, run: Run) -> str:
        """The name, or the start of the UUID."""
        return run.title

    @admin.display(description="state")
    def shown_state(self, run: Run) -> str:
        """The state as people see it."""
        return reports.state_of(run, stand(run).counts)

    @admin.display(description="%")
    def percent(self, run: Run) -> str:
        """The mean over all tasks."""
        return percentage(stand(run).percent)

    @admin.display(description="last movement")
    def moved(self, run: Run) -> Any:
        """When a task last changed its state."""
        return stand(run).last_movement

    @admin.display(description="page")
    def page(self, run: Run) -> str:
        """The run's own page."""
        address = reverse("run", kwargs={"uuid": run.uuid.hex})
        return format_html('<a href="{}">{}</a>', address, "Open the run's page")


def asked(runs: list[Run], order: Order) -> dict[str, Any]:
    """What the question about an action tells of these runs: their sums, and some of them."""
    progress = reports.progress_of(runs)
    rows = [(run, order.touched(run, progress[run.id].counts)) for run in runs]
    return {
        "rows": rows[:SHOWN],
        "others": len(rows[SHOWN:]),
        "runs": len(runs),
        "touched": sum(count for _, count in rows if count is not None),
        "incomplete": uploads.incomplete(runs) if order is ORDERS["resume"] else set(),
        # One field, however many they are: a form may have a thousand, and select_across as Django
        # has it would mean whatever the list shows by then.
        "first": runs[0].pk,
        "ids": ",".join(str(run.pk) for run in runs),
    }


def chosen(request: HttpRequest, queryset: QuerySet[Run]) -> QuerySet[Run]:
    """The runs that an answer is about: those that were asked about, ``FARTHEST`` at most."""
    ids = request.POST.get("runs")
    if ids is None:
        return queryset[:FARTHEST]
    known = [int(id) for id in ids.split(",")[:FARTHEST] if as_id(id)]
    return queryset.filter(pk__in=known)


def as_id(text: str) -> bool:
    """Whether the text is a number that a run's key may be."""
    return text.isascii() and text.isdigit() and len(text) <= 10


def act(request: HttpRequest, runs: Iterable[Run], order: Order) -> None:
    """Do it to each run; a run that is not in a state for it is told and passed over."""
    by = request.user.get_username()
    why = request.POST.get("why", "").replace("\x00", "").strip()[:1000]
    done = touched = 0
    passed: list[str] = []
    for run in runs:
        try:
            touched += order.perform(run, by, why)
            done += 1
        except (Conflict, NotFound) as refusal:
            passed.append(f"Passed over {run.title}: {refusal.detail}")
    for words in passed[:TOLD]:
        messages.warning(request, words)
    if more := len(passed[TOLD:]):
        messages.warning(request, f"Passed over {more:,} more for such reasons.")
    if done:
        some = "1 run" if done == 1 else f"{done:,} runs"
        messages.success(request, order.said.format(runs=some, tasks=tasks(touched)))


def stand(run: Any) -> reports.Progress:
    """Where the run stands, looked up once per object."""
    if not hasattr(run, "progress"):
        run.progress = reports.progress(run)
    found: reports.Progress = run.progress
    return found


def count_column(name: str) -> Callable[[RunAdmin, Run], str]:
    """A column with one of a run's counts."""

    @admin.display(description=name)
    def show(self: RunAdmin, run: Run) -> str:
        return f"{getattr(stand(run).counts, name):,}"

    return show


for _name in ("waiting", "computing", "done", "failed", "cancelled", "stale"):
    setattr(RunAdmin, _name, count_column(_name))
