"""The addresses of pages that belong to no run."""

from django.urls import URLPattern, path

from runs.pages.farm_health import show_health
from runs.pages.workers import list_workers, show_worker

urlpatterns: list[URLPattern] = [
    path("workers/", list_workers, name="worker-list"),
    path("workers/<str:uuid>", show_worker, name="worker"),
    path("health/", show_health, name="health"),
]
