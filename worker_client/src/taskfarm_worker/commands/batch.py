"""Scripts for batch systems, whose jobs give their tasks back before their time is up."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass, field

from .._errors import InvalidArgumentError
from .advice import margin


@dataclass(frozen=True)
class Batch:
    """What to submit.

    Attributes:
        name: of the jobs.
        command: what a job runs, without --timeout.
        folder: where the output of jobs goes.
        jobs: how many jobs.
        nodes: how many nodes each has.
        proc: cores on a node.
        seconds: how long a job may take.
        grace: seconds that commands get to end.
        queue: the queue or partition.
        account: who pays.
        more: further options by name.
    """

    name: str
    command: list[str]
    folder: str
    jobs: int = 1
    nodes: int = 1
    proc: int = 8
    seconds: float = 3600.0
    grace: float = 10.0
    queue: str | None = None
    account: str | None = None
    more: dict[str, str] = field(default_factory=dict)

    @property
    def timed(self) -> list[str]:
        """The command that ends itself in time."""
        seconds = max(1, int(self.seconds - margin(self.grace)))
        return [*self.command, "--timeout", f"{seconds}s"]


def clock(seconds: float) -> str:
    """Write a time as batch systems do.

    Args:
        seconds: how long.

    Returns:
        hours:minutes:seconds.
    """
    whole = int(seconds)
    return f"{whole // 3600:02d}:{whole % 3600 // 60:02d}:{whole % 60:02d}"


def quoted(text: str, *, escape: str = "", system: str, option: str = "--workdir") -> str:
    """A value for the directive of a batch system, which no shell reads.

    Args:
        text: the value.
        escape: a character that means something else there, and itself where it is doubled.
        system: for an error message.
        option: where the value comes from, likewise.

    Returns:
        the value, in quotation marks where that matters.

    Raises:
        InvalidArgumentError: it cannot be said there.
    """
    if any(one in '"\\' or not one.isprintable() for one in text):
        raise InvalidArgumentError(
            f"A directive of {system} cannot name {text!r}: take another {option}."
        )
    doubled = text.replace(escape, 2 * escape) if escape else text
    plain = all(one.isalnum() or one in "/._-%+=@:," for one in doubled)
    return doubled if plain else f'"{doubled}"'


def _more(batch: Batch, queue: str, account: str, system: str) -> dict[str, str]:
    """Further options by the batch system's names: the queue, who pays, and what `--set` says.

    Raises:
        InvalidArgumentError: one of them cannot be said in a directive.
    """
    given = {queue: (batch.queue, "--queue"), account: (batch.account, "--account")}
    given.update({name: (value, f"--set {name}") for name, value in batch.more.items()})
    return {
        name: quoted(value, system=system, option=option)
        for name, (value, option) in given.items()
        if value is not None
    }


def _long(name: str, value: str) -> str:
    """An option with two hyphens; one without a value is a switch."""
    return f"--{name}={value}" if value else f"--{name}"


def slurm(batch: Batch) -> str:
    """A script for sbatch: an array of single nodes, or one job of several with srun."""
    several = batch.nodes > 1
    warning = int(margin(batch.grace))
    more = _more(batch, "partition", "account", "Slurm")
    lines = [
        "#!/bin/bash",
        f"#SBATCH --job-name={batch.name}",
        *([f"#SBATCH --array=1-{batch.jobs}"] if batch.jobs > 1 else []),
        f"#SBATCH --nodes={batch.nodes}",
        "#SBATCH --ntasks-per-node=1",
        f"#SBATCH --cpus-per-task={batch.proc}",
        f"#SBATCH --time={clock(batch.seconds)}",
        f"#SBATCH --signal=B:USR1@{warning}",
        "#SBATCH --requeue",
        *(["#SBATCH --no-kill"] if several else []),
        f"#SBATCH --output={_output(batch)}",
        "#SBATCH --open-mode=append",
        *(f"#SBATCH {_long(name, value)}" for name, value in more.items()),
        "",
    ]
    return "\n".join([*lines, *(_srun(batch) if several else _exec(batch))]) + "\n"


def _output(batch: Batch) -> str:
    """Where Slurm writes what a job says; its own % stands for the job's number."""
    path = quoted(f"{batch.folder}/slurm-", escape="%", system="Slurm")
    return f'{path[:-1]}%j.out"' if path.endswith('"') else f"{path}%j.out"


def _exec(batch: Batch) -> list[str]:
    return [
        "# exec: the signal before the end (B:) then reaches the farmer itself, which ends its",
        "# commands and gives their tasks back, as it does after scancel or when --timeout is up.",
        f"exec {shlex.join(batch.timed)}",
    ]  # fmt: skip


def _srun(batch: Batch) -> list[str]:
    return [
        "# A farmer on each node. Signals reach this script, which hands them on through srun: the",
        "# farmers end their commands and give the tasks back. When one of them ends badly, or its",
        "# node fails, the others work on.",
        "forward() {",
        '    kill -s USR1 "$farmers"',
        '    wait "$farmers"',
        "    code=$?",
        "}",
        "# --cpus-per-task once more: since 22.05 srun does not take it over from sbatch.",
        f"srun --nodes={batch.nodes} --ntasks-per-node=1 --cpus-per-task={batch.proc} \\",
        "    --kill-on-bad-exit=0 --no-kill \\",
        f"    {shlex.join(batch.timed)} &",
        "farmers=$!",
        "trap forward USR1 TERM INT",
        'wait "$farmers"',
        'exit "${code:-$?}"',
    ]


def pbs(batch: Batch) -> str:
    """A script for qsub of PBS; PBS gives no warning, so that --timeout has to do."""
    more = _more(batch, "q", "A", "PBS")
    return "\n".join([
        "#!/bin/bash",
        f"#PBS -N {batch.name[:15]}",
        *([f"#PBS -J 1-{batch.jobs}"] if batch.jobs > 1 else []),
        f"#PBS -l select={batch.nodes}:ncpus={batch.proc}",
        f"#PBS -l walltime={clock(batch.seconds)}",
        "#PBS -j oe",
        f"#PBS -o {quoted(batch.folder + '/', system='PBS')}",
        *(f"#PBS -{name} {value}".rstrip() for name, value in more.items()),
        "",
        'cd "$PBS_O_WORKDIR" || exit',
        f"exec {_everywhere(batch)}",
        "",
    ])  # fmt: skip


def _everywhere(batch: Batch) -> str:
    """The command for PBS, on one node or on all."""
    command = shlex.join(batch.timed)
    if batch.nodes == 1:
        return command
    there = f'cd "$PBS_O_WORKDIR" && exec {command}'
    return f"pbsdsh -- bash -lc {shlex.quote(there)}"


def lsf(batch: Batch) -> str:
    """A script for bsub: USR1 comes some minutes before the end."""
    more = _more(batch, "q", "P", "LSF")
    minutes = max(1, int(batch.seconds // 60))
    array = f"[1-{batch.jobs}]" if batch.jobs > 1 else ""
    blaunch = "blaunch -z \"$(sort -u \"$LSB_DJOB_HOSTFILE\" | tr '\\n' ' ')\" "
    return "\n".join([
        "#!/bin/bash",
        f'#BSUB -J "{batch.name}{array}"',
        f"#BSUB -n {batch.nodes * batch.proc}",
        f'#BSUB -R "span[ptile={batch.proc}]"',
        f"#BSUB -W {minutes // 60}:{minutes % 60:02d}",
        "#BSUB -wa USR1",
        f"#BSUB -wt {max(1, round(margin(batch.grace) / 60))}",
        f"#BSUB -o {_lsf_output(batch)}",
        *(f"#BSUB -{name} {value}".rstrip() for name, value in more.items()),
        "",
        f"exec {blaunch if batch.nodes > 1 else ''}{shlex.join(batch.timed)}",
        "",
    ])  # fmt: skip


def _lsf_output(batch: Batch) -> str:
    if "%" in batch.folder:
        raise InvalidArgumentError(f"LSF cannot write below {batch.folder!r}, for its '%'.")
    return quoted(f"{batch.folder}/lsf-%J-%I.out", system="LSF")


def flux(batch: Batch) -> str:
    """A script that submits to Flux."""
    more = {"queue": batch.queue, "bank": batch.account, **batch.more}
    options = [
        f"--job-name={batch.name}",
        *([f"--cc=1-{batch.jobs}"] if batch.jobs > 1 else []),
        f"--nodes={batch.nodes}", f"--ntasks={batch.nodes}", f"--cores-per-task={batch.proc}",
        f"--time-limit={int(batch.seconds)}s",
        f"--signal=SIGUSR1@{int(margin(batch.grace))}s",
        f"--output={batch.folder}/flux-{{{{id}}}}.out",
        *(_long(name, value) for name, value in more.items() if value is not None),
    ]  # fmt: skip
    return f"#!/bin/bash\nflux submit {shlex.join(options)} \\\n    {shlex.join(batch.timed)}\n"


def local(batch: Batch) -> str:
    """A script for this machine: it hands signals on, and ends badly where a farmer has."""
    return "\n".join([
        "#!/bin/bash",
        "farmers=()",
        'trap \'again=1; kill -s USR1 "${farmers[@]}"\' USR1 TERM INT HUP',
        f"for _ in $(seq {batch.jobs}); do",
        f"    {shlex.join(batch.timed)} &",
        '    farmers+=("$!")',
        "done",
        "code=0",
        'for farmer in "${farmers[@]}"; do',
        "    # A signal ends a wait before the farmer has ended.",
        '    while again=; wait "$farmer"; ended=$?; [ -n "$again" ]; do :; done',
        '    [ "$ended" -eq 0 ] || code=$ended',
        "done",
        'exit "$code"',
        "",
    ])  # fmt: skip


SCRIPTS: dict[str, Callable[[Batch], str]] = {
    "slurm": slurm,
    "pbs": pbs,
    "lsf": lsf,
    "flux": flux,
    "local": local,
}
"""Which batch systems there is a script for."""
