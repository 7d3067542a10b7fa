"""Credentials as clients send them, right and wrong."""

import base64
from typing import Any

from rest_framework.test import APIClient


def basic(name: str, password: str, encoding: str = "utf-8") -> str:
    """The ``Authorization`` header of HTTP Basic."""
    pair = f"{name}:{password}".encode(encoding)
    return f"Basic {base64.b64encode(pair).decode()}"


def call(header: str, address: str = "/api/runs", **options: Any) -> Any:
    """Make a call with this ``Authorization`` header."""
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=header)
    return client.get(address, **options)


def token(client: APIClient) -> str:
    """A fresh token of the client's account."""
    return str(client.get("/api/token").json()["token"])
