"""The application that knows the users."""

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    """Users, tokens, logins."""

    name = "accounts"
    verbose_name = "Accounts"
