"""What users write as the address of a server, and what becomes of it."""

from __future__ import annotations

import pytest
from taskfarm_stub import Stub
from taskfarm_worker import ConfigurationError, tfRuns
from taskfarm_worker._config import normalise_url

RIGHT = {
    "http://host:5000": "http://host:5000/api/",
    "http://host:5000/": "http://host:5000/api/",
    "http://host:5000/api": "http://host:5000/api/",
    "http://host:5000/api/": "http://host:5000/api/",
    " https://host/farm/ ": "https://host/farm/api/",
    "https://host/farm/api": "https://host/farm/api/",
    "https://host/api/farm": "https://host/api/farm/",
    "http://[::1]:5000": "http://[::1]:5000/api/",
    "http://host/capital": "http://host/capital/api/",
}

WRONG = [
    "host:5000",
    "localhost",
    "ftp://host/",
    "http://",
    "http:///api/",
    "http://host:port/",
    "http://host:0/",
    "http://[::1/",
    "http://host/api/?x=1",
    "http://host/api/#x",
]


@pytest.mark.parametrize("given", RIGHT)
def test_an_address_is_completed(given: str) -> None:
    assert normalise_url(given, "the arguments") == RIGHT[given]


@pytest.mark.parametrize("given", WRONG)
def test_what_is_no_address_is_refused_with_an_example(given: str) -> None:
    with pytest.raises(ConfigurationError, match=r"from the arguments.*http://localhost:5000/api/"):
        tfRuns("user", "secret", given)


@pytest.mark.parametrize("given", ["http://me:hush@host/api/", "me:hush@host", "http://me@host"])
def test_a_password_in_an_address_is_refused_and_not_repeated(given: str) -> None:
    with pytest.raises(ConfigurationError, match="TASKFARM_PASSWORD") as caught:
        tfRuns("user", "secret", given)
    assert "hush" not in str(caught.value)


def test_a_short_address_reaches_the_server(stub: Stub) -> None:
    assert tfRuns("user", "secret", stub.url.replace("/api/", "")) == []
