"""All addresses of the farm."""

from django.contrib import admin
from django.urls import include, path

from taskfarm_site import monitoring, views

urlpatterns = [
    path("", views.index, name="index"),
    path("healthz", monitoring.healthz, name="healthz"),
    path("readyz", monitoring.readyz, name="readyz"),
    path("metrics", monitoring.metrics, name="metrics"),
    path("api/", include("runs.api.urls")),
    path("admin/", admin.site.urls),
    path("account/", include("accounts.urls")),
    path("runs/", include("runs.pages.urls")),
    path("", include("runs.pages.other_urls")),
]
handler400 = "taskfarm_site.views.bad_request"
handler403 = "taskfarm_site.views.forbidden"
handler404 = "taskfarm_site.views.not_found"
handler500 = "taskfarm_site.views.server_error"
