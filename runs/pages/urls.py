"""The addresses under ``/runs/``."""

from django.http import HttpResponse
from django.urls import URLPattern, path

urlpatterns: list[URLPattern] = [path("", lambda request: HttpResponse("soon"), name="run-list")]
