"""Workers: those of a run beside each other by host; the user's own, one by one."""

from typing import Any
from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_safe

from runs import estimates, hosts, samples, workers
from runs.models import Run, Task, Worker
from runs.pages.frame import framed
from runs.pages.page import farm_page, number, page, run_of
from runs.states import TaskState

PER_PAGE = 50
MOST_WORKERS = 100
MOST_HELD = 50


@farm_page
@require_safe
def run_workers(request: HttpRequest, uuid: str) -> HttpResponse:
    """The hosts that worked on the run, and the workers that compute for it now."""
    run = run_of(request, uuid)
    context = framed(run, "workers")
    counts = context["shown"].counts
    sample = samples.draw(run, counts, hosts.SIZE) if run.started else []
    busy = workers.computing(run.id, limit=MOST_WORKERS) if counts.computing > 0 else []
    now = timezone.now()
    context |= {
        "hosts": hosts.compare(sample),
        "sampled": len(sample),
        "busy": [(one, hosts.condition(one, now), held) for one, held in busy],
        "crew": estimates.workers(run, counts),
    }
    return page(request, "runs/run_workers.html", context)


def visible(request: HttpRequest) -> Any:
    """The workers that the user may see: own ones, for staff all."""
    found = Worker.objects.select_related("owner")
    return found if request.user.is_staff else found.filter(owner_id=request.user.pk)


@farm_page
@require_safe
def list_workers(request: HttpRequest) -> HttpResponse:
    """The user's workers, newest first."""
    before = number(request.GET.get("before"), 0) or None
    found = visible(request).order_by("-id")
    rows = list((found.filter(id__lt=before) if before else found)[: PER_PAGE + 1])
    shown, now = rows[:PER_PAGE], timezone.now()
    held = hosts.held(shown)
    context = {
        "rows": [(one, hosts.condition(one, now), held.get(one.id, 0)) for one in shown],
        "older": shown[-1].id if len(rows) > PER_PAGE else None,
        "before": before,
    }
    return page(request, "runs/workers.html", context)


@farm_page
@require_safe
def show_worker(request: HttpRequest, uuid: str) -> HttpResponse:
    """One worker: who, where, since when, and what it holds."""
    try:
        worker = visible(request).filter(uuid=UUID(hex=uuid)).first()
    except ValueError:
        worker = None
    if worker is None:
        raise Http404(f"There is no worker {uuid[:40]!r} that you may see.")
    runs = Run.objects.visible_to(request.user)
    held = hosts.held([worker]).get(worker.id, 0)
    tasks = Task.objects.filter(worker=worker, state=TaskState.COMPUTING, run__in=runs)
    context = {
        "worker": worker,
        "condition": hosts.condition(worker, timezone.now()),
        "tasks": list(tasks.select_related("run").order_by("id")[:MOST_HELD]),
        "held": held,
    }
    return page(request, "runs/worker.html", context)
