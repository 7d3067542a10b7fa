"""``python deploy/port.py ADDRESS:PORT``: say in plain words when a server cannot listen there."""

import errno
import socket
import sys


def complaint(bind: str) -> str:
    """Why nobody can listen at this address, and what to do; empty when one can.

    Sockets of the file system are left to gunicorn, and so is whatever it may understand.
    """
    host, _, port = bind.rpartition(":")
    if not host or not port.isdigit() or host == "unix":
        return ""
    family = socket.AF_INET6 if "[" in host else socket.AF_INET
    try:
        with socket.socket(family) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((host.strip("[]"), int(port)))
    except (OSError, OverflowError) as error:
        taken = getattr(error, "errno", None) == errno.EADDRINUSE
        why = f"Port {port} of {host} is taken" if taken else f"Cannot listen on {bind}: {error}"
        return f"{why}. Take another one with TASKFARM_BIND={host}:{next_port(port)} make serve"
    return ""


def next_port(port: str) -> int:
    """A port to propose."""
    return int(port) + 1 if 1024 <= int(port) < 65_535 else 5001


if __name__ == "__main__":
    sys.exit(complaint(sys.argv[1]) or 0)
