"""The working folder of a run of commands: its configuration and its logs.

The configuration is written once, as a whole, and every farmer that is started on the folder reads
it. Files only appear complete, by a link or a rename, so that farmers on several nodes need no
locks, which many shared file systems lack.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

from .._answers import Json
from .._errors import ConfigurationError

CONFIGURATION = "taskfarm.json"
LOGS = "logs"
TASKS = "tasks.ndjson"


@dataclass(frozen=True)
class Settings:
    """What a folder remembers, so that nobody has to say it again.

    Attributes:
        run: UUID of the run.
        url: the server's address.
        tasklist: path of the tasklist, from the current folder of the first call.
        form: the format of the tasklist.
        handler: the tasklist handler's name.
        tasks: how many tasks the tasklist had when it was last read.
        digest: SHA-256 of these tasks, by which a changed list is noticed.
        ordered: whether the tasks are in another order than in the list.
        runner: the runner's name.
        proc: how many commands at a time.
        timeout: seconds after which a farmer ends itself; None for never.
        grace: seconds from SIGTERM to SIGKILL.
        on_signal: what becomes of running commands after a signal: "release" or "finish".
        stays_open: whether the run is to stay open by its owner's wish.
        opened: whether the run is open because more of the list is just being added.
        adding: how many tasks the list then has; 0 where nothing is being added.
        adding_digest: SHA-256 of these tasks.
        here: the folder of the first call, where its *.ini files and the tasklist are found.
    """

    run: str = ""
    url: str = ""
    tasklist: str = ""
    form: str = "lines"
    handler: str = "default"
    tasks: int = 0
    digest: str = ""
    ordered: bool = False
    runner: str = "default"
    proc: int = 0
    timeout: float | None = None
    grace: float = 10.0
    on_signal: str = "release"
    stays_open: bool = False
    opened: bool = False
    adding: int = 0
    adding_digest: str = ""
    here: str = ""


class Workdir:
    """A working folder."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Remember where; nothing is made yet.

        Args:
            path: the folder.
        """
        self.path = Path(path)
        self.logs = self.path / LOGS

    @property
    def configuration(self) -> Path:
        """The file with the settings."""
        return self.path / CONFIGURATION

    def make(self) -> None:
        """Make the folder and that of its logs; several may do so at once."""
        self.logs.mkdir(parents=True, exist_ok=True)

    def read(self) -> Settings | None:
        """Read the settings.

        Returns:
            the settings; None where nothing has been started yet.

        Raises:
            ConfigurationError: the file makes no sense.
        """
        try:
            text = self.configuration.read_text("utf-8")
        except (FileNotFoundError, NotADirectoryError):
            return None
        known = {one.name for one in fields(Settings)}
        try:
            values = json.loads(text)
            return Settings(**{name: one for name, one in values.items() if name in known})
        except (ValueError, TypeError, AttributeError) as error:
            raise ConfigurationError(f"{self.configuration} is garbled: {error}.") from None

    def create(self, settings: Settings, tasks: Sequence[Json] = ()) -> bool:
        """Write the first settings, unless somebody else has done so meanwhile.

        Args:
            settings: what to remember.
            tasks: the inputs of the run, in its order, where it was submitted from here. They are
                on the disk before the settings, which make the folder valid, and take their place
                after: of several farmers, only the one whose settings count says what they are.

        Returns:
            whether these are the folder's settings now.
        """
        with self._part(TASKS, _lines(tasks)) as kept, self._written(settings) as part:
            mine = self._link(part)
            if mine and tasks:
                kept.replace(self.path / TASKS)
        return mine

    def change(self, settings: Settings, **values: object) -> Settings:
        """Change some of the settings.

        Args:
            settings: as they are.
            values: the new ones by name.

        Returns:
            the settings as they are now.
        """
        changed = replace(settings, **values)  # type: ignore[arg-type]
        if changed != settings:
            with self._written(changed) as part:
                part.replace(self.configuration)
        return changed

    def write_tasks(self, tasks: Iterable[Json]) -> None:
        """Keep the tasks of the run, in its order, so that files can name them.

        Args:
            tasks: their inputs.
        """
        with self._part(TASKS, _lines(tasks)) as part:
            part.replace(self.path / TASKS)

    def read_tasks(self) -> list[Json]:
        """The tasks as they were kept; none where they are lost, or were not submitted here."""
        try:
            with (self.path / TASKS).open(encoding="utf-8") as file:
                return [json.loads(line) for line in file]
        except FileNotFoundError:
            return []

    def log(self, number: int) -> Path:
        """The log of a task.

        Args:
            number: of the task.

        Returns:
            its path.
        """
        return self.logs / f"log_{number}"

    @contextlib.contextmanager
    def _part(self, name: str, lines: Iterable[str]) -> Iterator[Path]:
        """A whole file that may take the place of another; otherwise nothing is left of it."""
        part = self.path / f".{name}.{socket.gethostname()}.{os.getpid()}"
        try:
            with part.open("w", encoding="utf-8") as file:
                file.writelines(lines)
            yield part
        except OSError as error:  # a full disk does not say which file it has no room for
            error.filename = error.filename or str(self.path / name)
            raise
        finally:
            part.unlink(missing_ok=True)

    def _written(self, settings: Settings) -> contextlib.AbstractContextManager[Path]:
        return self._part(CONFIGURATION, [json.dumps(asdict(settings), indent=2) + "\n"])

    def _link(self, part: Path) -> bool:
        """Let a file be the configuration, unless there is one; tells whether it is now."""
        try:
            os.link(part, self.configuration)
        except FileExistsError:
            return False
        except OSError:  # a file system without hard links
            return self._create_without_link(part)
        return True

    def _create_without_link(self, part: Path) -> bool:
        """Open for exclusive creation: the content follows a moment later, or there is no file."""
        text = part.read_text("utf-8")
        try:
            file = self.configuration.open("x", encoding="utf-8")
        except FileExistsError:
            return False
        try:
            with file:
                file.write(text)
        except OSError:
            self.configuration.unlink(missing_ok=True)
            raise
        return True


def _lines(tasks: Iterable[Json]) -> Iterator[str]:
    return (json.dumps(task) + "\n" for task in tasks)


def find_run(path: Path) -> str:
    """Find the run that is worked on in a folder.

    Args:
        path: the folder.

    Returns:
        the UUID of the run.

    Raises:
        ConfigurationError: it is no working folder.
    """
    settings = Workdir(path).read()
    if settings is None or not settings.run:
        raise ConfigurationError(f"{path} is no working folder: it has no {CONFIGURATION}.")
    return settings.run
