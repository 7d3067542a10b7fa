"""A file that may hold a password is refused when others can use it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from taskfarm_worker import ConfigurationError
from taskfarm_worker._config import resolve


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / ".config/taskfarm/config.ini"
    path.parent.mkdir(parents=True)
    path.write_text("[taskfarm]\nuser = fay\npassword = hush\n")
    path.chmod(0o600)
    return path


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_a_private_file_is_used(file: Path, mode: int) -> None:
    file.chmod(mode)
    assert resolve().user == "fay"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o644, 0o777, 0o601])
def test_a_file_that_others_can_use_is_refused(file: Path, mode: int) -> None:
    file.chmod(mode)
    with pytest.raises(ConfigurationError, match=f"mode {mode:04o}.*chmod 600 {file}"):
        resolve()


def test_a_file_of_another_user_is_refused(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    owner = file.stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    with pytest.raises(ConfigurationError, match=f"another user \\(uid {owner}\\)"):
        resolve()


def test_a_link_is_judged_by_what_it_leads_to(file: Path, tmp_path: Path) -> None:
    target = tmp_path / "shared.ini"
    target.write_text("[taskfarm]\nuser = mallory\n")
    target.chmod(0o644)
    file.unlink()
    file.symlink_to(target)
    with pytest.raises(ConfigurationError, match="mode 0644"):
        resolve()


def test_a_directory_is_refused(file: Path) -> None:
    file.unlink()
    file.mkdir()
    with pytest.raises(ConfigurationError, match=str(file)):
        resolve()


def test_a_file_that_is_not_needed_is_not_looked_at(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.chmod(0o666)
    assert resolve("http://host", "ann", "pw").user == "ann"
    monkeypatch.setenv("TASKFARM_URL", "http://host")
    assert resolve(token="tok").url == "http://host/api/"
    monkeypatch.delenv("TASKFARM_URL")
    with pytest.raises(ConfigurationError):
        resolve(user="ann", password="pw")  # it could hold the address
