"""The addresses under ``/api/``."""

from django.urls import path, re_path
from django.views.decorators.csrf import csrf_exempt

from accounts.api import TokenView
from runs.api.base import DocsView, SchemaView
from runs.api.errors import unknown_address
from runs.api.runs import RunViewSet
from runs.api.tasks import TaskViewSet
from runs.api.workers import WorkerViewSet

one_run = RunViewSet.as_view({"get": "retrieve", "delete": "destroy"})
one_task = TaskViewSet.as_view({"get": "retrieve", "put": "update"})

urlpatterns = [
    path("run", RunViewSet.as_view({"post": "create"}), name="api-run-create"),
    path("runs", RunViewSet.as_view({"get": "list"}), name="api-run-list"),
    path("runs/<str:uuid>", one_run, name="api-run"),
    path("runs/<str:uuid>/restart", RunViewSet.as_view({"post": "restart"}), name="api-restart"),
    path("runs/<str:uuid>/task", TaskViewSet.as_view({"post": "claim"}), name="api-claim"),
    path("runs/<str:uuid>/tasks", TaskViewSet.as_view({"get": "list"}), name="api-task-list"),
    re_path(r"^runs/(?P<uuid>[^/]+)/tasks/(?P<number>-?[0-9]+)$", one_task, name="api-task"),
    path("token", TokenView.as_view(), name="api-token"),
    path("worker", WorkerViewSet.as_view({"post": "create"}), name="api-worker-create"),
    path("schema/", SchemaView.as_view(), name="api-schema"),
    path("docs/", DocsView.as_view(), name="api-docs"),
    path("", csrf_exempt(unknown_address)),
    path("<path:path>", csrf_exempt(unknown_address)),
]
