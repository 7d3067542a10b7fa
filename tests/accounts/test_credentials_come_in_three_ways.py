"""HTTP Basic with a password, HTTP Basic with a token as the user, Bearer; and what is none."""

import pytest
from django.contrib.auth.models import User
from rest_framework.test import APIClient

from tests.accounts.credentials import basic, call, token
from tests.api.shape import assert_refused
from tests.factories import PASSWORD


def test_user_and_password_as_basic(alice: User) -> None:
    assert call(basic("alice", PASSWORD)).status_code == 200


@pytest.mark.parametrize("password", ["", "any", PASSWORD, "a:b"])
def test_a_token_as_the_basic_user_with_any_password(api: APIClient, password: str) -> None:
    assert call(basic(token(api), password)).status_code == 200


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "Bearer  "])
def test_a_token_as_bearer(api: APIClient, scheme: str) -> None:
    assert call(f"{scheme} {token(api)}").status_code == 200


def test_a_token_gives_a_token(api: APIClient) -> None:
    first = token(api)
    second = call(f"Bearer {first}", "/api/token").json()["token"]
    assert call(basic(second, "")).status_code == 200


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_a_password_beyond_ascii_in_either_encoding(alice: User, encoding: str) -> None:
    # requests, and so the published client, sends Latin-1; browsers and curl send UTF-8.
    alice.set_password("fjörður")
    alice.save()
    assert call(basic("alice", "fjörður", encoding)).status_code == 200


def test_a_password_with_colons_and_blanks(alice: User) -> None:
    alice.set_password(" a:b:c ")
    alice.save()
    assert call(basic("alice", " a:b:c ")).status_code == 200


@pytest.mark.parametrize("name", ["eyJ.b.c", "eyJhbGciOiJIUzI1NiJ9", "a.b.c"])
def test_a_user_name_that_only_resembles_a_token(alice: User, name: str) -> None:
    assert_refused(call(basic(name, "x")), 401, call(basic(name, "x")).json()["code"])


@pytest.mark.parametrize(
    ("header", "code"),
    [
        ("Basic", "malformed"), ("Basic ", "malformed"), ("Basic !!!", "malformed"),
        ("Basic YWxpY2U=", "malformed"), ("Basic YWxpY2U6eA", "malformed"),
        (basic("a\x00b", "x"), "malformed"), (basic("alice", "\x00"), "malformed"),
        ("Basic \xff\xfe", "malformed"), ("Basic " + "A" * 100_000, "malformed"),
        ("Bearer", "token_invalid"), ("Bearer ", "token_invalid"), ("Bearer x", "token_invalid"),
        ("Bearer a.b.c", "token_invalid"), ("Bearer \xff", "token_invalid"),
        ("Bearer " + "A" * 100_000, "token_invalid"), ("Bearer x y", "token_invalid"),
        ("Digest username=x", "unknown_scheme"), ("alice:secret", "unknown_scheme"),
        ("\xff", "unknown_scheme"), (" ", "unknown_scheme"), ("Token abc", "unknown_scheme"),
        (basic("alice", "wrong"), "wrong_password"), (basic("nobody", PASSWORD), "wrong_password"),
        (basic("ALICE", PASSWORD), "wrong_password"), (basic("", ""), "wrong_password"),
        (basic("", PASSWORD), "wrong_password"), (basic("alice", ""), "wrong_password"),
        (basic("x" * 10_000, "x"), "wrong_password"),
        (basic("alice", "x" * 5000), "wrong_password"),
        (basic("'; DROP TABLE runs_run; --", "x"), "wrong_password"),
        (basic("eyJ.b.c", "x"), "token_invalid"),
    ],
)  # fmt: skip
def test_what_is_neither_is_a_401_that_says_why(alice: User, header: str, code: str) -> None:
    response = call(header)
    assert_refused(response, 401, code)
    assert response.headers["WWW-Authenticate"].startswith("Basic realm=")


def test_an_unknown_user_and_a_wrong_password_are_told_in_the_same_words(alice: User) -> None:
    wrong = call(basic("alice", "wrong")).json()
    assert call(basic("nobody", "wrong")).json() == wrong


def test_an_inactive_account_is_told_in_the_same_words(alice: User) -> None:
    wrong = call(basic("alice", "wrong")).json()
    User.objects.update(is_active=False)
    assert call(basic("alice", PASSWORD)).json() == wrong
