"""The account's own pages: the password."""

from typing import Any

from django.contrib import messages
from django.contrib.auth import views
from django.http import HttpResponse
from django.urls import reverse_lazy


class ChangePassword(views.PasswordChangeView):
    """Change the own password; the session goes on."""

    template_name = "accounts/password.html"
    success_url = reverse_lazy("run-list")

    def form_valid(self, form: Any) -> HttpResponse:
        """Say that it worked."""
        messages.success(self.request, "Your password is changed.")
        return super().form_valid(form)
