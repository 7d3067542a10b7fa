"""The account's own pages: what it may do, its token, its password."""

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import views
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse_lazy
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from accounts import tokens


class LogOut(views.LogoutView):
    """Log out; the browser forgets the pages that it kept for Back or has drawn ahead.

    It heeds this over HTTPS only, and keeps the page that it leaves: its script empties that one.
    """

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Log out."""
        response = super().post(request, *args, **kwargs)
        response.headers["Clear-Site-Data"] = '"cache", "prefetchCache", "prerenderCache"'
        return response


class ChangePassword(views.PasswordChangeView):
    """Change the own password; the session goes on."""

    template_name = "accounts/password.html"
    success_url = reverse_lazy("account")

    def form_valid(self, form: Any) -> HttpResponse:
        """Say that it worked."""
        messages.success(self.request, "Your password is changed.")
        return super().form_valid(form)


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def show_account(request: HttpRequest) -> HttpResponse:
    """The account; a POST makes a token, which is shown this once and kept nowhere."""
    context: dict[str, Any] = {
        "groups": list(request.user.groups.order_by("name")[:100]),
        "days": settings.TASKFARM_TOKEN_DAYS,
        "api_url": request.build_absolute_uri("/api/"),
    }
    if request.method == "POST":
        context["token"] = tokens.issue(request.user)
        context["until"] = timezone.now() + timedelta(days=settings.TASKFARM_TOKEN_DAYS)
    return render(request, "accounts/account.html", context)
