"""The addresses under ``/runs/``."""

from django.urls import URLPattern, path

from runs.pages.actions import ACTIONS, act
from runs.pages.compare_runs import show_comparison
from runs.pages.failures import list_failures
from runs.pages.history import show_history, undo
from runs.pages.many import act_on_many
from runs.pages.run import show_run
from runs.pages.run_list import list_runs
from runs.pages.run_new import create_run, end_upload
from runs.pages.run_policy import change_policy
from runs.pages.task import show_task
from runs.pages.task_list import list_tasks
from runs.pages.task_map import cells, show_map
from runs.pages.timeline import download_trace, show_timeline
from runs.pages.workers import run_workers

urlpatterns: list[URLPattern] = [
    path("", list_runs, name="run-list"),
    path("new", create_run, name="run-new"),
    path("actions/<str:name>", act_on_many, name="runs-act"),
    path("<str:uuid>/", show_run, name="run"),
    *(
        path(f"<str:uuid>/{action.name}", act, {"action": action}, name=f"run-{action.name}")
        for action in ACTIONS
    ),
    path("<str:uuid>/uploaded", end_upload, name="run-uploaded"),
    path("<str:uuid>/policy", change_policy, name="run-policy"),
    path("<str:uuid>/map", show_map, name="run-map"),
    path("<str:uuid>/map/cells", cells, name="run-map-cells"),
    path("<str:uuid>/workers", run_workers, name="run-workers"),
    path("<str:uuid>/timeline", show_timeline, name="run-timeline"),
    path("<str:uuid>/timeline/trace", download_trace, name="run-trace"),
    path("<str:uuid>/compare", show_comparison, name="run-compare"),
    path("<str:uuid>/failures", list_failures, name="run-failures"),
    path("<str:uuid>/history", show_history, name="run-history"),
    path("<str:uuid>/history/<int:event>/undo", undo, name="run-undo"),
    path("<str:uuid>/tasks", list_tasks, name="run-tasks"),
    path("<str:uuid>/tasks/<int:number>", show_task, name="task"),
]
