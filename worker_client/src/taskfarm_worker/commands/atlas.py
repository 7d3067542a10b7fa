"""The tasklist handlers of ATLAS: an input file per line, or a part of its events per task.

Their commands are those of PyTaskFarmer: the program with its options, then rsync of the output to
the folder `output` in the working folder. They need a shell, which the basic runner gives them.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Iterator
from pathlib import Path

from .._errors import InvalidArgumentError
from . import lists
from .tasklists import TaskList

TREE = "CollectionTree"


class AtlasTaskList(TaskList):
    """What both have in common: input files, where output goes, parts of files."""

    def __init__(self, path: str, workdir: str, maxEventsPerJob: str | None) -> None:
        """Read the list of input files, and make the folder for output.

        Args:
            path: the tasklist.
            workdir: the working folder.
            maxEventsPerJob: the largest number of events of a task.

        Raises:
            InvalidArgumentError: it is no number above 0.
        """
        super().__init__(path, workdir)
        self.files: list[str] = lists.read(path, "lines")
        self.most = None if maxEventsPerJob is None else _number(maxEventsPerJob)
        folder = Path(workdir, "output")
        folder.mkdir(parents=True, exist_ok=True)
        self.outdir = str(folder.resolve())

    def parts(self, file: str) -> Iterator[tuple[int, int] | None]:
        """Divide a file.

        Args:
            file: the file.

        Yields:
            how many events to skip and how many to do at most; None for the whole file.
        """
        if self.most is None:
            yield None
            return
        for index in range(math.ceil(count_events(file) / self.most)):
            yield int(index * self.most), int(self.most)


class TransformTaskList(AtlasTaskList):
    """Runs an ATLAS transform on each input file."""

    def __init__(
        self,
        path: str,
        workdir: str,
        transform: str,
        input: str,
        output: str,
        maxEventsPerJob: str | None = None,
        **options: str,
    ) -> None:
        """Make the commands.

        Args:
            path: the tasklist.
            workdir: the working folder.
            transform: such as `Sim_tf.py`.
            input: type of the input, such as `EVNT`.
            output: type of the output, such as `HITS`.
            maxEventsPerJob: the largest number of events of a task.
            options: given to the transform as `--name 'value'`.
        """
        super().__init__(path, workdir, maxEventsPerJob)
        self.input, self.output = input, output
        self.cmd = [transform, *(f"--{name} '{value}'" for name, value in options.items())]
        for number, file in enumerate(self.files):
            for index, part in enumerate(self.parts(file)):
                self.tasks.append(self._command(number, index, file, part))

    def _command(self, number: int, index: int, file: str, part: tuple[int, int] | None) -> str:
        name = f"{self.output}.{number}" + (".root" if part is None else f".{index}.root")
        words = [*self.cmd, f"--input{self.input}File {file}", f"--output{self.output}File {name}"]
        if part is not None:
            words += [f"--skipEvents {part[0]}", f"--maxEvents {part[1]}"]
        return " ".join([*words, "&&", "rsync", "-avr", name, self.outdir])


class AthenaTaskList(AtlasTaskList):
    """Runs athena with job options on each input file."""

    def __init__(
        self,
        path: str,
        workdir: str,
        jobOptions: str,
        output: str,
        maxEventsPerJob: str | None = None,
        **options: str,
    ) -> None:
        """Make the commands.

        Args:
            path: the tasklist.
            workdir: the working folder.
            jobOptions: the file to execute.
            output: name of the output file.
            maxEventsPerJob: the largest number of events of a task.
            options: given to athena as `--name 'value'`.
        """
        super().__init__(path, workdir, maxEventsPerJob)
        self.jobOptions, self.output = jobOptions, output
        self.args = options
        for file in self.files:
            for part in self.parts(file):
                self.tasks.append(self._command(file, part))

    def _command(self, file: str, part: tuple[int, int] | None) -> str:
        words = ["athena.py", *(f"--{name} '{value}'" for name, value in self.args.items())]
        words.append(f"--filesInput {file}")
        if part is not None:
            words += [f"--skipEvents {part[0]}", f"--evtMax {part[1]}"]
        copy = f"{self.outdir}/{self.output}.{len(self.tasks)}"
        return " ".join([*words, self.jobOptions, "&&", "rsync", "-avr", self.output, copy])


def count_events(file: str) -> int:
    """Count the events in a ROOT file, which needs `uproot` (or PyROOT).

    Args:
        file: path or address.

    Returns:
        the number of entries of its CollectionTree.

    Raises:
        InvalidArgumentError: the file cannot be read, or nothing that reads it is installed.
    """
    try:
        uproot = importlib.import_module("uproot")
    except ImportError:
        return _count_with_root(file)
    try:
        with uproot.open(file) as opened:
            return int(opened[TREE].num_entries)
    except Exception as error:  # whatever uproot, or what it reads through, raises
        reason = str(error).strip().splitlines() or [repr(error)]
        raise InvalidArgumentError(f"{file} has no {TREE} to count: {reason[0]}") from None


def _count_with_root(file: str) -> int:
    try:
        root = importlib.import_module("ROOT")
    except ImportError:
        raise InvalidArgumentError(
            "maxEventsPerJob needs uproot to count events: pip install 'taskfarm-worker[atlas]'"
        ) from None
    tree = root.TFile.Open(file).Get(TREE)
    return int(tree.GetEntries())


def _number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 1 <= number < math.inf:
        raise InvalidArgumentError(f"maxEventsPerJob is {text!r}; it must be 1 or more.")
    return number
