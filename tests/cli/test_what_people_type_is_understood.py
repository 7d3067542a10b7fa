"""Times, templates, lists and command lines, without a server."""

import argparse
import math
import os
import subprocess
import sys
import tomllib
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from taskfarm_worker import InvalidArgumentError, _rows
from taskfarm_worker.cli._numbers import finite
from taskfarm_worker.cli._parser import parse
from taskfarm_worker.cli._screen import counted, span
from taskfarm_worker.cli._state import GROUPS, Look, failed_in_words, printable
from taskfarm_worker.cli._times import limit, moment, seconds
from taskfarm_worker.commands import jobs, lists
from taskfarm_worker.commands.atlas import count_events
from taskfarm_worker.commands.launching import arguments
from taskfarm_worker.commands.templates import Template

from tests.server import ROOT

pytestmark = pytest.mark.once


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No server here."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("text", "value"),
    [("90", 90), ("90s", 90), ("1.5m", 90), ("15min", 900), ("4h", 14400), ("2d", 172800),
     ("30:00", 1800), ("4:00:00", 14400), ("1-12:00", 129600), ("1-12:00:30", 129630)],
)  # fmt: skip
def test_spans(text: str, value: float) -> None:
    assert seconds(text) == value


@pytest.mark.parametrize("text", ["", "soon", "-5", "5 weeks", "1:2:3:4"])
def test_no_spans(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="no span of time"):
        seconds(text)


@pytest.mark.parametrize("text", ["nan", "inf", "-Infinity", "1e999", "much"])
def test_a_share_is_a_number(text: str) -> None:
    assert finite("2.5") == 2.5
    with pytest.raises(argparse.ArgumentTypeError, match="no number"):
        finite(text)
    with pytest.raises(SystemExit):
        parse(["create", "--tasks", "1", f"--max-fail-percent={text}"])


def test_no_limit_and_no_moment_far_beyond_all_time() -> None:
    assert (limit("none"), limit("90s")) == (math.inf, 90)
    with pytest.raises(argparse.ArgumentTypeError, match="too far away"):
        moment("+99999999999d")


def test_what_nobody_can_read_is_shown_safely() -> None:
    shown = printable("\ufffd\x00\x1b[2J" + 500 * "x")
    assert shown.startswith("???[2Jx")
    assert len(shown) == 200


def test_json_that_is_nested_without_end_is_refused_with_its_line(here: Path) -> None:
    Path("deep.ndjson").write_text("1\n" + 100_000 * "[" + "\n")
    with pytest.raises(InvalidArgumentError, match=r"deep\.ndjson, line 2"):
        lists.read("deep.ndjson", "ndjson")


@pytest.mark.parametrize("words", [("tasks", "last", "--limit", "-1"), ("ls", "--limit", "0"),
                                   ("logs", "last", "-1"), ("explain", "last", "x")])  # fmt: skip
def test_numbers_out_of_range_are_refused_as_typed(words: tuple[str, ...]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "taskfarm_worker", *words], capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert f"{words[-1]!r} is no whole number from" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_number_of_an_error_is_one_that_failures_shows() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "taskfarm_worker", "restart", "last", "--error", "nonsense"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert (
        "'nonsense' is not the number of an error, which 'taskfarm failures RUN' shows"
        in done.stderr
    )


def test_one_is_no_plural() -> None:
    assert [counted(number, "job") for number in (0, 1, 2000)] == ["0 jobs", "1 job", "2,000 jobs"]
    groups = [{"count": 1, "essence": "spoilt", "error": "spoilt", "task": 3}] * (GROUPS + 2)
    for more, words in ((1, "1 more kind of error"), (2, "2 more kinds of errors")):
        last = failed_in_words(Look({}, groups[: GROUPS + more], None))[-1]
        assert last == f"failed   … and {words}"


@pytest.mark.parametrize("words", ["completion bash", "--help", "status --help"])
@pytest.mark.parametrize(
    ("redirected", "code", "told"),
    [("> /dev/full", 1, "taskfarm: Output cannot be written: No space left on device.\n"),
     ("| true", 0, ""), (">&-", 0, "")],
)  # fmt: skip
def test_output_that_nobody_takes_is_an_error_only_where_it_is_full(
    words: str, redirected: str, code: int, told: str
) -> None:
    call = f"{sys.executable} -m taskfarm_worker {words} {redirected}"
    command = f"{call}; echo ${{PIPESTATUS[0]}} >&2"
    buffered = {**os.environ, "PYTHONUNBUFFERED": ""}
    done = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, check=False, env=buffered
    )
    assert done.stderr == f"{told}{code}\n"


def test_moments_are_ahead() -> None:
    now = datetime(2026, 11, 20, 12, 0).astimezone()  # a Friday
    assert moment("18:00", now) == now + timedelta(hours=6)
    assert moment("9:30", now) == now + timedelta(hours=21.5)
    assert moment("Fri 18:00", now) == now + timedelta(hours=6)
    assert moment("friday 9:00", now) == now + timedelta(days=7, hours=-3)
    assert moment("Mon 12:00", now) == now + timedelta(days=3)
    assert moment("+90m", now) == now + timedelta(minutes=90)
    assert moment("2026-12-01 08:00", now) == datetime(2026, 12, 1, 8).astimezone()
    assert moment("2026-12-01T08:00:00Z", now).utcoffset() is not None
    for text in ("", "25:00", "12:61", "Fri", "someday 12:00"):
        with pytest.raises(argparse.ArgumentTypeError, match="no moment"):
            moment(text, now)


def test_spans_are_shown() -> None:
    assert [span(one) for one in (5, 200, 14700, 183600)] == [
        "5 s", "3 min 20 s", "4 h 05 min", "2 d 3 h"
    ]  # fmt: skip


def test_templates_quote_what_they_fill_in() -> None:
    template = Template("prog {name} --n {n:03d} {{literal}} {list:raw} {task}")
    given = {"name": "a b; rm -rf $HOME", "n": 7, "list": "-v -v"}
    assert template.fill(5, given) == "prog 'a b; rm -rf $HOME' --n 007 {literal} -v -v 5"
    assert Template("cat {input}").fill(0, "a'b") == "cat 'a'\"'\"'b'"
    with pytest.raises(InvalidArgumentError, match="no 'name'"):
        template.fill(1, {})
    with pytest.raises(InvalidArgumentError, match="does not fit"):
        Template("{n:03d}").fill(1, {"n": "seven"})
    for text in ("prog {", "awk '{print $1}'", "prog {}"):
        with pytest.raises(InvalidArgumentError, match=r"{{ and }}"):
            Template(text)


@pytest.mark.parametrize("head", ["tile;year", "tile\tyear"])
def test_a_table_without_commas_is_told_that_they_separate_its_columns(head: str) -> None:
    told = r"there are only: .*\. The columns of a CSV are separated by commas\.$"
    with pytest.raises(InvalidArgumentError, match=told):
        Template("prog {tile}").check({head: "4"})
    with pytest.raises(InvalidArgumentError, match=r"only: task, input, a, b;c\. Write"):
        Template("prog {tile}").check({"a": 1, "b;c": 2})


@pytest.mark.parametrize(
    ("extra", "missing", "call"),
    [("launch", ["psij"], jobs._psij), ("parquet", ["pyarrow"], _rows._pyarrow),
     ("atlas", ["uproot", "ROOT"], lambda: count_events("a.root"))],
)  # fmt: skip
def test_what_is_not_installed_is_told_by_the_extra_that_brings_it(
    monkeypatch: pytest.MonkeyPatch, extra: str, missing: list[str], call: Callable[[], object]
) -> None:
    for name in missing:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(InvalidArgumentError, match=rf"pip install 'taskfarm-worker\[{extra}\]'"):
        call()
    project = tomllib.loads((ROOT / "worker_client/pyproject.toml").read_text())["project"]
    assert extra in project["optional-dependencies"]


def test_lists_are_read_as_pytaskfarmer_does(here: Path) -> None:
    file = here / "work.tasks"
    file.write_text("\ufeffone\n#no\n\n  two  \n   \nthree # four\n  #five\n", "utf-8")
    assert lists.read(str(file), "lines") == ["one", "two", "three # four", "#five"]


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [("a.csv", "a,b\n1\n", "line 2"), ("b.csv", "b,a,a\n1,2,3\n", "each once: 'a' stands"),
     ("f.csv", '"a,b\n1,2\n', "line 2"), ("g.csv", "a,\n1,2\n", "each once.$"),
     ("h.csv", "a\n1\n\0\n", "line 3: it has a NUL"), ("i.tasks", "one\n\ntwo\0\n", "line 3"),
     ("c.csv", "a,b\n1,2,3\n", "line 2"), ("d.ndjson", '{"a": 1}\n{"a": \n', "line 2"),
     ("e.csv", "", "first line")],
)  # fmt: skip
def test_what_is_no_table_is_refused_with_its_line(
    here: Path, name: str, text: str, reason: str
) -> None:
    (here / name).write_text(text)
    with pytest.raises(InvalidArgumentError, match=reason):
        lists.read(name, lists.format_of(name))


def test_a_shell_is_used_only_where_one_is_needed(here: Path) -> None:
    assert arguments("true")[0].endswith("/true")
    assert arguments("ls -l  /tmp/a,b=c")[1] == ["ls", "-l", "/tmp/a,b=c"]
    script = here / "script"
    script.write_text("echo no first line\n")
    script.chmod(0o755)
    for command in (
        "echo $HOME", "ls *.nc", "a | b", "X=1 true", "cd /tmp", "exit 3", "echo 'a'", "true # no",
        "no-such-program", "echo ~", "./script", "true\ttrue\ntrue", "a & b", "ulimit -n",
    ):  # fmt: skip
        assert arguments(command) == ("/bin/sh", ["/bin/sh", "-c", command])
