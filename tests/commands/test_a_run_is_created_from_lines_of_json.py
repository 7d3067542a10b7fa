"""``createrun --inputs FILE``: a task for each line, or nothing at all."""

import io
import json
import os
import signal
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError

from runs import appending, inputs
from runs.models import Run
from tests import factories
from tests.commands.shell import manage

pytestmark = pytest.mark.django_db(transaction=True)
VALUES = ["a.nc", {"x": 1, "text": "ä"}, None, [1, 2.5]]


def written(folder: Path, *lines: str) -> str:
    """A file of lines."""
    path = folder / "inputs.ndjson"
    path.write_text("\n".join(lines), encoding="utf-8")
    return str(path)


def kept(run: Run) -> list[object]:
    """The inputs of a run."""
    texts = inputs.read(run, list(range(run.num_tasks)))
    return [json.loads(texts[number]) for number in range(run.num_tasks)]


def test_each_line_is_the_input_of_a_task(
    alice: User, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(appending, "CHUNK", 3)
    path = written(tmp_path, *map(json.dumps, VALUES[:2]), "", *map(json.dumps, VALUES[2:]))
    uuid = manage("createrun", "--inputs", path, "--name", "tiles", "--task-timeout", "2h").strip()
    run = Run.objects.get()
    assert (uuid, run.name, run.num_tasks, run.task_timeout) == (run.uuid.hex, "tiles", 4, 7200)
    assert kept(run) == VALUES
    assert not run.open
    factories.check_books(run)


def test_standard_input_is_read_and_an_open_run_stays_open(
    alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b'"a"\n"b"\n')))
    manage("createrun", "--inputs", "-", "--open")
    run = Run.objects.get()
    assert (run.num_tasks, run.open, kept(run)) == (2, True, ["a", "b"])


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ("plain text", "Line 3 is no JSON: .*'plain text'.* No run was left behind"),
        ("NaN", "Line 3 is no JSON"),
        ("[" * 100_000, "Line 3 is no JSON"),
        (f'"{"x" * inputs.MOST}"', "Line 3 has"),
        (f'"{"x" * 5 * inputs.MOST}"', "Line 3 has"),
    ],
)
def test_a_line_that_is_refused_leaves_no_run(
    alice: User, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bad: str, reason: str
) -> None:
    monkeypatch.setattr(appending, "CHUNK", 1)
    with pytest.raises(CommandError, match=reason):
        manage("createrun", "--inputs", written(tmp_path, '"a"', '"b"', bad, '"c"'))
    assert sum(factories.count_rows().values()) == 0


@pytest.mark.parametrize("ended_by", [signal.SIGINT, signal.SIGTERM])
def test_who_ends_it_on_the_way_leaves_no_run(
    alice: User, monkeypatch: pytest.MonkeyPatch, ended_by: signal.Signals
) -> None:
    class Slow(io.BytesIO):
        def readline(self, size: int | None = -1) -> bytes:
            if Run.objects.count():
                os.kill(os.getpid(), ended_by)
            return super().readline(size)

    monkeypatch.setattr(appending, "CHUNK", 1)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(Slow(b'"a"\n' * 9)))
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        manage("createrun", "--inputs", "-")
    assert sum(factories.count_rows().values()) == 0
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_file_that_cannot_be_read_is_refused(alice: User, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="cannot be read: No such file"):
        manage("createrun", "--inputs", str(tmp_path / "nothing"))
    (tmp_path / "latin").write_bytes('"a"\n"ö"\n'.encode("latin-1"))
    with pytest.raises(CommandError, match=r"Line 2 is no JSON: .*utf-8"):
        manage("createrun", "--inputs", str(tmp_path / "latin"))
    with pytest.raises(CommandError, match="not allowed with"):
        manage("createrun", "--inputs", "-", "--tasks", "3")
    assert not Run.objects.exists()
