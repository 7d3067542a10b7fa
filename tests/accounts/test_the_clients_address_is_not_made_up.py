"""Whose failed logins they are: the peer's address, or what our own proxies say of it."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import RequestFactory

from accounts.lockout import client_address
from tests.accounts.credentials import basic, call
from tests.api.shape import assert_refused

PEER, CLIENT, EVIL = "10.0.0.1", "192.0.2.7", "198.51.100.9"


@pytest.mark.parametrize(
    ("proxies", "forwarded", "expected"),
    [
        # Nobody is trusted: whatever a client writes is ignored.
        (0, None, PEER), (0, EVIL, PEER), (0, f"{EVIL}, {CLIENT}", PEER),
        # One proxy wrote the last entry, the others are the client's own.
        (1, CLIENT, CLIENT), (1, f"{EVIL}, {CLIENT}", CLIENT), (1, f"{EVIL},{CLIENT}", CLIENT),
        (1, None, PEER), (1, "", PEER),
        # Two proxies wrote the last two.
        (2, f"{CLIENT}, 10.0.0.2", CLIENT), (2, f"{EVIL}, {CLIENT}, 10.0.0.2", CLIENT),
        (2, CLIENT, PEER), (2, None, PEER),
        # What is no address is never stored as one.
        (1, "garbage", PEER), (1, f"{CLIENT}, ", PEER), (1, "192.0.2.7:4711", PEER),
        (1, "' OR 1=1", PEER), (1, "x" * 5000, PEER), (1, "\x00", PEER),
        (1, "2001:db8::7", "2001:db8::7"), (1, "fe80::1%eth0", "fe80::1"),
    ],
)  # fmt: skip
def test_the_address_of_a_client(
    settings: Any, proxies: int, forwarded: str | None, expected: str
) -> None:
    settings.PROXIES = proxies
    extra = {} if forwarded is None else {"HTTP_X_FORWARDED_FOR": forwarded}
    request = RequestFactory().get("/", REMOTE_ADDR=PEER, **extra)
    assert client_address(request) == expected


@pytest.mark.parametrize("peer", ["", "unix:", "@"])
def test_a_client_of_a_unix_socket_is_of_this_machine(peer: str) -> None:
    assert client_address(RequestFactory().get("/", REMOTE_ADDR=peer)) == "127.0.0.1"


@pytest.mark.parametrize("peer", ["", "fe80::1%eth0", "2001:db8::7", "192.0.2.7"])
def test_a_failed_login_from_any_kind_of_address_is_noted(alice: User, peer: str) -> None:
    # PostgreSQL takes nothing but an address in that column.
    assert_refused(call(basic("alice", "x"), REMOTE_ADDR=peer), 401, "wrong_password")


def test_a_made_up_address_does_not_get_around_the_lock(alice: User, settings: Any) -> None:
    header = basic("alice", "wrong")
    codes = [
        call(header, headers={"X-Forwarded-For": f"203.0.113.{number}"}).status_code
        for number in range(settings.AXES_FAILURE_LIMIT + 1)
    ]
    assert codes[-2:] == [429, 429]


def test_behind_a_trusted_proxy_each_client_has_its_own_count(alice: User, settings: Any) -> None:
    settings.PROXIES = 1
    header = basic("alice", "wrong")
    for number in range(settings.AXES_FAILURE_LIMIT + 1):
        forwarded = {"X-Forwarded-For": f"{EVIL}, 203.0.113.{number}"}
        assert_refused(call(header, headers=forwarded), 401, "wrong_password")
