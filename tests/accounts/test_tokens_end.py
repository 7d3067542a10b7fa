"""Tokens: how long they last, what ends them early, and that nobody else can make one."""

from datetime import timedelta
from typing import Any

import jwt
import pytest
from django.conf import settings as farm
from django.contrib.auth.models import User
from rest_framework.test import APIClient
from rest_framework_simplejwt.tokens import AccessToken

from accounts import tokens, verdicts
from tests.accounts.credentials import call, token
from tests.api.shape import assert_refused
from tests.factories import caller


def claims(raw: str) -> dict[str, Any]:
    """What a token says."""
    return jwt.decode(raw, farm.SECRET_KEY, algorithms=["HS256"])


def test_a_token_lasts_as_long_as_the_setting_says(api: APIClient) -> None:
    said = claims(token(api))
    assert said["exp"] - said["iat"] == farm.TASKFARM_TOKEN_DAYS * 86_400


def test_a_token_does_not_hold_the_password(api: APIClient, alice: User) -> None:
    assert alice.password not in str(claims(token(api)))


def test_an_expired_token_is_refused(alice: User) -> None:
    old = AccessToken.for_user(alice)
    old.set_exp(lifetime=-timedelta(seconds=1))
    assert_refused(call(f"Bearer {old}"), 401, "token_invalid")


def test_a_token_that_expires_within_the_memory_of_it_is_refused_in_time(
    alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [1000.0]
    monkeypatch.setattr(verdicts.time, "monotonic", lambda: clock[0])
    short = AccessToken.for_user(alice)
    short.set_exp(lifetime=timedelta(seconds=10))
    assert call(f"Bearer {short}").status_code == 200
    short.set_exp(lifetime=-timedelta(seconds=1))
    clock[0] += 11
    # The header is the same, but the memory of it has ended with the token.
    assert verdicts.recall(f"Bearer {short}") is None


def forged(alice: User, **changes: Any) -> list[str]:
    """Tokens that somebody without the key could make."""
    said = claims(tokens.issue(alice))
    real = tokens.issue(alice)
    head, body, signature = real.split(".")
    return [
        jwt.encode(said, "another key of at least thirty-two bytes", algorithm="HS256"),
        jwt.encode(said, "", algorithm="none"),
        jwt.encode(said, farm.SECRET_KEY, algorithm="HS512"),
        jwt.encode({**said, "token_type": "refresh"}, farm.SECRET_KEY, algorithm="HS256"),
        jwt.encode({k: v for k, v in said.items() if k != "exp"}, farm.SECRET_KEY, "HS256"),
        f"{head}.{body}.", f"{head}.{body}", f"{head}..{signature}",
        real[:-2] + ("AA" if real[-2:] != "AA" else "BB"),
    ]  # fmt: skip


def test_a_forged_token_is_refused(alice: User) -> None:
    for raw in forged(alice):
        assert_refused(call(f"Bearer {raw}"), 401, "token_invalid")


def test_the_token_of_a_deleted_account_is_refused(alice: User, bob: User) -> None:
    raw = tokens.issue(bob)
    bob.delete()
    assert_refused(call(f"Bearer {raw}"), 401, "token_ended")


def test_a_changed_password_ends_the_tokens_made_before(alice: User) -> None:
    old = tokens.issue(alice)
    alice.set_password("another one")
    alice.save()
    assert_refused(call(f"Bearer {old}"), 401, "token_ended")
    assert call(f"Bearer {token(caller(alice, 'another one'))}").status_code == 200


def test_a_deactivated_account_has_no_tokens(alice: User) -> None:
    raw = tokens.issue(alice)
    User.objects.update(is_active=False)
    assert_refused(call(f"Bearer {raw}"), 401, "token_ended")
    User.objects.update(is_active=True)
    assert call(f"Bearer {raw}").status_code == 200
