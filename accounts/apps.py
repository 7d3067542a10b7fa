"""The applications that know the users, and whose logins failed."""

from axes.apps import AppConfig as AxesConfig
from django.apps import AppConfig


class AccountsConfig(AppConfig):
    """Users, tokens, logins."""

    name = "accounts"
    verbose_name = "Accounts"


class FailedLoginsConfig(AxesConfig):  # type: ignore[misc]
    """django-axes under a name that says what it keeps."""

    verbose_name = "Failed logins"
