"""The addresses under ``/runs/``."""

from django.urls import URLPattern, path

from runs.pages.actions import ACTIONS, act
from runs.pages.run import show_run
from runs.pages.run_list import list_runs
from runs.pages.run_new import create_run
from runs.pages.task import requeue_task, show_task

urlpatterns: list[URLPattern] = [
    path("", list_runs, name="run-list"),
    path("new", create_run, name="run-new"),
    path("<str:uuid>/", show_run, name="run"),
    *(
        path(f"<str:uuid>/{action.name}", act, {"action": action}, name=f"run-{action.name}")
        for action in ACTIONS
    ),
    path("<str:uuid>/tasks/<int:number>", show_task, name="task"),
    path("<str:uuid>/tasks/<int:number>/requeue", requeue_task, name="task-requeue"),
]
