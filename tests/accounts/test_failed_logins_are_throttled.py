"""Too many wrong passwords lock a name from an address: 429, for a while, and nobody else."""

from datetime import timedelta

import pytest
from axes.models import AccessAttempt
from django.conf import settings as farm
from django.contrib.auth.models import User
from django.db.models import F

from accounts import tokens, verdicts
from tests.accounts.credentials import basic, call
from tests.api.shape import assert_refused
from tests.factories import PASSWORD

LIMIT = farm.AXES_FAILURE_LIMIT
HERE, THERE = {"REMOTE_ADDR": "192.0.2.1"}, {"REMOTE_ADDR": "192.0.2.2"}


def fail(times: int, name: str = "alice", **where: str) -> None:
    """Send wrong passwords, each another one."""
    for number in range(times):
        assert_refused(call(basic(name, f"wrong {number}"), **where), 401, "wrong_password")


def lock(name: str = "alice", **where: str) -> None:
    """Send as many wrong passwords as it takes."""
    fail(LIMIT - 1, name, **where)
    assert_refused(call(basic(name, "the last"), **where), 429, "locked_out")


def test_the_pair_is_locked_also_for_the_right_password(alice: User) -> None:
    lock(**HERE)
    response = call(basic("alice", PASSWORD), **HERE)
    assert_refused(response, 429, "locked_out")
    assert int(response.headers["Retry-After"]) == farm.AXES_COOLOFF_TIME.total_seconds()


def test_a_name_that_does_not_exist_is_locked_in_the_same_way(db: None) -> None:
    # Else the lock would tell which names exist.
    lock("nobody", **HERE)


def test_the_same_name_from_elsewhere_is_not_locked(alice: User) -> None:
    lock(**HERE)
    assert call(basic("alice", PASSWORD), **THERE).status_code == 200


def test_another_name_from_the_same_address_is_not_locked(alice: User, bob: User) -> None:
    lock(**HERE)
    assert call(basic("bob", PASSWORD), **HERE).status_code == 200


def test_a_token_works_from_a_locked_address(alice: User) -> None:
    raw = tokens.issue(alice)
    lock(**HERE)
    for header in (f"Bearer {raw}", basic(raw, "")):
        assert call(header, **HERE).status_code == 200


def test_wrong_tokens_lock_nobody(alice: User) -> None:
    for _ in range(2 * LIMIT):
        assert_refused(call("Bearer x", **HERE), 401, "token_invalid")
    assert call(basic("alice", PASSWORD), **HERE).status_code == 200


def test_a_deactivated_user_who_goes_on_calling_is_not_told_of_wrong_passwords(alice: User) -> None:
    raw = tokens.issue(alice)
    User.objects.filter(pk=alice.pk).update(is_active=False)
    for _ in range(LIMIT + 1):
        assert_refused(call(basic("alice", PASSWORD), **HERE), 401, "wrong_password")
        assert_refused(call(basic(raw, ""), **HERE), 401, "token_ended")
    assert not AccessAttempt.objects.exists()
    User.objects.filter(pk=alice.pk).update(is_active=True)
    assert call(basic("alice", PASSWORD), **HERE).status_code == 200


def test_wrong_passwords_for_a_deactivated_user_lock_it_all_the_same(alice: User) -> None:
    User.objects.filter(pk=alice.pk).update(is_active=False)
    lock(**HERE)
    assert_refused(call(basic("alice", PASSWORD), **HERE), 429, "locked_out")


def test_a_success_forgives_the_failures_before(alice: User) -> None:
    for _ in range(3):
        fail(LIMIT - 1, **HERE)
        # The right one must be checked for that, not just remembered.
        verdicts.forget_all()
        assert call(basic("alice", PASSWORD), **HERE).status_code == 200


def test_a_success_elsewhere_forgives_nothing_here(alice: User) -> None:
    fail(LIMIT - 1, **HERE)
    assert call(basic("alice", PASSWORD), **THERE).status_code == 200
    assert_refused(call(basic("alice", "wrong"), **HERE), 429, "locked_out")


def test_another_user_agent_is_no_way_around(alice: User) -> None:
    for number in range(LIMIT - 1):
        call(basic("alice", f"wrong {number}"), **HERE, HTTP_USER_AGENT=f"browser {number}")
    assert_refused(call(basic("alice", "wrong"), **HERE), 429, "locked_out")


def test_the_lock_ends_by_itself(alice: User) -> None:
    lock(**HERE)
    age = farm.AXES_COOLOFF_TIME + timedelta(seconds=1)
    AccessAttempt.objects.update(attempt_time=F("attempt_time") - age)
    assert call(basic("alice", PASSWORD), **HERE).status_code == 200


def test_a_locked_pair_costs_no_hash(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    lock(**HERE)

    def never(*_: object, **__: object) -> bool:
        raise AssertionError("a password was hashed for a locked pair")

    monkeypatch.setattr("django.contrib.auth.hashers.check_password", never)
    monkeypatch.setattr("django.contrib.auth.base_user.AbstractBaseUser.check_password", never)
    assert_refused(call(basic("alice", PASSWORD), **HERE), 429, "locked_out")


def test_asking_again_does_not_make_the_lock_longer(alice: User) -> None:
    # A forgotten job with an old password must not keep its owner out for ever.
    lock(**HERE)
    before = AccessAttempt.objects.values().get()
    for password in ("wrong", PASSWORD):
        assert_refused(call(basic("alice", password), **HERE), 429, "locked_out")
    assert AccessAttempt.objects.values().get() == before
