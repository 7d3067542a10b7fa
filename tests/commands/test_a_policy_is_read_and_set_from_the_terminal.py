"""``policy UUID [--set …]``, and ``createrun`` with the options of a policy."""

import json
from datetime import UTC, datetime

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError

from runs import policy
from runs.models import Run
from tests import factories
from tests.commands.shell import manage

pytestmark = pytest.mark.django_db(transaction=True)

EVERY = [
    "--priority", "7", "--error-attempts", "3", "--lost-attempts", "4", "--timeout-attempts", "5",
    "--backoff", "1m", "--task-timeout", "1.5h", "--heartbeat", "20",
    "--start-after", "2026-01-02T03:04", "--expire-at", "2040-01-02T03:04:05+02:00",
    "--fail-count", "9", "--fail-percent", "12.5", "--fail-now",
    "--canary-tasks", "10", "--canary-percent", "80", "--open", "--template", "run {input}",
    "--columns", "25",
]  # fmt: skip
KEPT = {
    "priority": 7, "errorAttempts": 3, "lostAttempts": 4, "timeoutAttempts": 5, "backoff": 60.0,
    "taskTimeout": 5400.0, "heartbeat": 20.0,
    "startAfter": datetime(2026, 1, 2, 3, 4, tzinfo=UTC),
    "expireAt": datetime(2040, 1, 2, 1, 4, 5, tzinfo=UTC),
    "failCount": 9, "failPercent": 12.5, "failNow": True,
    "canaryTasks": 10, "canaryPercent": 80.0, "open": True, "template": "run {input}",
    "columns": 25,
}  # fmt: skip


def test_createrun_takes_every_option_of_a_policy(alice: User) -> None:
    assert set(KEPT) == set(policy.BY_API)
    manage("createrun", "--tasks", "100", *EVERY)
    run = Run.objects.get()
    assert policy.show(run) == KEPT
    assert not run.released


def test_createrun_leaves_the_rest_as_it_is(alice: User) -> None:
    manage("createrun", "--tasks", "1", "--error-attempts", "2")
    plain = factories.run(alice, 1)
    made = Run.objects.get(error_attempts=2)
    assert policy.show(made) == {**policy.show(plain), "errorAttempts": 2}


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--error-attempts", "0"], "errorAttempts: Must be from 1"),
        (["--error-attempts", "many"], "errorAttempts cannot be 'many'"),
        (["--error-attempts", "none"], "errorAttempts cannot be 'none'"),
        (["--task-timeout", "2y"], "taskTimeout cannot be"),
        (["--start-after", "tomorrow"], "startAfter cannot be"),
        (["--expire-at", "9999-12-31T23:59:59"], "expireAt: Must lie in the years 2 to 9998"),
        (["--canary-percent", "101"], "canaryPercent: Must be from 0"),
        (["--fail-percent", "nan"], "failPercent: Must be"),
    ],
)
def test_createrun_refuses_a_policy_and_creates_nothing(
    alice: User, words: list[str], reason: str
) -> None:
    with pytest.raises(CommandError, match=reason):
        manage("createrun", "--tasks", "1", *words)
    assert not Run.objects.exists()


def test_policy_shows_all_options(alice: User) -> None:
    run = factories.run(alice, 1, task_timeout=90, expire_at=datetime(2040, 1, 2, tzinfo=UTC))
    lines = dict(line.split(maxsplit=1) for line in manage("policy", run.uuid.hex).splitlines()
                 if not line.startswith("template"))  # fmt: skip
    assert set(lines) == set(policy.BY_API) - {"template"}
    assert (lines["taskTimeout"], lines["open"], lines["failCount"]) == ("90", "no", "none")
    shown = json.loads(manage("policy", run.uuid.hex, "--json"))
    assert (shown["taskTimeout"], shown["expireAt"]) == (90.0, "2040-01-02T00:00:00+00:00")
    assert not run.events.exists()


def test_policy_sets_options_by_any_of_their_names(alice: User) -> None:
    run = factories.run(alice, 1, task_timeout=90)
    manage(
        "policy", run.uuid.hex, "--set", "errorAttempts=3", "fail_now=yes", "--set",
        "task-timeout=none", "template=x=%d", "backoff=2m", "--reason", "flaky disks",
    )  # fmt: skip
    run.refresh_from_db()
    assert (run.error_attempts, run.fail_now, run.task_timeout) == (3, True, None)
    assert (run.template, run.backoff) == ("x=%d", 120)
    event = run.events.get()
    assert (event.what, event.why) == ("policy", "flaky disks")
    assert event.details["changed"]["error_attempts"] == ["1", "3"]


def test_what_policy_shows_can_be_set_again(alice: User) -> None:
    manage("createrun", "--tasks", "3", *EVERY)
    run = Run.objects.get()
    shown = [line.split(maxsplit=1) for line in manage("policy", run.uuid.hex).splitlines()]
    other = factories.run(alice, 1)
    manage("policy", other.uuid.hex, "--set", *(f"{name}={value}" for name, value in shown))
    other.refresh_from_db()
    assert policy.show(other) == KEPT


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["attempts=3"], "one of the names priority"),
        (["errorAttempts"], "no name=value"),
        (["owner=bob"], "no name=value"),
        (["errorAttempts=2", "failNow=perhaps"], "failNow cannot be 'perhaps': it is yes or no"),
        (["errorAttempts=2", "backoff=-1"], "backoff: Must be from 0"),
        (["heartbeat="], "heartbeat cannot be ''"),
    ],
)
def test_policy_refuses_and_changes_nothing(alice: User, words: list[str], reason: str) -> None:
    run = factories.run(alice, 1)
    with pytest.raises(CommandError, match=reason):
        manage("policy", run.uuid.hex, "--set", *words)
    run.refresh_from_db()
    assert run.error_attempts == 1
    assert not run.events.exists()
