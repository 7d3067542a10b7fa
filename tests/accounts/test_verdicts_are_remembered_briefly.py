"""Whose credentials a header holds is remembered for seconds: cheap calls, quick consequences."""

import logging
import pickle
from collections.abc import Callable, Iterator

import pytest
from django.contrib.auth import hashers
from django.contrib.auth.models import Group, User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from accounts import tokens, verdicts
from runs.models import Run
from tests import factories
from tests.accounts.credentials import basic, call
from tests.api.shape import assert_refused
from tests.factories import PASSWORD

WITHIN = 60
"""Seconds after which a change of the account must have bitten."""


class Clock:
    """The process's clock, put forward by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """The seconds since some moment."""
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    """The clock that the memory of verdicts reads."""
    clock = Clock()
    monkeypatch.setattr(verdicts.time, "monotonic", clock)
    yield clock
    verdicts.forget_all()


def headers(user: User) -> list[str]:
    """Each kind of credentials of a user."""
    return [
        basic(user.username, PASSWORD), basic(tokens.issue(user), ""),
        f"Bearer {tokens.issue(user)}",
    ]  # fmt: skip


def test_a_known_caller_costs_no_query(alice: User) -> None:
    # An address whose view makes no query: what is counted is authentication alone.
    for header in headers(alice):
        assert call(header, "/api/token").status_code == 200
        with CaptureQueriesContext(connection) as queries:
            assert call(header, "/api/token").status_code == 200
        assert [query["sql"] for query in queries] == []


def test_fifty_calls_with_a_password_hash_it_once(
    alice: User, settings: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Django's real, slow hasher; manageTF and the published tfRuns send a password every time.
    slow = "django.contrib.auth.hashers.PBKDF2PasswordHasher"
    settings.PASSWORD_HASHERS = [slow]  # type: ignore[attr-defined]
    alice.set_password(PASSWORD)
    alice.save()
    checks: list[str] = []
    verify = hashers.PBKDF2PasswordHasher.verify

    def counted(self: hashers.PBKDF2PasswordHasher, password: str, encoded: str) -> bool:
        checks.append(password)
        return verify(self, password, encoded)

    monkeypatch.setattr(hashers.PBKDF2PasswordHasher, "verify", counted)
    for _ in range(50):
        assert call(basic("alice", PASSWORD)).status_code == 200
    assert checks == [PASSWORD]


def deactivate(user: User) -> None:
    """Take the account out of use."""
    User.objects.filter(pk=user.pk).update(is_active=False)


def change_password(user: User) -> None:
    """Give the account another password."""
    user.set_password("another one")
    user.save()


def delete(user: User) -> None:
    """Delete the account."""
    user.delete()


@pytest.mark.parametrize("change", [deactivate, change_password, delete])
@pytest.mark.parametrize("kind", range(3))
def test_a_change_of_the_account_bites_within_a_minute(
    clock: Clock, alice: User, change: Callable[[User], None], kind: int
) -> None:
    header = headers(alice)[kind]
    assert call(header).status_code == 200
    # However recently, and however often, the caller was seen.
    for _ in range(10):
        clock.now += 29
        assert call(header).status_code == 200
    change(alice)
    clock.now += WITHIN
    response = call(header)
    assert_refused(response, 401, response.json()["code"])


@pytest.mark.parametrize("kind", range(3))
def test_a_caller_who_calls_all_the_time_is_looked_at_again_too(
    clock: Clock, alice: User, kind: int
) -> None:
    header = headers(alice)[kind]
    assert call(header).status_code == 200
    deactivate(alice)
    statuses = []
    for _ in range(WITHIN):
        clock.now += 1
        statuses.append(call(header).status_code)
    # Out, and with a password that is wrong now, locked out in the end; never in again.
    assert statuses[-1] in (401, 429)
    assert statuses == sorted(statuses)


def test_a_second_look_costs_two_queries_and_no_hash(clock: Clock, alice: User) -> None:
    header = basic("alice", PASSWORD)
    call(header, "/api/token")
    clock.now += 31
    with CaptureQueriesContext(connection) as queries:
        assert call(header, "/api/token").status_code == 200
    # 1 the account, 2 its groups
    assert len(queries) == 2


def test_who_leaves_a_group_loses_its_runs_within_a_minute(
    clock: Clock, alice: User, carol: User
) -> None:
    run = factories.run(alice, 1, group=Group.objects.get())
    header = basic("carol", PASSWORD)
    assert call(header, f"/api/runs/{run.uuid.hex}").status_code == 200
    carol.groups.clear()
    clock.now += WITHIN
    assert_refused(call(header, f"/api/runs/{run.uuid.hex}"), 404, "run_not_found")


def test_who_is_staff_no_more_sees_less_within_a_minute(
    clock: Clock, alice: User, staff: User
) -> None:
    factories.run(alice, 1)
    header = basic("staff", PASSWORD)
    assert len(call(header).json()["data"]) == 1
    User.objects.filter(pk=staff.pk).update(is_staff=False)
    clock.now += WITHIN
    assert call(header).json()["data"] == []


def test_the_password_is_checked_again_after_an_hour(
    clock: Clock, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    checks: list[int] = []
    authenticate = verdicts.remember
    monkeypatch.setattr(
        verdicts, "remember", lambda *a, **k: checks.append(1) or authenticate(*a, **k)
    )
    for _ in range(5):
        call(basic("alice", PASSWORD))
        clock.now += verdicts.LAPSE / 2
    assert len(checks) == 3


def test_a_wrong_password_is_not_remembered(alice: User) -> None:
    header = basic("alice", "not yet")
    assert_refused(call(header), 401, "wrong_password")
    alice.set_password("not yet")
    alice.save()
    assert call(header).status_code == 200


def test_two_passwords_of_one_name_are_two_verdicts(alice: User) -> None:
    assert call(basic("alice", PASSWORD)).status_code == 200
    assert_refused(call(basic("alice", PASSWORD + " ")), 401, "wrong_password")
    assert_refused(call(basic("alice ", PASSWORD)), 401, "wrong_password")


def test_the_memory_is_bounded(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verdicts, "CAPACITY", 10)
    for number in range(35):
        verdicts.remember(f"Bearer {number}", alice)
        assert len(verdicts._verdicts) <= 10
    assert verdicts.recall("Bearer 34") == alice


def test_neither_the_memory_nor_a_log_holds_credentials(
    api: APIClient, alice: User, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    secrets = [PASSWORD, "a wrong password", tokens.issue(alice)]
    sent = [
        basic("alice", PASSWORD), basic("alice", "a wrong password"), f"Bearer {secrets[2]}",
        basic(secrets[2], ""), f"Bearer {secrets[2]}x", basic(secrets[2] + "x", ""),
    ]  # fmt: skip
    for header in sent:
        call(header)
    api.post("/api/run", {"numTasks": 1}, format="json")
    run = Run.objects.get()
    api.put(f"/api/runs/{run.uuid.hex}/tasks/0", {"status": "blub"}, format="json")
    memory = repr([(key, vars(one)) for key, one in verdicts._verdicts.items()]).encode()
    kept = memory + b"".join(verdicts._verdicts) + pickle.dumps(
        [vars(one.user) for one in verdicts._verdicts.values()]
    )  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM axes_accessattempt")
        book = repr(cursor.fetchall()).encode()
    assert b"alice" in kept
    assert b"alice" in book
    for secret in [*secrets, *sent, *(header.split(" ")[1] for header in sent)]:
        assert secret.encode() not in kept
        assert secret.encode() not in book
        assert secret not in caplog.text


def test_the_keys_of_the_memory_differ_between_processes() -> None:
    # An HMAC under a key of this process's own, not a plain hash that could be looked up.
    before = verdicts.key("Basic x")
    kept, verdicts._SECRET = verdicts._SECRET, b"another process"
    try:
        assert verdicts.key("Basic x") != before
    finally:
        verdicts._SECRET = kept
