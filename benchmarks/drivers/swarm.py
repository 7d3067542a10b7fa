"""Many simulated workers in one process: they exchange as real ones do, and compute nothing.

Each has a connection of its own that it keeps open, holds one task at a time, and makes an exchange
when its task ends (done, and the next one please) and at every heartbeat (what it holds). All of
that lies on a timetable: a slow answer does not put off the next exchange. The first tasks are of
random length, so that the workers are not in step.

    --pace 1   farm time is real time; smaller is faster; 0 goes through the timetable without
               waiting, as fast as the server answers.

After `--warm` seconds everything is measured until `--window` seconds have passed or `--exchanges`
have been made. Prints one JSON object; the processor time is that of the processes in `--pid`, and
last its own.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import sys
import time
from base64 import b64encode
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

from benchmarks.harness.processor import tree_seconds

Json = dict[str, Any]


class Connection:
    """One kept HTTP connection, opened again where the server has closed it."""

    def __init__(self, api: str, authorization: str) -> None:
        parts = urlsplit(api)
        self._host, self._port, self._path = str(parts.hostname), int(parts.port or 80), parts.path
        self._authorization = authorization
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def call(self, method: str, path: str, body: Json | None = None) -> Json:
        """Make a call; all of them here may be repeated when the connection turns out dead."""
        content = b"" if body is None else json.dumps(body).encode()
        head = (
            f"{method} {self._path}{path} HTTP/1.1\r\nHost: {self._host}\r\n"
            f"Authorization: {self._authorization}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(content)}\r\n\r\n"
        )
        for _ in range(3):
            try:
                return await self._send(head.encode() + content)
            except (ConnectionError, asyncio.IncompleteReadError):
                self._streams = None
        raise ConnectionError(f"{method} {path}: no connection held")

    async def _send(self, message: bytes) -> Json:
        if self._streams is None:
            self._streams = await asyncio.open_connection(self._host, self._port)
        reader, writer = self._streams
        writer.write(message)
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        length = int(head.partition("content-length:")[2].partition("\r\n")[0] or 0)
        content = await reader.readexactly(length)
        if "connection: close" in head:
            writer.close()
            self._streams = None
        status = int(head.split(" ", 2)[1])
        if not 200 <= status < 300:
            raise RuntimeError(f"the server answered {status}: {content[:300]!r}")
        return json.loads(content) if content else {}


@dataclass
class Farm:
    """What all workers share: the options, what was measured, when it is over."""

    options: argparse.Namespace
    authorization: str = ""
    began: float = 0.0
    measuring: bool = False
    over: bool = False
    latencies: list[float] = field(default_factory=list)
    tasks: int = 0
    dropped: int = 0

    async def until(self, moment: float) -> None:
        """Wait for a moment of farm time, in seconds from the beginning."""
        if self.options.pace:
            await asyncio.sleep(self.began + moment * self.options.pace - time.perf_counter())

    def note(self, seconds: float, ended: int, answer: Json) -> None:
        """An exchange was answered."""
        self.dropped += len(answer["drop"]) + len(answer["stale"])
        if self.measuring:
            self.latencies.append(seconds)
            self.tasks += ended
            if self.options.exchanges and len(self.latencies) >= self.options.exchanges:
                self.over = True


class Worker:
    """One simulated worker."""

    def __init__(self, farm: Farm) -> None:
        self.farm = farm
        self.uuid = uuid4().hex
        self.connection = Connection(farm.options.url, farm.authorization)
        self.held: list[list[int]] = []

    async def live(self) -> None:
        """Register, then go through the timetable."""
        options = self.farm.options
        now = random.uniform(0, options.beat)
        await self.farm.until(now)
        body = {"uuid": self.uuid, "hostname": "swarm", "pid": 1, "heartbeat": 10}
        await self.connection.call("POST", "worker", body)
        await self.exchange(want=1)
        end, beat = now + random.uniform(0, options.task), now + options.beat
        while not self.farm.over:
            now = min(end, beat)
            await self.farm.until(now)
            if now == end:
                await self.exchange(want=1, ended=True)
                end += options.task
            else:
                await self.exchange()
                beat += options.beat

    async def exchange(self, want: int = 0, ended: bool = False) -> None:
        """Report the end of a task, or what is held; ask for a task."""
        run = self.farm.options.run
        body: Json = {"want": want, "runs": [run]}
        if ended:
            body["done"] = {run: self.held}
        elif not want:
            body["holding"] = {run: self.held}
        before = time.perf_counter()
        answer = await self.connection.call("POST", f"worker/{self.uuid}/exchange", body)
        self.farm.note(time.perf_counter() - before, int(ended), answer)
        if want:
            self.held = [[one["task"], one["attempt"]] for one in answer["tasks"]]
            if not self.held:
                raise RuntimeError(f"the server had no task: {answer}")


async def authorize(options: argparse.Namespace) -> str:
    """Fetch a token, as a client does: checking a password costs more than all exchanges."""
    basic = b64encode(f"{options.user}:{options.password}".encode()).decode()
    token = (await Connection(options.url, f"Basic {basic}").call("GET", "token"))["token"]
    return f"Bearer {token}"


async def swarm(options: argparse.Namespace) -> Json:
    """All workers, until it is over."""
    farm = Farm(options, authorization=await authorize(options), began=time.perf_counter())
    workers = [asyncio.create_task(Worker(farm).live()) for _ in range(options.workers)]
    await watched(workers, options.warm)
    pids = [*options.pid, os.getpid()]
    before, began = [tree_seconds(pid) for pid in pids], time.perf_counter()
    farm.measuring = True
    await watched(workers, options.window, farm)
    seconds = time.perf_counter() - began
    spent = [tree_seconds(pid) - start for pid, start in zip(pids, before, strict=True)]
    farm.over = True
    for worker in workers:
        worker.cancel()
    answers = await asyncio.gather(*workers, return_exceptions=True)
    for answer in answers:
        if isinstance(answer, Exception):
            raise answer
    return report(farm, seconds, spent)


async def watched(
    workers: list[asyncio.Task[None]], seconds: float, farm: Farm | None = None
) -> None:
    """Let the workers go on for some seconds; an error of one of them is an error here."""
    end = time.perf_counter() + seconds
    while (left := end - time.perf_counter()) > 0 and not (farm and farm.over):
        ready, _ = await asyncio.wait(
            workers, timeout=min(left, 0.5), return_when="FIRST_EXCEPTION"
        )
        for worker in ready:
            worker.result()


def report(farm: Farm, seconds: float, spent: list[float]) -> Json:
    """What was measured."""
    latencies = sorted(farm.latencies)
    if not latencies:
        sys.exit("no exchange was answered")
    return {
        "seconds": seconds,
        "exchanges": len(latencies),
        "tasks": farm.tasks,
        "dropped": farm.dropped,
        "p50": latencies[len(latencies) // 2],
        "p99": latencies[int(0.99 * (len(latencies) - 1))],
        "longest": latencies[-1],
        "cpu": spent,
    }


def main() -> None:
    """Read the options, let the swarm loose, print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("url", "user", "password", "run"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--pid", type=int, action="append", default=[])
    parser.add_argument("--workers", type=int, required=True)
    parser.add_argument("--exchanges", type=int, default=0)
    for name, default in (("task", 60.0), ("beat", 10.0), ("warm", 0.0), ("window", 60.0)):
        parser.add_argument(f"--{name}", type=float, default=default)
    parser.add_argument("--pace", type=float, default=1.0)
    options = parser.parse_args()
    print(json.dumps(asyncio.run(swarm(options))))


if __name__ == "__main__":
    main()
