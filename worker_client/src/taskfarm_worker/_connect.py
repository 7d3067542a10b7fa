"""The way in: connect to a farm, create runs, open them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from . import _config, _policy, _upload
from ._answers import Json, json_object, member
from ._closing import Closing
from ._errors import InvalidArgumentError, tell
from ._farm import _segment, _whole
from ._run import Run
from ._session import SHORT_PATIENCE, Call, ServerSession, Timeout


def connect(
    url: str | None = None,
    username: str | None = None,
    password: str | None = None,
    token: str | None = None,
    *,
    timeout: Timeout | None = None,
    patience: float | None = None,
) -> Farm:
    """Connect to a farm.

    What is left out comes from `TASKFARM_URL`, `TASKFARM_USER`, `TASKFARM_PASSWORD` and
    `TASKFARM_TOKEN`, then from the configuration file. Nothing is sent before the first call.

    Args:
        url: address of the server.
        username: the user.
        password: the password.
        token: a token in place of the password; without a password it cannot be renewed.
        timeout: seconds to connect and to wait for an answer, one number or two.
        patience: seconds for which failing calls are repeated, as far as that is safe;
            `TASKFARM_PATIENCE` or 30 by default. Workers have a patience of their own.

    Returns:
        the farm.

    Raises:
        ConfigurationError: the address or the credentials are missing or cannot be used.
    """
    settings = _config.resolve(url, username, password, token)
    seconds = _config.patience(patience, SHORT_PATIENCE)
    return Farm(ServerSession(settings, timeout=timeout, patience=seconds))


class Farm(Closing):
    """A Taskfarm server as one user sees it; made by `connect`.

    Usable as a context manager, across threads, after a fork, and pickled (with the credentials).
    """

    def __init__(self, server: ServerSession) -> None:
        """Remember the connection.

        Args:
            server: the connection.
        """
        self._server = server

    def __repr__(self) -> str:
        """Show which farm this is, without credentials."""
        return f"<Farm at {self._server.url_base}>"

    def close(self) -> None:
        """Close the connections to the server; a later call opens new ones."""
        self._server.close()

    def create_run(
        self,
        tasks: int | None = None,
        inputs: Iterable[Json] | None = None,
        name: str | None = None,
        namespace: str | None = None,
        **policy: object,
    ) -> Run:
        """Create a run: of numbered tasks, or of one task per input.

        Args:
            tasks: how many tasks, numbered from 0.
            inputs: one JSON value per task, in place of `tasks`. Any iterable, however long: it
                is sent piece by piece. Nothing of the run is handed out before the last piece has
                arrived, and what came is deleted where one of them cannot be had or sent. One that
                is to stay open is worked on at once, and left as it is. Where something is left,
                the error says so, with the UUID: those of other classes than ours in a note.
            name: a name for the run.
            namespace: what it belongs to.
            policy: `description`, `group`, and the options of the run's policy:
                `error_attempts`, `backoff`, `task_timeout`, `open` and so on. Times are
                `datetime`, durations seconds or `timedelta`.

        Returns:
            the run.

        Raises:
            InvalidArgumentError: not exactly one of tasks and inputs is given.
            AnswerLostError: it is unknown whether the run was created.
            BadRequestError: the server does not take one of the values.
        """
        if (tasks is None) == (inputs is None) and "open" not in policy:
            raise InvalidArgumentError("Give either tasks, a number, or inputs, one per task.")
        if inputs is None:
            return self._create(tasks, name, namespace, policy)
        if not policy.get("open"):
            run = self._held(inputs, name, namespace, **policy)
            _upload.end(run)
            return run
        run = self._create(tasks, name, namespace, policy)
        try:
            run.append(inputs)
        except BaseException as error:  # somebody may work on what has come
            tell(error, f"Run {run.uuid} is open, and kept with what has come.")
            raise
        return run

    def _held(
        self, inputs: Iterable[Json], name: str | None, namespace: str | None, **policy: object
    ) -> Run:
        """Create a run of inputs that hands out nothing before it is `uploaded`, or none."""
        run = self._create(None, name, namespace, {**policy, "uploading": True})
        _upload.bring(run, inputs)
        return run

    def _create(
        self,
        tasks: int | None,
        name: str | None,
        namespace: str | None,
        policy: Mapping[str, object],
    ) -> Run:
        labels = {"name": name, "namespace": namespace}
        given = {key: value for key, value in labels.items() if value is not None}
        body = {"numTasks": _whole(tasks or 0, "tasks"), **given, **_policy.fields(policy)}
        doubt = "The run may have been created all the same: look at the list of runs first."
        try:
            answer = self._server.call(Call("POST", "run", body=body, slow=True, doubt=doubt))
        except KeyboardInterrupt as error:
            tell(error, doubt)
            raise
        return Run(self._server, str(member(answer, "uuid")))

    def run(self, uuid: object) -> Run:
        """Open a run.

        Args:
            uuid: its UUID, as text or object.

        Returns:
            the run.

        Raises:
            NotFoundError: there is no such run, or the user may not see it.
        """
        answer = self._server.call(Call("GET", f"runs/{_segment(uuid)}"))
        return Run(self._server, str(member(answer, "uuid")))

    def runs(self, **filters: object) -> Iterator[Run]:
        """Go through the runs that the user may see, oldest first.

        Args:
            filters: what narrows the list, such as `namespace`, `name` or `state`.

        Yields:
            run after run.
        """
        params: dict[str, str] | None = {name: str(value) for name, value in filters.items()}
        path = "runs"
        while path:
            body = json_object(self._server.call(Call("GET", path, params=params)))
            for row in body.get("data", []):
                yield Run(self._server, str(row["uuid"]))
            following = str(body.get("next") or "")
            path = following[following.find("runs?") :] if "runs?" in following else ""
            params = None
