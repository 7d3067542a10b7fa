"""The policy of a run: all options in one form, which changes those that are changed."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase, QueryDict
from django.shortcuts import redirect
from django.views.decorators.http import require_http_methods

from runs import steering
from runs.errors import Conflict, InvalidInput
from runs.models import Run
from runs.pages.frame import framed
from runs.pages.page import farm_page, page, run_of
from runs.policy import BY_API, BY_FIELD, OPTIONS, Option

LABELS = {
    "priority": "Priority",
    "error_attempts": "Tries after errors",
    "lost_attempts": "Tries after lost workers",
    "timeout_attempts": "Tries after timeouts",
    "backoff": "Backoff, in seconds",
    "task_timeout": "Timeout, in seconds",
    "heartbeat": "Heartbeat, in seconds",
    "start_after": "Start not before",
    "expire_at": "Cancel the rest at",
    "fail_count": "Failed tasks",
    "fail_percent": "Failed, in per cent",
    "fail_now": "Stop at once",
    "canary_tasks": "Canaries",
    "canary_percent": "Canaries that must succeed, in per cent",
    "open": "Open: takes more tasks",
    "template": "Template for the workers",
    "columns": "Columns of the grid",
}
GROUPS = (
    ("When an attempt ends badly",
     ("error_attempts", "lost_attempts", "timeout_attempts", "backoff")),
    ("Time", ("task_timeout", "heartbeat", "start_after", "expire_at")),
    ("When too much fails", ("fail_count", "fail_percent", "fail_now")),
    ("Try a few first", ("canary_tasks", "canary_percent")),
    ("Order and growth", ("priority", "open", "template", "columns")),
)  # fmt: skip
OVERTAKEN = "Somebody else has changed this since you loaded the page, so nothing was changed."


def widget(option: Option) -> forms.Widget:
    """What an option is typed into."""
    if option.kind is bool:
        return forms.CheckboxInput()
    if option.kind is datetime:
        return forms.DateTimeInput(
            format="%Y-%m-%dT%H:%M:%S", attrs={"type": "datetime-local", "step": "1"}
        )
    if option.kind is str:
        return forms.Textarea(attrs={"rows": 3})
    return forms.NumberInput(attrs={"step": "any"} if option.kind is float else {})


def field(option: Option) -> forms.Field:
    """The form's field for an option."""
    more: dict[str, Any] = {
        "label": LABELS[option.field],
        "help_text": option.meaning,
        "widget": widget(option),
        "required": not option.optional and option.kind in (int, float),
    }
    if option.kind in (int, float):
        more |= {"min_value": option.least, "max_value": option.most}
    kinds: dict[type, type[forms.Field]] = {
        int: forms.IntegerField,
        float: forms.FloatField,
        bool: forms.BooleanField,
        datetime: forms.DateTimeField,
        str: forms.CharField,
    }
    return kinds[option.kind](**more)


class PolicyFields(forms.Form):
    """The options of a policy as fields."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for option in OPTIONS:
            self.fields[option.field] = field(option)

    def groups(self) -> list[tuple[str, list[Any]]]:
        """The fields in groups, each with its title."""
        return [(title, [self[name] for name in names]) for title, names in GROUPS]

    def changed_options(self) -> dict[str, Any]:
        """The options that somebody has changed."""
        given = {name: self.cleaned_data[name] for name in self.changed_data if name in BY_FIELD}
        return {
            name: same_lines(value) if isinstance(value, str) else value
            for name, value in given.items()
        }

    def refuse(self, refusal: InvalidInput) -> None:
        """Show at each field why the farm refuses its value."""
        for name, reasons in (refusal.fields or {"": [refusal.detail]}).items():
            option = BY_API.get(name)
            put = option.field if option else {"numTasks": "num_tasks"}.get(name, name)
            add_errors(self, put, reasons)


def add_errors(form: forms.Form, name: str, reasons: Iterable[str]) -> None:
    """Add reasons to a field, or to the whole form where it has no such field."""
    for reason in reasons:
        form.add_error(name if name in form.fields else None, reason)


class PolicyForm(PolicyFields):
    """A change of the policy, with its reason.

    A hidden field beside each option keeps what was shown. So only what this person has changed is
    written, and what somebody else has changed meanwhile is not taken back.
    """

    why = forms.CharField(
        max_length=1000, required=False, label="Why", help_text="Kept in the run's history."
    )

    def __init__(self, data: QueryDict | None = None, *, run: Run) -> None:
        present = {option.field: getattr(run, option.field) for option in OPTIONS}
        super().__init__(data, initial=present)
        for option in OPTIONS:
            self.fields[option.field].show_hidden_initial = True

    def keeps(self, name: str) -> str:
        """What the hidden field of an option has when the form is shown afresh."""
        return same_lines(forms.HiddenInput().format_value(self[name].value()) or "")

    def overtaken(self, fresh: "PolicyForm") -> list[str]:
        """The options that this person has changed, and somebody else to something else.

        Args:
            fresh: the form as it would be shown now.
        """
        return [
            name
            for name, value in self.changed_options().items()
            if value != fresh.initial[name] and not self.up_to_date(name, fresh)
        ]

    def up_to_date(self, name: str, fresh: "PolicyForm") -> bool:
        """Whether an option still is what this form has shown."""
        return same_lines(self.data.get(self[name].html_initial_name, "")) == fresh.keeps(name)

    def show_present(self, overtaken: Iterable[str], fresh: "PolicyForm") -> None:
        """Put present values in place of what is out of date; say so where somebody was faster."""
        for name in overtaken:
            wanted = same_lines(self.data.get(name, ""))[:100]
            self.add_error(name, f"{OVERTAKEN} You wanted {wanted!r}; this is the present value.")
        data = dict(self.data.items())
        for name in BY_FIELD:
            if not self.up_to_date(name, fresh):
                value = fresh[name].value()
                shown = fresh.fields[name].widget.format_value(value)
                data[name] = ("on" if value else "") if isinstance(value, bool) else shown or ""
                data[self[name].html_initial_name] = fresh.keeps(name)
        self.data = data


def same_lines(text: str) -> str:
    """A text with its lines ended in one way: a browser sends CR LF for each."""
    return text.replace("\r\n", "\n")


@farm_page
@require_http_methods(["GET", "HEAD", "POST"])
def change_policy(request: HttpRequest, uuid: str) -> HttpResponseBase:
    """Show the policy; change what the posted form changes."""
    run = run_of(request, uuid)
    form = PolicyForm(request.POST or None, run=run)
    if request.method == "POST" and form.is_valid():
        changed = form.changed_options()
        if write(form, run, request.user.get_username()):
            named = ", ".join(LABELS[name] for name in changed)
            messages.success(
                request,
                f"Changed: {named}." if changed else "Nothing was changed: all is as before.",
            )
            return redirect("run-policy", uuid=run.uuid.hex)
    return page(request, "runs/policy.html", framed(run, "policy", form=form))


def write(form: PolicyForm, run: Run, who: str) -> bool:
    """Write what the form changes, all or nothing; False where it is refused, the form says why."""
    changed, fresh = form.changed_options(), PolicyForm(run=run)
    if overtaken := form.overtaken(fresh):
        form.show_present(overtaken, fresh)
        return False
    seen = {name: fresh.initial[name] for name in changed}
    try:
        steering.change_policy(run=run, who=who, why=form.cleaned_data["why"], seen=seen, **changed)
    except InvalidInput as refusal:
        form.refuse(refusal)
        return False
    except Conflict as refusal:  # somebody was faster by less than this request
        form.add_error(None, refusal.detail)
        run.refresh_from_db(fields=list(BY_FIELD))
        fresh = PolicyForm(run=run)
        form.show_present(form.overtaken(fresh), fresh)
        return False
    return True
