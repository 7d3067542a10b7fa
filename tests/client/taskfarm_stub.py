"""A small Taskfarm server on the loopback interface that can be told to misbehave.

It keeps runs in memory and answers the documented calls and, unless told otherwise, the exchange. A
fault, such as those of stub_faults.py, is put in front of the next call that matches; faults are
used up in order. Nothing here imports the client.
"""

from __future__ import annotations

import base64
import json
import re
import socket
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

Body = Any
Answer = tuple[int, Body]


@dataclass
class Seen:
    """One call as it reached the server."""

    method: str
    path: str
    query: dict[str, str]
    body: Body
    headers: Mapping[str, str]
    client_port: int


@dataclass
class Run:
    """A run in the memory of the stub."""

    id: int
    uuid: str
    labels: dict[str, Body]
    status: list[str]
    percent: list[float]
    attempt: dict[int, int] = field(default_factory=dict)
    holder: dict[int, str] = field(default_factory=dict)
    inputs: dict[int, Body] = field(default_factory=dict)
    keys: dict[str, Body] = field(default_factory=dict)
    events: list[Body] = field(default_factory=list)
    ended: list[dict[str, Body]] = field(default_factory=list)
    state: str = "active"
    reasons: list[tuple[str, str]] = field(default_factory=list)
    refused_outputs: tuple[Body, ...] = ()

    def over(self) -> bool:
        return not {"waiting", "computing"} & set(self.status)

    def outcomes(self) -> list[tuple[int, int, str]]:
        """What was accepted: task, attempt, outcome, in order."""
        return [(one["task"], one["attempt"], one["status"]) for one in self.ended]

    def take_away(self, number: int) -> None:
        """Give a task that a worker computes back to waiting, as a restart would."""
        self.status[number] = "waiting"
        self.holder.pop(number, None)

    def row(self) -> dict[str, Body]:
        return {"id": self.id, "uuid": self.uuid, "numTasks": len(self.status), **self.labels}

    def info(self) -> dict[str, Body]:
        return {
            **self.row(),
            "numWaiting": self.status.count("waiting"),
            "numComputing": self.status.count("computing"),
            "numDone": self.status.count("done"),
            "numFailed": self.status.count("failed"),
            "numCancelled": self.status.count("cancelled"),
            "percentDone": sum(self.percent) / max(len(self.percent), 1),
            "state": "finished" if self.over() and self.state == "active" else self.state,
        }

    def task(self, number: int) -> dict[str, Body]:
        status, percent = self.status[number], self.percent[number]
        return {"id": number + 1, "task": number, "status": status, "percentCompleted": percent}


class Exchange:
    """One call in progress, in the hands of a fault."""

    def __init__(self, stub: Stub, handler: Handler, seen: Seen) -> None:
        self.stub, self.handler, self.seen = stub, handler, seen

    def handle(self) -> Answer:
        """Carry the call out."""
        with self.stub.lock:
            return self.stub.answer(self.seen)

    def reply(self, status: int, body: Body = None, headers: dict[str, str] | None = None) -> None:
        """Answer with JSON, or with text as it is."""
        text = body if isinstance(body, str) else "" if body is None else json.dumps(body)
        data = text.encode()
        self.handler.send_response(status)
        kind = "text/html" if isinstance(body, str) else "application/json"
        sent = {"Content-Type": kind, "Content-Length": str(len(data)), **(headers or {})}
        for name, value in sent.items():
            self.handler.send_header(name, value)
        self.handler.end_headers()
        self.handler.wfile.write(data)

    def drop(self) -> None:
        """Close the connection without an answer."""
        self.handler.close_connection = True
        self.handler.connection.shutdown(socket.SHUT_RDWR)


Fault = Callable[[Exchange], None]


@dataclass
class Stub:
    """The server: its state, its faults, and what it has seen."""

    users: dict[str, str] = field(default_factory=lambda: {"user": "secret"})
    tokens: list[str] = field(default_factory=lambda: ["given-token"])
    runs: dict[str, Run] = field(default_factory=dict)
    workers: dict[str, Body] = field(default_factory=dict)
    calls: list[Seen] = field(default_factory=list)
    faults: list[tuple[str, str, Fault]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    ended: threading.Event = field(default_factory=threading.Event)
    keep_alive: bool = False
    has_exchange: bool = True
    share: int = 10_000
    heartbeat: float = 10.0
    after: Callable[[Seen], None] = lambda seen: None

    def __post_init__(self) -> None:
        self.thread: threading.Thread | None = None
        self._bind(port=0)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/api/"

    def _bind(self, port: int) -> None:
        """Reserve a port. Bound but not listening, it refuses connections."""
        self.server = Server(("127.0.0.1", port), Handler, bind_and_activate=False)
        self.server.stub = self
        self.server.server_bind()

    def listen(self) -> None:
        """Accept connections; until now they were refused, at the same port."""
        self.server.server_activate()
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()

    def refuse(self) -> None:
        """Refuse connections from now on, keeping the port."""
        port = self.server.server_port
        self.close()
        self._bind(port)

    def close(self) -> None:
        if self.thread is not None:
            self.server.shutdown()
            self.thread.join()
            self.thread = None
        self.server.server_close()

    def fault(self, method: str, path: str, *faults: Fault) -> None:
        """Put faults in front of the next calls of this method whose path ends like this."""
        self.faults += [(method, path, fault) for fault in faults]

    def count(self, method: str, path: str) -> int:
        """Count the calls of this method whose path ends like this."""
        return sum(call.method == method and call.path.endswith(path) for call in self.calls)

    def last(self, method: str, path: str) -> Seen:
        """Return the last such call."""
        return [c for c in self.calls if c.method == method and c.path.endswith(path)][-1]

    def take_fault(self, seen: Seen) -> Fault | None:
        for index, (method, path, fault) in enumerate(self.faults):
            if seen.method == method and seen.path.endswith(path):
                del self.faults[index]
                return fault
        return None

    def add_run(self, tasks: int, **labels: Body) -> Run:
        number = len(self.runs) + 1
        run = Run(number, f"{number:032x}", labels, ["waiting"] * tasks, [0.0] * tasks)
        self.runs[run.uuid] = run
        return run

    # ---- the documented calls

    def answer(self, seen: Seen) -> Answer:
        path = seen.path.removeprefix("/api/")
        if path == "token":
            return self._token(seen)
        if not self._authenticated(seen):
            return 401, {"detail": "Token expired.", "code": "token_expired"}
        if path == "echo":
            return 200, {"body": seen.body, "query": seen.query}
        if path.startswith("worker/") and self.has_exchange:
            return self._worker_call(seen, path.split("/")[1])
        calls: dict[tuple[str, str], Callable[[], Answer]] = {
            ("GET", "runs"): lambda: (200, {"data": [one.row() for one in self.runs.values()]}),
            ("POST", "run"): lambda: self._create(dict(seen.body)),
            ("POST", "worker"): lambda: self._register(seen.body),
        }
        if (seen.method, path) in calls:
            return calls[seen.method, path]()
        found = re.fullmatch(r"runs/([^/]+)(/.*)?", path)
        run = self.runs.get(unquote(found.group(1))) if found else None
        if found is None or run is None:
            return 404, {"detail": "There is no such run.", "code": "run_not_found"}
        return self._run_call(run, seen, found.group(2) or "")

    def _run_call(self, run: Run, seen: Seen, rest: str) -> Answer:
        calls: dict[tuple[str, str], Callable[[], Answer]] = {
            ("GET", ""): lambda: _choose(run.info(), seen.query.get("info", "")),
            ("DELETE", ""): lambda: self._delete(run),
            ("POST", "/restart"): lambda: self._restart(run, seen),
            ("GET", "/events"): lambda: (200, {"data": run.events[::-1], "next": None}),
            ("POST", "/events/7/undo"): lambda: (200, {"tasks": 3}),
            ("GET", "/failures/groups"): lambda: (200, {"data": [{"count": 2}]}),
            ("GET", "/attempts"): lambda: (200, {"data": run.ended, "next": None}),
            ("POST", "/task"): lambda: self._claim(run, seen.body["worker_uuid"]),
            ("POST", "/tasks"): lambda: self._append(run, seen.body),
            ("PATCH", "/policy"): lambda: self._change(run, seen.body),
            ("POST", "/pause"): lambda: self._steer(run, "paused", seen),
            ("POST", "/resume"): lambda: self._steer(run, "active", seen),
            ("DELETE", "/uploaded"): lambda: self._take_back(run),
            ("POST", "/uploaded"): lambda: self._steer(run, "active", seen),
            ("POST", "/cancel"): lambda: self._steer(run, "cancelled", seen),
            ("GET", "/results"): lambda: _lines(run.ended),
            ("GET", "/failures"): lambda: _lines(o for o in run.ended if o["status"] == "failed"),
        }
        if (seen.method, rest) in calls:
            return calls[seen.method, rest]()
        return self._task_call(run, seen, rest)

    def _task_call(self, run: Run, seen: Seen, rest: str) -> Answer:
        if rest.endswith("/explain"):
            return 200, {"code": run.status[int(rest.split("/")[2])], "reason": "because"}
        number = int(rest.removeprefix("/tasks/"))
        if seen.method == "PUT":
            return self._update(run, number, seen.body)
        return _choose(run.task(number), seen.query.get("info", ""))

    def _delete(self, run: Run) -> Answer:
        del self.runs[run.uuid]
        return 204, None

    def _take_back(self, run: Run) -> Answer:
        if run.state != "paused":
            return 409, {"detail": "Somebody has it in hand.", "code": "state_conflict"}
        return self._delete(run)

    def _change(self, run: Run, body: dict[str, Body]) -> Answer:
        run.labels.update(body)
        return 200, run.labels

    def _steer(self, run: Run, state: str, seen: Seen) -> Answer:
        run.state = state
        run.labels["uploading"] = run.labels.get("uploading") and not seen.path.endswith(
            "/uploaded"
        )
        run.reasons.append((seen.path.rsplit("/", 1)[1], (seen.body or {}).get("reason", "")))
        return (200, {"tasks": len(run.status)}) if state == "cancelled" else (204, None)

    def _token(self, seen: Seen) -> Answer:
        scheme, _, value = seen.headers.get("Authorization", "").partition(" ")
        user, _, password = base64.b64decode(value).decode().partition(":")
        if scheme != "Basic" or self.users.get(user) != password:
            return 401, {"detail": "Wrong user or password.", "code": "authentication_failed"}
        self.tokens = [f"token-{seen.method}-{len(self.calls)}"]
        return 200, {"token": self.tokens[0]}

    def _authenticated(self, seen: Seen) -> bool:
        scheme, _, value = seen.headers.get("Authorization", "").partition(" ")
        if scheme == "Basic":
            value = base64.b64decode(value).decode().partition(":")[0]
        return value in self.tokens

    def _create(self, body: dict[str, Body]) -> Answer:
        tasks = body.pop("numTasks")
        if tasks < 1 and not {"open", "uploading"} & body.keys():
            errors = {"numTasks": ["Must be at least 1."]}
            return 400, {"detail": "Bad input.", "code": "invalid", "errors": errors}
        run = self.add_run(tasks, **body)
        run.state = "paused" if body.get("uploading") else "active"
        return 201, run.row()

    def _register(self, body: dict[str, Body]) -> Answer:
        if body["uuid"] in self.workers:
            return 409, {"detail": "This worker is registered.", "code": "worker_exists"}
        self.workers[body["uuid"]] = body
        return 201, {"uuid": body["uuid"], "id": len(self.workers)}

    def _restart(self, run: Run, seen: Seen) -> Answer:
        everything = seen.query["all"] == "True"
        for number, status in enumerate(run.status):
            if everything or status != "done":
                run.take_away(number)
                run.percent[number] = 0.0 if everything else run.percent[number]
        run.events.append({"id": 7, "what": "restart"})
        return (200, {"tasks": 2}) if seen.body else (204, None)

    def _claim(self, run: Run, worker: str) -> Answer:
        if worker not in self.workers:
            return 404, {"detail": "There is no such worker.", "code": "worker_not_found"}
        if "waiting" not in run.status:
            return 204, None
        number = run.status.index("waiting")
        run.status[number] = "computing"
        return 201, run.task(number)

    def _update(self, run: Run, number: int, body: dict[str, Body]) -> Answer:
        run.percent[number] = body.get("percentCompleted", run.percent[number])
        run.status[number] = body.get("status", run.status[number])
        if run.status[number] != "computing":
            run.holder.pop(number, None)
        return 204, None

    # ---- the exchange

    def _append(self, run: Run, body: dict[str, Body]) -> Answer:
        if body["key"] in run.keys:
            return 201, run.keys[body["key"]]
        first = len(run.status)
        if body.get("first", first) != first:
            return 409, {"detail": "The next number is another one.", "code": "state_conflict"}
        more = len(body["inputs"]) if "inputs" in body else body["numTasks"]
        run.keys[body["key"]] = {"first": first, "tasks": more}
        run.status += ["waiting"] * more
        run.percent += [0.0] * more
        run.inputs.update(enumerate(body.get("inputs", []), first))
        return 201, {"first": first, "tasks": more}

    def _worker_call(self, seen: Seen, worker: str) -> Answer:
        if worker not in self.workers:
            return 404, {"detail": "There is no such worker.", "code": "worker_not_found"}
        if seen.method == "DELETE":
            for run in self.runs.values():
                for number in [n for n, holder in run.holder.items() if holder == worker]:
                    run.take_away(number)
            return 204, None
        body = seen.body
        uuid = body["runs"][0]
        if uuid not in self.runs:
            return 404, {"detail": "There is no such run.", "code": "run_not_found"}
        answered = self._exchange(self.runs[uuid], worker, body)
        self.after(seen)
        return answered

    def _exchange(self, run: Run, worker: str, body: dict[str, Body]) -> Answer:
        reports = [
            {"task": task, "attempt": attempt, "status": "done", "took": took, "ago": ago}
            for task, attempt, took, ago in body.get("done", {}).get(run.uuid, [])
        ] + body.get("reports", {}).get(run.uuid, [])
        for one in reports:
            if "output" in one and one["output"] in run.refused_outputs:
                return 400, {"detail": "The output is bad.", "code": "invalid"}
        stale = [one for one in reports if not self._report(run, worker, one)]
        tasks = self._hand_out(run, worker, min(body.get("want", 0), self.share))
        drop = []
        if "holding" in body:
            theirs = {tuple(pair) for pair in body["holding"].get(run.uuid, [])}
            ours = {(n, run.attempt[n]) for n, holder in run.holder.items() if holder == worker}
            fresh = {(one["task"], one["attempt"]) for one in tasks}
            drop = sorted(theirs - ours)
            tasks += [self._show(run, number) for number, _ in sorted(ours - theirs - fresh)]
        finished = run.state == "cancelled" or run.over()
        return 200, {
            "tasks": tasks,
            "drop": [[run.uuid, *pair] for pair in drop],
            "stale": [[run.uuid, one["task"], one["attempt"]] for one in stale],
            "retryAfter": None if finished else 0.05,
            "finished": finished,
            "heartbeat": self.heartbeat,
        }

    def _report(self, run: Run, worker: str, one: dict[str, Body]) -> bool:
        """Apply a report; False where it is stale."""
        number, attempt = one["task"], one["attempt"]
        if run.holder.get(number) != worker or run.attempt[number] != attempt:
            told = (number, attempt, one.get("status"))
            return told in run.outcomes()
        run.percent[number] = one.get("percentCompleted", run.percent[number])
        if "status" in one:
            del run.holder[number]
            ends = {"done": "done", "failed": "failed", "released": "waiting"}
            run.status[number] = ends[one["status"]]
            run.ended.append(one)
        return True

    def _hand_out(self, run: Run, worker: str, want: int) -> list[dict[str, Body]]:
        if run.state != "active":
            return []
        numbers = [n for n, status in enumerate(run.status) if status == "waiting"][:want]
        for number in numbers:
            run.status[number] = "computing"
            run.attempt[number] = run.attempt.get(number, 0) + 1
            run.holder[number] = worker
        return [self._show(run, number) for number in numbers]

    def _show(self, run: Run, number: int) -> dict[str, Body]:
        shown = {"run": run.uuid, "task": number, "attempt": run.attempt[number]}
        given = {"input": run.inputs[number]} if number in run.inputs else {}
        return {**shown, "percentCompleted": run.percent[number], **given}


def _lines(rows: Iterable[Body]) -> Answer:
    return 200, "".join(json.dumps(row) + "\n" for row in rows)


def _choose(values: dict[str, Body], info: str) -> Answer:
    if info == "":
        return 200, values
    if info not in values:
        return 404, {"detail": f"There is no information {info!r}.", "code": "not_found"}
    return 200, {info: values[info]}


class Server(ThreadingHTTPServer):
    """An HTTP server that knows the stub it belongs to."""

    daemon_threads = True
    block_on_close = False
    stub: Stub

    def handle_error(self, request: object, client_address: object) -> None:
        """Keep quiet: clients that time out hang up in the middle, on purpose."""


class Handler(BaseHTTPRequestHandler):
    """Reads a call, notes it, and hands it to a fault or carries it out."""

    server: Server

    def setup(self) -> None:
        self.protocol_version = "HTTP/1.1" if self.server.stub.keep_alive else "HTTP/1.0"
        super().setup()

    def _serve(self) -> None:
        stub = self.server.stub
        parts = urlsplit(self.path)
        text = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        body = json.loads(text) if text else None
        port = self.client_address[1]
        seen = Seen(self.command, parts.path, query, body, dict(self.headers), port)
        exchange = Exchange(stub, self, seen)
        with stub.lock:
            stub.calls.append(seen)
            fault = stub.take_fault(seen)
        if fault is None:
            exchange.reply(*exchange.handle())
        else:
            fault(exchange)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = _serve

    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet."""
