"""The addresses under ``/account/``."""

from django.contrib.auth import views
from django.urls import path

from accounts.pages import ChangePassword, LogOut, show_account

urlpatterns = [
    path("", show_account, name="account"),
    path(
        "login/",
        views.LoginView.as_view(
            template_name="accounts/login.html", redirect_authenticated_user=True
        ),
        name="login",
    ),
    path("logout/", LogOut.as_view(), name="logout"),
    path("password/", ChangePassword.as_view(), name="password-change"),
]
