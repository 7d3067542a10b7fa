"""Workers: those of a run beside each other by host; the user's own, one by one."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_safe

from runs import busy, estimates, hosts, samples, workers
from runs.models import Run, Task, Worker
from runs.pages.frame import framed
from runs.pages.page import farm_page, number, page, run_of
from runs.states import TaskState

PER_PAGE = 50
MOST_WORKERS = 50
MOST_HELD = 50
HOSTS_PER_PAGE = 50


@farm_page
@require_safe
def run_workers(request: HttpRequest, uuid: str) -> HttpResponse:
    """The hosts that worked on the run, and the workers that compute for it now."""
    run = run_of(request, uuid)
    context = framed(run, "workers")
    counts = context["shown"].counts
    sample = samples.draw(run, counts, hosts.SIZE) if run.started else []
    computing = workers.computing(run.id, limit=MOST_WORKERS) if counts.computing > 0 else []
    by_worker, by_host = busy.of_run(run, run.num_tasks - counts.waiting) if sample else ({}, {})
    now, found = timezone.now(), hosts.compare(sample)
    first = min(number(request.GET.get("host"), 0), len(found))
    last = first + HOSTS_PER_PAGE
    context |= {
        "hosts": [(one, share(by_host, one.name)) for one in found[first:last]],
        "hosts_in_all": len(found),
        "hosts_before": max(first - HOSTS_PER_PAGE, 0) if first else None,
        "hosts_after": last if last < len(found) else None,
        "sampled": len(sample),
        "latest": busy.LATEST,
        "busy": [
            (one, hosts.condition(one, now), held, share(by_worker, one.id))
            for one, held in computing
        ],
        "crew": estimates.workers(run, counts),
    }
    return page(request, "runs/run_workers.html", context)


def share(times: Mapping[Any, busy.Time], one: Any) -> float | None:
    """How busy it was, in per cent; None where nothing is known."""
    return times[one].share if one in times else None


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
    did = busy.of_workers([one.id for one in shown]) if shown else {}
    context = {
        "rows": [
            (one, hosts.condition(one, now), held.get(one.id, 0), did.get(one.id)) for one in shown
        ],
        "older": shown[-1].id if len(rows) > PER_PAGE else None,
        "before": before,
    }
    return page(request, "runs/workers.html", context)


@farm_page
@require_safe
def show_worker(request: HttpRequest, uuid: str) -> HttpResponse:
    """One worker: who, where, since when, what it holds, and how it did lately."""
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
        "did": busy.of_workers([worker.id]).get(worker.id),
        "latest": busy.OF_ALL,
    }
    return page(request, "runs/worker.html", context)
