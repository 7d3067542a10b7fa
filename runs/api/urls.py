"""The addresses under ``/api/``."""

from django.urls import URLPattern, path, re_path
from django.views.decorators.csrf import csrf_exempt

from accounts.api import TokenView
from runs.api.base import DocsView, SchemaView
from runs.api.errors import unknown_address
from runs.api.exchange import ExchangeViewSet
from runs.api.results import ResultsViewSet
from runs.api.runs import RunViewSet
from runs.api.steering import SteeringViewSet
from runs.api.tasks import TaskViewSet
from runs.api.workers import WorkerViewSet

one_run = RunViewSet.as_view({"get": "retrieve", "delete": "destroy"})
one_task = TaskViewSet.as_view({"get": "retrieve", "put": "update"})


class TasksViewSet(TaskViewSet, SteeringViewSet):
    """Calls on the tasks of a run as a whole: list them, add to them."""


all_tasks = TasksViewSet.as_view({"get": "list", "post": "append"})
uploaded = SteeringViewSet.as_view({"post": "uploaded", "delete": "take_back"})
policy = SteeringViewSet.as_view({"get": "policy", "patch": "change_policy"})


def steer(name: str, address: str = "", method: str = "post") -> URLPattern:
    """The address of a call that steers a run."""
    view = SteeringViewSet.as_view({method: name})
    return path(f"runs/<str:uuid>/{address or name}", view, name=f"api-{name}")


def read(name: str, address: str = "") -> URLPattern:
    """The address of a call that reads what came of a run."""
    view = ResultsViewSet.as_view({"get": name})
    return path(f"runs/<str:uuid>/{address or name}", view, name=f"api-{name}")


urlpatterns = [
    path("run", RunViewSet.as_view({"post": "create"}), name="api-run-create"),
    path("runs", RunViewSet.as_view({"get": "list"}), name="api-run-list"),
    path("runs/<str:uuid>", one_run, name="api-run"),
    path("runs/<str:uuid>/restart", RunViewSet.as_view({"post": "restart"}), name="api-restart"),
    path("runs/<str:uuid>/task", TaskViewSet.as_view({"post": "claim"}), name="api-claim"),
    path("runs/<str:uuid>/tasks", all_tasks, name="api-task-list"),
    re_path(r"^runs/(?P<uuid>[^/]+)/tasks/(?P<number>-?[0-9]+)$", one_task, name="api-task"),
    re_path(
        r"^runs/(?P<uuid>[^/]+)/tasks/(?P<number>-?[0-9]+)/explain$",
        SteeringViewSet.as_view({"get": "explain"}),
        name="api-explain",
    ),
    steer("pause"),
    steer("resume"),
    steer("cancel"),
    path("runs/<str:uuid>/uploaded", uploaded, name="api-uploaded"),
    steer("events", method="get"),
    path("runs/<str:uuid>/policy", policy, name="api-policy"),
    re_path(
        r"^runs/(?P<uuid>[^/]+)/events/(?P<event>[0-9]+)/undo$",
        SteeringViewSet.as_view({"post": "undo"}),
        name="api-undo",
    ),
    read("results"),
    read("failures"),
    read("groups", "failures/groups"),
    read("attempts"),
    path("token", TokenView.as_view(), name="api-token"),
    path(
        "worker/<str:uuid>/exchange",
        ExchangeViewSet.as_view({"post": "exchange"}),
        name="api-exchange",
    ),
    path("worker/<str:uuid>", ExchangeViewSet.as_view({"delete": "sign_off"}), name="api-worker"),
    path("worker", WorkerViewSet.as_view({"post": "create"}), name="api-worker-create"),
    path("schema/", SchemaView.as_view(), name="api-schema"),
    path("docs/", DocsView.as_view(), name="api-docs"),
    path("", csrf_exempt(unknown_address)),
    path("<path:path>", csrf_exempt(unknown_address)),
]
