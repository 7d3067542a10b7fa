"""Tokens: signed JWTs that stand for an account until they expire or its password changes."""

from typing import Any

from rest_framework_simplejwt.tokens import AccessToken


def issue(user: Any) -> str:
    """A fresh token for the account, good for ``TASKFARM_TOKEN_DAYS`` days."""
    return str(AccessToken.for_user(user))
