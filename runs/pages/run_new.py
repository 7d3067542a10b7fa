"""Create a run: so many plain tasks, or one for each input in a file."""

from typing import Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.models import Group
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from runs import lifecycle, uploads
from runs.errors import Conflict, InvalidInput
from runs.models import Run
from runs.pages.input_files import lines_of
from runs.pages.page import farm_page, page, run_of
from runs.pages.run_policy import PolicyFields
from runs.policy import BY_FIELD, OPTIONS
from runs.wording import tasks

ABOUT = ("name", "num_tasks", "inputs", "namespace", "group", "description")


class RunForm(PolicyFields):
    """What a new run is made of; an option of the policy that is left empty has its default."""

    name = forms.CharField(
        max_length=200, required=False, help_text="What you will look for. Any words you like."
    )
    num_tasks = forms.IntegerField(
        label="Number of tasks",
        min_value=0,
        required=False,
        help_text="They are numbered from 0. Each is handed to one worker at a time.",
    )
    inputs = forms.FileField(
        label="Or a file of inputs",
        required=False,
        help_text="One task for each line of text, row of a .csv with a head, "
        "or line of an .ndjson.",
        widget=forms.FileInput(attrs={"accept": ".txt,.csv,.ndjson,.jsonl,.lst,text/*"}),
    )
    namespace = forms.CharField(
        max_length=200, required=False, help_text="What it belongs to: a project, a campaign."
    )
    group = forms.ModelChoiceField(
        Group.objects.none(),
        required=False,
        empty_label="nobody else",
        label="Shared with",
        help_text="The group's members may see, work and change the run, too.",
    )
    description = forms.CharField(
        max_length=10_000, required=False, widget=forms.Textarea(attrs={"rows": 3})
    )

    def __init__(self, *args: Any, user: Any, **kwargs: Any) -> None:
        fresh = Run()
        defaults = {one.field: getattr(fresh, one.field) for one in OPTIONS}
        super().__init__(*args, initial=defaults, **kwargs)
        groups = Group.objects.all() if user.is_staff else user.groups.all()
        tasks = self.fields["num_tasks"]
        assert isinstance(tasks, forms.IntegerField)  # noqa: S101 - tells the type checker
        tasks.max_value = settings.TASKFARM_MAX_TASKS
        self.fields["group"].queryset = groups.order_by("name")  # type: ignore[attr-defined]
        for option in OPTIONS:
            self.fields[option.field].required = False

    def about(self) -> list[Any]:
        """The fields that are no policy."""
        return [self[name] for name in ABOUT]

    def clean(self) -> dict[str, Any]:
        """Either a number or a file."""
        given = super().clean() or {}
        number, file = given.get("num_tasks"), given.get("inputs")
        if file and number:
            self.add_error("inputs", "Give a number of tasks or a file, not both.")
        elif number is None and not file and "num_tasks" not in self.errors:
            self.add_error("num_tasks", "Give a number of tasks, or a file of inputs.")
        elif number == 0 and not file and not given.get("open"):
            self.add_error("num_tasks", "A run of 0 tasks is over at once, unless it takes more: "
                           "then tick “Open”.")  # fmt: skip
        return given

    def options(self) -> dict[str, Any]:
        """The options that differ from their defaults."""
        return {
            name: value
            for name, value in self.changed_options().items()
            if value is not None or BY_FIELD[name].optional
        }


@farm_page
def create_run(request: HttpRequest) -> HttpResponseBase:
    """The form for a new run, which ends on the run's page."""
    form = RunForm(request.POST or None, request.FILES or None, user=request.user)
    run = create_from(form, request.user) if request.method == "POST" else None
    if run is None:
        return page(request, "runs/new.html", {"form": form})
    messages.success(request, f"Created {run.title} with {tasks(run.num_tasks)}.")
    return redirect("run", uuid=run.uuid.hex)


def create_from(form: RunForm, owner: Any) -> Run | None:
    """The run that the form describes; None where it is refused, the form then says why."""
    if not form.is_valid():
        return None
    given = form.cleaned_data
    described = {name: given[name] for name in ("name", "namespace", "group", "description")}
    described |= form.options()
    file = given["inputs"]
    try:
        if file:
            lines = lines_of(file, file.name)
            name = owner.get_username()
            return uploads.create_run(owner=owner, who=name, lines=lines, **described)
        return lifecycle.create_run(owner=owner, num_tasks=given["num_tasks"] or 0, **described)
    except InvalidInput as refusal:
        if file and "numTasks" in refusal.fields:
            form.add_error("inputs", refusal.detail)
        else:
            form.refuse(refusal)
    except Conflict as refusal:
        form.add_error("inputs", refusal.detail)
    return None


@farm_page
@require_POST
def end_upload(request: HttpRequest, uuid: str) -> HttpResponseBase:
    """Make do with the inputs that have come of an upload that was cut short."""
    run = run_of(request, uuid)
    try:
        uploads.end(run=run, who=request.user.get_username(), why=uploads.WITHOUT)
        messages.success(request, f"Closed: it has {tasks(run.num_tasks)}, and takes no more.")
    except Conflict as refusal:
        messages.error(request, refusal.detail)
    return redirect("run", uuid=run.uuid.hex)
