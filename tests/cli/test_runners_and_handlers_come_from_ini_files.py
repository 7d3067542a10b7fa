"""Runners and tasklist handlers: those of PyTaskFarmer, ours, and other people's."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import taskfarmer.task
from taskfarm_worker import ConfigurationError, Farm, InvalidArgumentError
from taskfarm_worker.commands import atlas
from taskfarm_worker.commands.named import OURS, known, runner_named
from taskfarm_worker.commands.tasklists import HANDLERS, handled, product_of
from taskfarmer.runners import BasicRunner, ShifterRunner
from taskfarmer.task import ListTaskList

from tests.cli.conftest import Said, counts

Call = Callable[..., Said]

ECHO = """\
#!/bin/sh
printf '<%s>' "$@"; echo
"""


@pytest.fixture
def tools(here: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand-ins for container tools and ATLAS software, which print how they are called."""
    folder = here / "bin"
    folder.mkdir()
    for name in ("shifter", "apptainer", "docker", "podman"):
        (folder / name).write_text(ECHO)
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")
    return folder


def words(folder: str, number: int = 0) -> list[str]:
    """What a stand-in has printed."""
    return Path(folder, f"logs/log_{number}").read_text().strip()[1:-1].split("><")


def test_the_documented_shifter_runner(process: Call, tools: Path) -> None:
    Path("nersc.ini").write_text(
        "[reco22]\n"
        "Runner = taskfarmer.runners.ShifterRunner\n"
        "image = zlmarshall/atlas-grid-centos7:20191110\n"
        "setup = source ${ATLAS_LOCAL_ROOT_BASE}/user/atlasLocalSetup.sh && date +%s\n"
        "volumes = /a:/b /c:/d\n"
        "modules = cvmfs gpu\n"
        "tempdir = True\n"
    )
    Path("work.tasks").write_text("Reco_tf.py --n 1 | tee out\n")
    said = process("run", "work.tasks", "-n", 1, "--runner", "reco22")
    assert said.code == 0, said.err
    setup = "source ${ATLAS_LOCAL_ROOT_BASE}/user/atlasLocalSetup.sh && date +%s"
    called = words("work.tasks_workdir")
    work = called.pop(2)
    assert called == [
        "--image", "zlmarshall/atlas-grid-centos7:20191110", "-V/a:/b", "-V/c:/d",
        "-mcvmfs", "-mgpu", "--", "/bin/bash", "-c", f"{setup} && Reco_tf.py --n 1 | tee out",
    ]  # fmt: skip
    assert work.startswith("--workdir=")
    assert not Path(work.partition("=")[2]).exists()


@pytest.mark.parametrize(
    ("section", "begins", "holds"),
    [("ApptainerRunner\nvolumes = /data", ["exec", "--bind", "/data", "i.sif"], []),
     ("DockerRunner", ["run", "--rm", "--init", "--user"], ["PROC_NUMBER"]),
     ("PodmanRunner\noptions = --cpus 2", ["run", "--rm", "--init", "--userns=keep-id"],
      ["--cpus", "2", "TASKFARM_INPUT"])],
)  # fmt: skip
def test_containers(
    process: Call, tools: Path, section: str, begins: list[str], holds: list[str]
) -> None:
    Path("r.ini").write_text(f"[box]\nRunner = {section}\nimage = i.sif\n")
    Path("work.tasks").write_text("prog 'a b'\n")
    assert process("run", "work.tasks", "-r", "box").code == 0
    called = words("work.tasks_workdir")
    assert called[: len(begins)] == begins
    assert called[-4:] == ["i.sif", "/bin/bash", "-c", "prog 'a b'"]
    assert set(holds) <= set(called)


def test_every_runner_and_handler_goes_by_the_name_of_pytaskfarmers_too(
    here: Path, tools: Path
) -> None:
    for name, kind in OURS.items():
        image = "" if name in ("BasicRunner", "ShellRunner") else "image = i.sif\n"
        Path("r.ini").write_text(f"[one]\nRunner = taskfarmer.runners.{name}\n{image}")
        assert type(runner_named("one")) is kind
    for name, kind in HANDLERS.items():
        assert getattr(taskfarmer.task, name) is kind


def test_the_shell_runner(process: Call) -> None:
    Path("r.ini").write_text("[own]\nRunner = ShellRunner\nsetup = X=7\ntempdir = yes\n")
    Path("work.tasks").write_text("echo $X; pwd\n")
    assert process("run", "work.tasks", "-r", "own").code == 0
    seven, folder = Path("work.tasks_workdir/logs/log_0").read_text().split()
    assert (seven, Path(folder).exists()) == ("7", False)


THEIRS = '''\
import subprocess

from taskfarmer.runners import BasicRunner, Runner


class Twice(BasicRunner):
    """Overrides run, as PyTaskFarmer documents it."""

    def __init__(self, word, **others):
        super().__init__()
        self.word = word

    def run(self, taskid, command, logfh):
        for _ in range(2):
            self.execute = subprocess.Popen(command.split(), stdout=logfh, stderr=logfh)
            code = self.execute.wait()
        logfh.write(f"{self.word} {taskid}\\n")
        return code


class Broken(Runner):
    def run(self, taskid, command, logfh):
        raise KeyError("no such queue")


class Numbers:
    """A tasklist handler that derives from nothing."""

    def __init__(self, path, workdir, most):
        self.most = int(most)

    def __len__(self):
        return self.most

    def __getitem__(self, taskid):
        return f"echo {taskid ** 2}"
'''


def test_classes_of_others_by_their_path(process: Call, farm: Farm) -> None:
    Path("theirs.py").write_text(THEIRS)
    Path("r.ini").write_text(
        "[twice]\nRunner = theirs.Twice\nword = task\n[broken]\nRunner = theirs:Broken\n"
        "[numbers]\nTaskList = theirs.Numbers\nmost = 3\n"
    )
    Path("work.tasks").write_text("echo hello\nfalse\n")
    assert process("run", "work.tasks", "-r", "twice", "-w", "w").code == 3
    assert Path("w/logs/log_0").read_text() == "hello\nhello\ntask 0\n"
    assert process("run", "work.tasks", "-r", "broken", "-w", "broken").code == 3
    run = farm.run(json.loads(Path("broken/taskfarm.json").read_text())["run"])
    assert counts(run) == {"failed": 2}
    assert "KeyError: 'no such queue'" in run.failure_groups()[0]["error"]
    assert process("run", "work.tasks", "-t", "numbers", "-w", "n", "-n", 1).code == 0
    assert [Path(f"n/logs/log_{n}").read_text() for n in range(3)] == ["0\n", "1\n", "4\n"]
    assert process("run", "-w", "n").code == 0  # the handler is remembered


def test_names_are_found_in_homes_and_here(here: Path) -> None:
    for home, shell in ((".pytaskfarmer", "/bin/sh"), (".taskfarm", "/bin/bash")):
        folder = here / home / "runners.d"
        folder.mkdir(parents=True)
        (folder / "a.ini").write_text(f"[mine]\nRunner = ShellRunner\nshell = {shell}\n")
    Path("tox.ini").write_text("this is no configuration\n")
    Path("other.ini").write_text("[other]\nkey = value\n")
    assert runner_named("mine").shell.endswith("/bash")
    assert type(runner_named("default")) is BasicRunner
    with pytest.raises(ConfigurationError, match=r"no runner 'nine'.*default, mine, shell"):
        runner_named("nine")
    Path("wrong.py").write_text("class Syntax(:\n")
    Path("wrong2.py").write_text(
        "class Raises:\n    def __init__(self):\n        raise ValueError('nobody told me')\n"
    )
    assert type(runner_named("taskfarmer.runners.BasicRunner")) is BasicRunner
    for text, reason in (
        ("Runner = nowhere.Class", "cannot be loaded"),
        ("Runner = taskfarmer.runners.ShifterRunner", "image"),
        ("Runner = pathlib.Path", "no method 'run'"),
        ("Runner = ShellRunner\ntempdir = perhaps", "True or False"),
        ("Runner = wrong.Syntax", "cannot be loaded: SyntaxError"),
        ("Runner = wrong2.Raises", "ValueError: nobody told me"),
    ):
        Path("here.ini").write_text(f"[mine]\n{text}\n")
        with pytest.raises(ConfigurationError, match=reason):
            runner_named("mine")


def test_a_file_that_makes_no_sense_is_named(
    here: Path, taskfarm: Call, caplog: pytest.LogCaptureFixture
) -> None:
    folder = here / ".taskfarm" / "runners.d"
    folder.mkdir(parents=True)
    (folder / "bad.ini").write_text("[default\nRunner = ShellRunner\n")
    with pytest.raises(ConfigurationError, match=r"bad\.ini is passed over: line 1 is neither"):
        runner_named("mine")
    assert type(runner_named("default")) is BasicRunner
    assert "bad.ini is passed over" in caplog.text


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"hello\n", "line 1 is neither a section, such as [name], nor in one"),
        (b"[mine]\nok = 1\nhello\n", "line 3 is not of the form NAME = VALUE"),
        (b"[mine]\n[mine]\n", "line 2: there is a section [mine] already"),
        (b"[mine]\na = 1\na = 2\n", "line 3: [mine] has 'a' already"),
        (b"\xff\xfe\n", "it is no text in UTF-8"),
    ],
)
def test_why_a_file_makes_no_sense_is_said_in_words(here: Path, text: bytes, reason: str) -> None:
    Path("broken.ini").write_bytes(text)
    assert known("Runner", ()) == ([], [f"broken.ini is passed over: {reason}"])


@pytest.mark.parametrize(
    ("runner", "option", "told"),
    [
        (
            "ShellRunner", "shel",
            "ShellRunner has no option 'shel': it takes shell, setup, tempdir.",
        ),
        (
            "DockerRunner\nimage = a", "volume", "DockerRunner has no option 'volume': "
            "it takes image, options, setup, volumes, tempdir, shell.",
        ),
        ("BasicRunner", "x", "BasicRunner has no option 'x': it takes none."),
        ("theirs4.Open", "x", "TypeError: theirs4.other() got an unexpected keyword argument 'x'"),
        ("theirs4.Narrow", "x", "Narrow has no option 'x': it takes y."),
    ],
)  # fmt: skip
def test_an_option_that_a_class_does_not_know_is_named_with_those_it_knows(
    here: Path, monkeypatch: pytest.MonkeyPatch, runner: str, option: str, told: str
) -> None:
    monkeypatch.delitem(sys.modules, "theirs4", raising=False)
    Path("theirs4.py").write_text(
        "def other(): pass\nother.__qualname__ = 'theirs4.other'\n"
        "class Open:\n    def __init__(self, **given): other(**given)\n"
        "class Narrow:\n    def __init__(self, *, y=1): pass\n"
    )
    Path("r.ini").write_text(f"[mine]\nRunner = {runner}\n{option} = 1\n")
    with pytest.raises(ConfigurationError) as caught:
        runner_named("mine")
    assert str(caught.value) == f"r.ini [mine]: {told}"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("Runner = leaves.Ends", "leaves.Ends cannot be loaded: SystemExit: 0."),
        ("Runner = leaves_later.Ends", "SystemExit: 7"),
        ("Runner =", "'Runner =' names no class, such as ApptainerRunner."),
        ("Runner = Mine", "Mine cannot be loaded: it is no class of ours, and others are named"),
    ],
)
def test_a_runner_that_cannot_be_made_ends_nothing_in_silence(
    here: Path, taskfarm: Call, text: str, told: str
) -> None:
    Path("leaves.py").write_text("import sys; sys.exit(0)\n")
    Path("leaves_later.py").write_text("class Ends:\n    def __init__(self): raise SystemExit(7)\n")
    Path("r.ini").write_text(f"[mine]\n{text}\n")
    Path("list").write_text("true\n")
    said = taskfarm("run", "list", "--runner", "mine")
    assert (said.code, f"r.ini [mine]: {told}" in said.err) == (1, True), said.err
    assert not Path("list_workdir").exists()


def test_a_file_of_an_editor_that_marks_utf_8_is_read(here: Path) -> None:
    Path("r.ini").write_text("[mine]\nRunner = ShellRunner\n", "utf-8-sig")
    assert known("Runner", ()) == (["mine"], [])


def test_a_broken_file_is_told_once_wherever_it_is_looked_into(process: Call, here: Path) -> None:
    Path("bad.ini").write_text("[mine\nRunner = ShellRunner\n")
    Path("list").write_text("true\n")
    told = [line for line in process("run", "list").err.splitlines() if "bad.ini" in line]
    assert len(told) == 1
    assert told[0].startswith("taskfarm: bad.ini is passed over: line 1 is neither a section")
    assert "bad.ini" in process("submit", "list").err
    assert "bad.ini" not in process("submit", "list", "--quiet").err
    assert "bad.ini" not in process("status", "last").err
    assert process("completion", "bash", "--of", "runners").err == ""


def test_a_handler_that_fails_is_told_in_a_line(here: Path, taskfarm: Call) -> None:
    Path("theirs3.py").write_text(
        "class Bad:\n    def __init__(self, path, workdir): pass\n"
        "    def __len__(self): return 1\n    def __getitem__(self, task): raise KeyError('x')\n"
        "class Odd(Bad):\n    def __getitem__(self, task): return {1, 2}\n"
        "class Gone(Bad):\n    def __getitem__(self, task): raise SystemExit(0)\n"
    )
    names = ("bad", "odd", "gone")
    Path("t.ini").write_text(
        "".join(f"[{one}]\nTaskList = theirs3.{one.title()}\n" for one in names)
    )
    Path("list").write_text("x\n")
    for name in names:
        said = taskfarm("submit", "list", "-t", name)
        assert (said.code, said.err.count("\n"), "t.ini" in said.err) == (1, 1, True), said.err


def test_runners_work_for_those_who_call_them(here: Path, tools: Path) -> None:
    with open("log", "w") as log:
        assert BasicRunner().run(7, "echo $PROC_NUMBER", log) == 0
        assert BasicRunner().run(7, "exit 3", log) == 3
        assert ShifterRunner("image", tempdir="False").run(0, "true", log) == 0
    assert Path("log").read_text() == "7\n<--image><image><--></bin/bash><-c><true>\n"


def test_globs_and_products_make_tasks(taskfarm: Call, farm: Farm, process: Call) -> None:
    Path("data").mkdir()
    for name in ("b.nc", "a x.nc"):
        Path("data", name).touch()
    said = process("submit", "--glob", "data/*.nc", "--command", "ls {file}", "-q")
    assert process("work", said.out.strip(), "-n", 1, "-w", "g").code == 0
    assert [Path(f"g/logs/log_{n}").read_text() for n in (0, 1)] == ["data/a x.nc\n", "data/b.nc\n"]
    grid = ("--product", "a=1..3", "--product", "b='x y' z", "--command", "echo {a} {b}")
    assert process("run", "-w", "p", *grid, "-n", 1).code == 0
    lines = [Path(f"p/logs/log_{n}").read_text() for n in range(6)]
    assert lines == ["1 x y\n", "1 z\n", "2 x y\n", "2 z\n", "3 x y\n", "3 z\n"]
    assert "No file is found" in taskfarm("submit", "--glob", "*.doc", "--command", "x").err
    assert "Name a tasklist" in taskfarm("submit").err


def test_handlers_of_ours(here: Path) -> None:
    Path("r.ini").write_text(
        "[grid]\nTaskList = ProductTaskList\ncommand = prog {a}\n"
        "[table]\nTaskList = CsvTaskList\ncommand = prog {a}\n"
        "[default]\nTaskList = taskfarmer.task.ListTaskList\n"
    )
    Path("list").write_text("a = 3..1, 10..30..10\n")
    assert handled("grid", "list", "w") == (
        [{"a": n} for n in ["3", "2", "1", "10", "20", "30"]],
        "prog {a}",
    )
    Path("list").write_text("a\n1\n")
    assert handled("table", "list", "w") == ([{"a": "1"}], "prog {a}")
    assert handled("default", "list", "w") == (["a", "1"], None)
    assert len(ListTaskList("list", "w")) == 2
    for line in ("a", "a =", "= 1", "a = 'x", "a = 1..9..0", "a = 0..99999999999"):
        with pytest.raises(InvalidArgumentError):
            product_of([line])
    with pytest.raises(InvalidArgumentError, match="tasks"):
        product_of([f"{name} = 1..1000" for name in "abc"])


def test_the_handlers_of_atlas(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("r.ini").write_text(
        "[digi]\nTaskList = taskfarmer.atlas.TransformTaskList\n"
        "transform = Reco_tf.py\ninput = HITS\noutput = RDO\n"
        "autoConfiguration = everything\npostInclude = default:PyJobTransforms/UseFrontier.py\n"
        "[part]\nTaskList = taskfarmer.atlas.TransformTaskList\n"
        "transform = Sim_tf.py\ninput = EVNT\noutput = HITS\nmaxEventsPerJob = 400\n"
        "[valid]\nTaskList = taskfarmer.atlas.AthenaTaskList\n"
        "jobOptions = options.py\noutput = M.root\nmaxEventsPerJob = 1e3\nnprocs = 64\n"
    )
    Path("list").write_text("one.root\ntwo.root\n")
    out = here.resolve() / "w/output"
    assert handled("digi", "list", "w")[0] == [
        "Reco_tf.py --autoConfiguration 'everything' "
        "--postInclude 'default:PyJobTransforms/UseFrontier.py' "
        f"--inputHITSFile {file}.root --outputRDOFile RDO.{number}.root && "
        f"rsync -avr RDO.{number}.root {out}"
        for number, file in enumerate(("one", "two"))
    ]
    assert out.is_dir()
    monkeypatch.setattr(atlas, "count_events", {"one.root": 1000, "two.root": 400}.__getitem__)
    parts, _ = handled("part", "list", "w")
    assert [part.split(" && ")[0].partition("HITSFile ")[2] for part in parts] == [
        "HITS.0.0.root --skipEvents 0 --maxEvents 400",
        "HITS.0.1.root --skipEvents 400 --maxEvents 400",
        "HITS.0.2.root --skipEvents 800 --maxEvents 400",
        "HITS.1.0.root --skipEvents 0 --maxEvents 400",
    ]
    assert handled("valid", "list", "w")[0][1] == (
        "athena.py --nprocs '64' --filesInput two.root --skipEvents 0 --evtMax 1000 options.py && "
        f"rsync -avr M.root {out}/M.root.1"
    )


def test_events_are_counted_with_uproot(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uproot = pytest.importorskip("uproot")
    with uproot.recreate("in.root") as file:
        file["CollectionTree"] = {"event": list(range(123))}
    assert atlas.count_events("in.root") == 123
    Path("bad.root").write_text("nothing\n")
    with pytest.raises(InvalidArgumentError, match="no CollectionTree"):
        atlas.count_events("bad.root")
    monkeypatch.setitem(sys.modules, "uproot", None)
    with pytest.raises(InvalidArgumentError, match=r"taskfarm-worker\[atlas\]"):
        atlas.count_events("in.root")
