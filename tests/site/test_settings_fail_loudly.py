"""Settings from the environment: typed, safe by default, refused by name and value."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from taskfarm_site import databases, env, secret_key
from tests.server import ROOT

pytestmark = pytest.mark.once

PRODUCTION = {
    "ALLOWED_HOSTS": "farm.example.org",
    "SECRET_KEY": "correct-horse-battery-staple-and-more-than-fifty-characters",
    "DATABASE_URL": "postgresql://farm:secret@db.example.org/farm",
    "TASKFARM_HTTPS": "1",
    "TASKFARM_PROXIES": "1",
}
OURS = ("ALLOWED_HOSTS", "SECRET_KEY", "DATABASE_URL", "DEBUG", "TASKFARM_")


def manage(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run manage.py with just these variables of ours."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith(OURS)}
    return subprocess.run(
        [sys.executable, "manage.py", *words],
        cwd=ROOT,
        env={**kept, "DJANGO_SETTINGS_MODULE": "taskfarm_site.settings", **variables},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("text", "value"), [("1", True), ("Yes", True), ("off", False), ("", False)]
)
def test_a_flag_is_yes_or_no(monkeypatch: pytest.MonkeyPatch, text: str, value: bool) -> None:
    monkeypatch.setenv("X", text)
    assert env.flag("X", not value) is value


@pytest.mark.parametrize("text", ["ten", "1.5", "-1", "101"])
def test_a_number_out_of_range_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("X", text)
    with pytest.raises(ImproperlyConfigured, match=f"X='{text}'.*from 0 to 100"):
        env.number("X", 5, least=0, most=100)


@pytest.mark.parametrize(
    ("name", "text"), [("TASKFARM_LOG_LEVEL", "LOUD"), ("TASKFARM_TIME_ZONE", "Mars/Olympus")]
)
def test_a_word_that_is_not_known_is_refused_by_name(name: str, text: str) -> None:
    result = manage("check", **{name: text})
    assert result.returncode != 0
    assert f"{name}='{text}' is not known" in result.stderr


def test_a_flag_that_is_neither_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("X", "maybe")
    with pytest.raises(ImproperlyConfigured, match="X='maybe'"):
        env.flag("X", True)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("", {"ENGINE": "django.db.backends.sqlite3", "NAME": "/farm/default.sqlite3"}),
        ("sqlite:///farm.db", {"NAME": "farm.db"}),
        ("sqlite:////data/farm.db", {"NAME": "/data/farm.db"}),
        (
            "postgresql://u:p%40ss@h:5433/farm?sslmode=require",
            {
                "ENGINE": "django.db.backends.postgresql",
                "NAME": "farm", "USER": "u", "PASSWORD": "p@ss", "HOST": "h", "PORT": "5433",
                "OPTIONS": {"sslmode": "require"},
            },
        ),
        ("postgresql://u@/farm?host=/run/pg", {"HOST": "/run/pg", "PASSWORD": "", "PORT": ""}),
        ("postgresql+psycopg2://u@h/farm", {"NAME": "farm"}),
        ("pgserver:///data/pg", {"ENGINE": "taskfarm_site.pgserver", "NAME": "taskfarm"}),
    ],
)  # fmt: skip
def test_a_database_url_is_understood(url: str, expected: dict[str, object]) -> None:
    found = databases.database(url, default=Path("/farm/default.sqlite3"))
    assert expected.items() <= found.items()


@pytest.mark.parametrize(
    "url",
    ["mysql://u:secret@h/farm", "postgresql://u:secret@h", "sqlite://", "farm.db", "pgserver:///"],
)
def test_a_database_url_that_is_not_understood_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="not understood") as refusal:
        databases.database(url, default=Path("x"))
    assert "secret" not in str(refusal.value)


def test_a_key_is_made_once_and_kept_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / ".secret-key"
    key = secret_key.find("", local_only=True, path=path)
    assert len(key) >= 50
    assert secret_key.find("", local_only=True, path=path) == key
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_an_empty_key_file_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / ".secret-key"
    path.write_text("")
    assert len(secret_key.find("", local_only=True, path=path)) >= 50


def test_a_farm_for_others_does_not_start_without_a_key() -> None:
    result = manage("check", ALLOWED_HOSTS="farm.example.org")
    assert result.returncode != 0
    assert "SECRET_KEY is not set" in result.stderr


def test_a_bad_value_stops_the_start_and_names_the_variable() -> None:
    result = manage("check", TASKFARM_MAX_TASKS="lots")
    assert result.returncode != 0
    assert "TASKFARM_MAX_TASKS='lots' must be a whole number" in result.stderr


def test_the_documented_production_settings_pass_the_deployment_check() -> None:
    result = manage(
        "check", "--deploy", "--fail-level", "WARNING", "--tag", "security", **PRODUCTION
    )
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(
    ("change", "id"),
    [
        ({"DATABASE_URL": ""}, "taskfarm.W001"),
        ({"ALLOWED_HOSTS": ""}, "taskfarm.W002"),
        ({"ALLOWED_HOSTS": "*"}, "taskfarm.W003"),
        ({"TASKFARM_PROXIES": "0"}, "taskfarm.W004"),
        ({"TASKFARM_PROXIES": "0", "TASKFARM_METRICS_ALLOW": "127.0.0.1"}, "taskfarm.W006"),
    ],
)
def test_what_a_user_can_misconfigure_is_told_with_a_hint(change: dict[str, str], id: str) -> None:
    variables = {name: text for name, text in {**PRODUCTION, **change}.items() if text}
    result = manage("check", "--deploy", **variables)
    assert id in result.stderr
    assert "HINT" in result.stderr


def test_an_old_sqlite_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from taskfarm_site import checks

    monkeypatch.setattr(checks.sqlite3, "sqlite_version_info", (3, 34, 1))
    assert [found.id for found in checks.check_sqlite()] == ["taskfarm.E001"]


def test_sqlite_is_opened_in_wal_mode_and_writes_begin_immediate(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/farm.sqlite3"
    script = (
        "import json; from django.db import connection; c = connection.cursor();"
        "c.execute('PRAGMA journal_mode'); mode = c.fetchone()[0];"
        "print(json.dumps([mode, connection.transaction_mode]))"
    )
    result = manage("shell", "-v", "0", "-c", script, DATABASE_URL=url)
    assert json.loads(result.stdout) == ["wal", "IMMEDIATE"]


def test_a_client_is_known_by_its_address_unless_our_proxy_says_otherwise(
    settings: object, rf: object
) -> None:
    from accounts.lockout import client_address

    def seen(proxies: int, forwarded: str) -> str:
        settings.PROXIES = proxies  # type: ignore[attr-defined]
        request = rf.get(  # type: ignore[attr-defined]
            "/", headers={"X-Forwarded-For": forwarded}, REMOTE_ADDR="10.0.0.9"
        )
        return client_address(request)

    assert seen(0, "6.6.6.6") == "10.0.0.9"
    assert seen(1, "6.6.6.6, 192.0.2.7") == "192.0.2.7"
    assert seen(2, "192.0.2.7, 10.0.0.1") == "192.0.2.7"
    assert seen(3, "192.0.2.7, 10.0.0.1") == "10.0.0.9"


@pytest.mark.parametrize("words", [["runs"], ["migrate"], ["adduser", "zoe", "-p", "x"]])
@pytest.mark.parametrize(
    ("url", "where"),
    [
        ("postgresql://farm:hush@127.0.0.1:1/tiles", "'tiles' at 127.0.0.1, port 1: "),
        ("postgresql:///tiles?host=/nowhere", "'tiles' at /nowhere: "),
        ("sqlite:////nowhere/farm.db", "file /nowhere/farm.db: "),
    ],
)
def test_a_database_that_cannot_be_reached_is_told_on_one_line(
    words: list[str], url: str, where: str
) -> None:
    result = manage(*words, DATABASE_URL=url)
    assert result.returncode == 1
    assert "hush" not in result.stderr
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"No connection to the database {where}")
    assert "DATABASE_URL" in line


@pytest.mark.parametrize(
    "words", [["runs"], ["createrun", "--tasks", "3"], ["adduser", "zoe", "-p", "x"], ["sweep"]]
)
def test_before_migrate_commands_say_what_to_type(tmp_path: Path, words: list[str]) -> None:
    result = manage(*words, DATABASE_URL=f"sqlite:///{tmp_path}/farm.db")
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1] == (
        "The database is not ready: it has no tables yet, or those of an earlier version. "
        "Type 'manage.py migrate' first."
    )
    assert "Traceback" not in result.stderr
