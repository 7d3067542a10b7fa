"""Create a run."""

from typing import Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.models import Group
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect

from runs import lifecycle
from runs.errors import InvalidInput
from runs.models import Run
from runs.pages.page import farm_page, page
from runs.wording import tasks


class RunForm(forms.Form):
    """What a new run is made of."""

    name = forms.CharField(
        max_length=200, required=False, help_text="What you will look for. Any words you like."
    )
    num_tasks = forms.IntegerField(
        label="Number of tasks",
        min_value=0,
        help_text="They are numbered from 0. Each is handed to one worker at a time.",
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
        super().__init__(*args, **kwargs)
        groups = Group.objects.all() if user.is_staff else user.groups.all()
        tasks = self.fields["num_tasks"]
        assert isinstance(tasks, forms.IntegerField)  # noqa: S101 - tells the type checker
        tasks.max_value = settings.TASKFARM_MAX_TASKS
        self.fields["group"].queryset = groups.order_by("name")  # type: ignore[attr-defined]


@farm_page
def create_run(request: HttpRequest) -> HttpResponseBase:
    """The form for a new run, which ends on the run's page."""
    form = RunForm(request.POST or None, user=request.user)
    run = create_from(form, request.user) if request.method == "POST" else None
    if run is None:
        return page(request, "runs/new.html", {"form": form})
    messages.success(request, f"Created {run.title} with {tasks(run.num_tasks)}.")
    return redirect("run", uuid=run.uuid.hex)


def create_from(form: RunForm, owner: Any) -> Run | None:
    """The run that the form describes; None where it is refused, the form then says why."""
    if not form.is_valid():
        return None
    try:
        return lifecycle.create_run(owner=owner, **form.cleaned_data)
    except InvalidInput as refusal:
        reasons = refusal.fields or {"": [refusal.detail]}
        for field, texts in reasons.items():
            name = {"numTasks": "num_tasks"}.get(field, field)
            for text in texts:
                form.add_error(name if name in form.fields else None, text)
        return None
