"""An HTTP proxy that treats calls as a bad network does: seeded, so that a run can be repeated."""

import http.client
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

SOMETIMES = 0.4
"""The share of the calls to which something happens."""


class Answer(NamedTuple):
    """What the server behind has answered."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


class Proxy:
    """Passes calls on to a server, some of them in an unruly way.

    Attributes:
        url: where it listens.
        seen: how often which fault happened.
    """

    def __init__(self, port: int, seed: int, unruly: Callable[[str, str], bool]) -> None:
        """Prepare.

        Args:
            port: the server's, on this machine.
            seed: of what happens by chance.
            unruly: tells by method and path for which calls something may happen.
        """
        self.seen: Counter[str] = Counter()
        self._port = port
        self._chance = random.Random(seed)
        self._unruly = unruly
        self._lock = threading.Lock()
        self._late: list[threading.Thread] = []
        proxy = self

        class Handler(_Handler):
            owner = proxy

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    @contextmanager
    def listening(self) -> Iterator["Proxy"]:
        """Listen; at the end wait for the calls that are still on their way."""
        thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join()
            self.settle()

    def settle(self) -> None:
        """Wait until the calls that are late have arrived."""
        while self._late:
            self._late.pop().join()

    def draw(self, method: str, path: str) -> tuple[str, float]:
        """What happens to the next call, and a number of seconds for it."""
        with self._lock:
            name, seconds = "passed", self._chance.uniform(0.0, 0.3)
            if self._unruly(method, path) and self._chance.random() < SOMETIMES:
                name = self._chance.choice(sorted(FAULTS))
            self.seen[name] += 1
            return name, seconds

    def forward(self, call: "_Handler", body: bytes) -> Answer:
        """Bring a call to the server."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        hop = {"connection", "keep-alive", "host"}
        headers = {name: value for name, value in call.headers.items() if name.lower() not in hop}
        connection.request(call.command, call.path, body or None, headers)
        response = connection.getresponse()
        answer = Answer(response.status, response.getheaders(), response.read())
        connection.close()
        return answer

    def forward_later(self, call: "_Handler", body: bytes, seconds: float) -> None:
        """Bring a call to the server after others that were made later; nobody hears the answer."""

        def work() -> None:
            time.sleep(seconds)
            with suppress(OSError, http.client.HTTPException):
                self.forward(call, body)

        thread = threading.Thread(target=work)
        self._late.append(thread)
        thread.start()


class _Handler(BaseHTTPRequestHandler):
    """One connection of a client."""

    owner: Proxy
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        """Tell nobody."""

    def _handle(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        name, seconds = self.owner.draw(self.command, self.path)
        FAULTS.get(name, passed)(self, body, seconds)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _handle

    def reply(self, answer: Answer, *, most: int | None = None) -> None:
        """Answer the client; with ``most`` break off after so many bytes of the body."""
        self.send_response_only(answer.status)
        for name, value in answer.headers:
            if name.lower() not in {"connection", "transfer-encoding", "content-length"}:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body[:most])
        if most is not None:
            self.hang_up()

    def hang_up(self) -> None:
        """Break the connection off."""
        self.wfile.flush()
        self.close_connection = True


def passed(call: _Handler, body: bytes, seconds: float) -> None:
    """Nothing happens."""
    call.reply(call.owner.forward(call, body))


def lost_before(call: _Handler, body: bytes, seconds: float) -> None:
    """The call never arrives."""
    call.hang_up()


def lost_after(call: _Handler, body: bytes, seconds: float) -> None:
    """The call is carried out, its answer is lost."""
    call.owner.forward(call, body)
    call.hang_up()


def cut(call: _Handler, body: bytes, seconds: float) -> None:
    """The answer breaks off in the middle."""
    answer = call.owner.forward(call, body)
    call.reply(answer, most=len(answer.body) // 2)


def twice_first(call: _Handler, body: bytes, seconds: float) -> None:
    """The call arrives twice; the client hears the first answer."""
    answer = call.owner.forward(call, body)
    call.owner.forward(call, body)
    call.reply(answer)


def twice_last(call: _Handler, body: bytes, seconds: float) -> None:
    """The call arrives twice; the client hears the second answer."""
    call.owner.forward(call, body)
    call.reply(call.owner.forward(call, body))


def delayed(call: _Handler, body: bytes, seconds: float) -> None:
    """The call takes its time, so that those of other processes overtake it."""
    time.sleep(seconds)
    passed(call, body, seconds)


def late(call: _Handler, body: bytes, seconds: float) -> None:
    """The client hears that the call is lost; it arrives after the client's next ones."""
    call.owner.forward_later(call, body, seconds)
    call.hang_up()


FAULTS: dict[str, Callable[[_Handler, bytes, float], None]] = {
    one.__name__: one
    for one in (lost_before, lost_after, cut, twice_first, twice_last, delayed, late)
}
