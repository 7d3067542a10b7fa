"""Whether the server answers: exit code 0 if it does. For the container, and for monitors."""

import http.client
import os
import sys


def answers(address: str, patience: float = 5) -> bool:
    """Whether a farm answers at ``host:port``."""
    connection = http.client.HTTPConnection(address, timeout=patience)
    try:
        connection.request("GET", "/healthz", headers={"Host": "localhost"})
        return connection.getresponse().status < 400
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


if __name__ == "__main__":
    bind = os.environ.get("TASKFARM_BIND") or "127.0.0.1:5000"
    sys.exit(0 if answers(bind.replace("0.0.0.0", "127.0.0.1")) else 1)  # noqa: S104 - no listening
