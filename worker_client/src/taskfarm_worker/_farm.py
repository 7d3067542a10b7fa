"""Runs: the documented calls about them, as Python objects."""

from __future__ import annotations

import operator
from urllib.parse import quote
from uuid import UUID

import requests
from requests.auth import HTTPBasicAuth

from . import _config
from ._answers import Json, json_object, member
from ._closing import Closing
from ._config import DEFAULT_URL
from ._errors import InvalidArgumentError
from ._session import SHORT_PATIENCE, Call, ServerSession, Timeout, token_auth


def tfRuns(
    username: str | None,
    password: str | None,
    url_base: str = DEFAULT_URL,
    *,
    token: str | None = None,
    timeout: Timeout | None = None,
    patience: float | None = None,
) -> list[dict[str, Json]]:
    """List the runs that the user may see.

    Args:
        username: the user; None to take it from the environment or the configuration file.
        password: the password; None likewise.
        url_base: address of the server's API; `TASKFARM_URL` and the configuration file are
            consulted when it is left out.
        token: a token in place of the password.
        timeout: seconds to connect and to wait for an answer, one number or two.
        patience: seconds for which failing calls are repeated, 30 by default.

    Returns:
        one dictionary per run, with at least `id`, `uuid` and `numTasks`.

    Raises:
        TaskFarmError: the configuration is unusable, or the server refused or stayed away.
    """
    with _session(username, password, url_base, token, timeout, patience) as server:
        rows: list[dict[str, Json]] = member(server.call(Call("GET", "runs")), "data")
        return rows


class TaskFarm(Closing):
    """A run: a numbered set of tasks on a Taskfarm server.

    With `uuid` an existing run is opened, otherwise one of `numTasks` tasks is created. Usable
    as a context manager, across threads, and after a fork. Pickled, it carries the credentials.
    """

    def __init__(
        self,
        username: str | None,
        password: str | None,
        uuid: str | None = None,
        numTasks: int | None = None,
        url_base: str = DEFAULT_URL,
        *,
        name: str | None = None,
        namespace: str | None = None,
        description: str | None = None,
        group: str | None = None,
        token: str | None = None,
        timeout: Timeout | None = None,
        patience: float | None = None,
    ) -> None:
        """Open a run, or create one.

        Args:
            username: the user; None to take it from the environment or the configuration file.
            password: the password; None likewise.
            uuid: the run to open.
            numTasks: how many tasks to create; ignored when there is a `uuid`.
            url_base: address of the server's API; `TASKFARM_URL` and the configuration file are
                consulted when it is left out.
            name: a name for the new run.
            namespace: a namespace for the new run.
            description: what the new run is about.
            group: a group of yours whose members may see, work and change the new run, too.
            token: a token in place of the password; without a password it cannot be renewed.
            timeout: seconds to connect and to wait for an answer, one number or two.
            patience: seconds for which failing calls are repeated, as far as that is safe;
                `TASKFARM_PATIENCE` or 30 by default.

        Raises:
            InvalidArgumentError: neither `uuid` nor `numTasks` is usable; nothing was sent.
            AnswerLostError: it is unknown whether the run was created.
            TaskFarmError: the configuration is unusable, or the server refused or stayed away.
        """
        if uuid is None and numTasks is None:
            raise InvalidArgumentError(
                "numTasks must be set to create a run, or uuid to open an existing one."
            )
        labels = {"name": name, "namespace": namespace, "description": description, "group": group}
        new = None if uuid is not None else _new_run(numTasks, labels)
        path = f"runs/{_segment(uuid)}" if uuid is not None else ""
        self._server = _session(username, password, url_base, token, timeout, patience)
        answer = self._create(new) if new is not None else self._call("GET", path)
        self._uuid = str(member(answer, "uuid"))
        self._numTasks = int(member(answer, "numTasks"))

    def __repr__(self) -> str:
        """Show which run this is, without credentials."""
        return f"<{type(self).__name__} {self.uuid} at {self._server.url_base}>"

    def close(self) -> None:
        """Close the connections to the server; a later call opens new ones.

        The run itself, and a task in hand, stay as they are.
        """
        self._server.close()

    def url(self, url: str) -> str:
        """Construct the full address of a call.

        Args:
            url: the path below the base address, for example "runs".

        Returns:
            the base address with the path behind it.
        """
        return self._server.url(url)

    @property
    def session(self) -> requests.Session:
        """The underlying requests session of this process; calls on it are not repeated."""
        return self._server.http

    @property
    def token_auth(self) -> HTTPBasicAuth:
        """The present token, to be given as `auth` when calling `session` directly."""
        return token_auth(self._server.token)

    @property
    def uuid(self) -> str:
        """The UUID of the run."""
        return self._uuid

    @property
    def numTasks(self) -> int:
        """The number of tasks of the run."""
        return self._numTasks

    def info(self, info: str) -> Json:
        """Get information about the run.

        Args:
            info: "percentDone", "numWaiting", "numComputing" or "numDone"; "" for everything.

        Returns:
            the value, or for "" a dictionary of all of them.

        Raises:
            NotFoundError: there is no such information, or the run is gone.
        """
        return self._get_info(self._run_path(), info)

    @property
    def percentDone(self) -> float:
        """How much of the run is done, in percent."""
        return float(self.info("percentDone"))

    @property
    def numDone(self) -> int:
        """The number of finished tasks."""
        return int(self.info("numDone"))

    @property
    def numWaiting(self) -> int:
        """The number of tasks that nobody works on yet."""
        return int(self.info("numWaiting"))

    @property
    def numComputing(self) -> int:
        """The number of tasks that workers hold."""
        return int(self.info("numComputing"))

    def getTaskInfo(self, task: int, info: str) -> Json:
        """Get information about one task.

        Args:
            task: its number, from 0.
            info: "status" or "percentCompleted"; "" for everything.

        Returns:
            the value, or for "" a dictionary of all of them.

        Raises:
            InvalidArgumentError: the run has no such task.
            NotFoundError: there is no such information, or the run is gone.
        """
        return self._get_info(self._task_path(task), info)

    def setTaskInfo(self, task: int, info: str, value: object) -> None:
        """Change one task.

        Args:
            task: its number, from 0.
            info: "status" or "percentCompleted".
            value: the new value.

        Raises:
            InvalidArgumentError: the run has no such task, or the value is not a JSON value.
            BadRequestError: the server does not take the value; nothing was changed.
        """
        self._call("PUT", self._task_path(task), body={info: value})

    def restart(self, everything: bool = False) -> None:
        """Put tasks back to waiting.

        Only restart a run while no worker computes: what workers hold is handed out again.

        Args:
            everything: False for all tasks that are not done, which keep their percentages, so
                that a worker can resume them; True for all tasks, done ones too, from 0.

        Raises:
            AnswerLostError: it is unknown whether the run was restarted. It is not repeated by
                itself, since tasks that workers have claimed meanwhile would be taken from them.
        """
        self._server.call(
            Call(
                "POST",
                f"{self._run_path()}/restart",
                params={"all": str(bool(everything))},
                slow=True,
                doubt="The run may have been restarted all the same: look at its counts "
                f"('manageTF --info {self.uuid}') before restarting it again.",
            )
        )

    def delete(self) -> None:
        """Delete the run with all its tasks.

        Raises:
            NotFoundError: the run is gone already (by somebody else's hand).
        """
        self._server.call(Call("DELETE", self._run_path(), already=(404, ""), slow=True))

    def _create(self, new: dict[str, object]) -> requests.Response:
        doubt = (
            "The run may have been created all the same: look with 'manageTF --list' "
            "before creating it again."
        )
        return self._server.call(Call("POST", "run", body=new, slow=True, doubt=doubt))

    def _run_path(self) -> str:
        return f"runs/{_segment(self.uuid)}"

    def _task_path(self, task: int) -> str:
        number = _whole(task, "task")
        if not 0 <= number < self.numTasks:
            raise InvalidArgumentError(
                f"There is no task {number}: this run has {self.numTasks} tasks, numbered from 0."
            )
        return f"{self._run_path()}/tasks/{number}"

    def _get_info(self, path: str, info: str) -> Json:
        answer = self._call("GET", path, params={"info": info})
        return member(answer, info) if info else json_object(answer)

    def _call(
        self,
        method: str,
        path: str,
        params: dict[str, str] | None = None,
        body: dict[str, object] | None = None,
    ) -> requests.Response:
        return self._server.call(Call(method, path, params=params, body=body))


def _session(
    username: str | None,
    password: str | None,
    url_base: str,
    token: str | None,
    timeout: Timeout | None,
    patience: float | None,
) -> ServerSession:
    settings = _config.resolve(url_base, username, password, token)
    seconds = _config.patience(patience, SHORT_PATIENCE)
    return ServerSession(settings, timeout=timeout, patience=seconds)


def _new_run(numTasks: object, labels: dict[str, str | None]) -> dict[str, object]:
    given = {key: value for key, value in labels.items() if value is not None}
    return {"numTasks": _whole(numTasks, "numTasks"), **given}


def _whole(value: object, name: str) -> int:
    """Accept every kind of whole number (NumPy's too), but neither 5.0 nor "5" nor True."""
    try:
        if isinstance(value, bool):
            raise TypeError
        return operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise InvalidArgumentError(f"{name} must be a whole number, not {value!r}.") from None


def _segment(uuid: object) -> str:
    """Make a piece of a path of a UUID in text or object form; nothing may leave its place."""
    text = uuid.hex if isinstance(uuid, UUID) else str(uuid).strip()
    if not text:
        raise InvalidArgumentError("The UUID of the run is empty.")
    return quote(text, safe="", errors="surrogatepass")  # the server knows no such run
