"""Runs a command so many times with HyperQueue; runs in its environment and its own network.

Server and worker are those of its LocalCluster, in this process. They listen on all addresses, so
this belongs into a network namespace, where there is only loopback: `unshare --net`.

Prints one JSON object: the seconds of the whole call, from submitting to having waited, and how
many tasks have failed.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import logging
import os
import socket
import struct
import time

from hyperqueue import Job, LocalCluster
from hyperqueue.cluster import WorkerConfig

SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1


def raise_loopback() -> None:
    """In a new namespace the loopback device is there, and down."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
        request = struct.pack("16sh14x", b"lo", 0)
        flags = struct.unpack("16sh14x", fcntl.ioctl(handle, SIOCGIFFLAGS, request))[1]
        fcntl.ioctl(handle, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | IFF_UP))


def quiet() -> int:
    """What its library prints goes to stderr; answers where stdout was."""
    kept = os.dup(1)
    os.dup2(2, 1)
    return kept


def run(words: list[str], count: int, places: int, folder: str) -> dict[str, object]:
    """Run the command so many times; each task leaves its two logs in the folder."""
    with LocalCluster(worker_config=WorkerConfig(cores=places)) as cluster:
        client = cluster.client()
        job = Job(default_workdir=folder, max_fails=None)
        for _ in range(count):
            job.program(words)
        start = time.perf_counter()
        submitted = client.submit(job)
        good = client.wait_for_jobs([submitted], raise_on_error=False)
        seconds = time.perf_counter() - start
    return {"whole": seconds, "good": good}


def main() -> None:
    """Read the options, run, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--places", type=int, required=True)
    parser.add_argument("--folder", required=True)
    parser.add_argument("words", nargs="+")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    raise_loopback()
    kept = quiet()
    told = run(options.words, options.count, options.places, options.folder)
    os.write(kept, json.dumps(told).encode() + b"\n")


if __name__ == "__main__":
    main()
