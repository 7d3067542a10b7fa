"""Who sends this request? HTTP Basic with password or token, or ``Bearer`` with a token."""

import base64
import binascii
import time
from typing import Any

from axes.handlers.proxy import AxesProxyHandler
from django.contrib.auth import authenticate, get_user_model
from django.http import HttpRequest
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import APIException, AuthenticationFailed
from rest_framework.request import Request
from rest_framework_simplejwt.authentication import JWTAuthentication
from rest_framework_simplejwt.exceptions import InvalidToken

from accounts import verdicts

REALM = 'Basic realm="taskfarm", charset="UTF-8"'
LONGEST_NAME = 255
"""The book of failed logins holds no longer name, and no account has one."""


class LockedOut(APIException):
    """Too many wrong passwords for this name from this address."""

    status_code = 429
    default_detail = "Too many failed logins for this user from this address: try again later."
    default_code = "locked_out"


class FarmAuthentication(BaseAuthentication):
    """The account behind an ``Authorization`` header; anonymous without one."""

    def authenticate(self, request: Request) -> tuple[Any, str] | None:
        """The account and its kind of credentials.

        Raises:
            AuthenticationFailed: the credentials are malformed, wrong or expired.
            LockedOut: there were too many wrong ones before.
        """
        header = request.META.get("HTTP_AUTHORIZATION", "")
        if not header:
            return None
        user = verdicts.recall(header)
        if user is None:
            user = identify(header, request)
        return user, "authorization"

    def authenticate_header(self, request: Request) -> str:
        """What a 401 asks for."""
        return REALM


def identify(header: str, request: Request) -> Any:
    """Check a header's credentials and remember the verdict."""
    scheme, _, rest = header.partition(" ")
    if scheme.lower() == "bearer":
        user, seconds = by_token(rest.strip())
    elif scheme.lower() == "basic":
        name, password = split_basic(rest)
        user, seconds = (
            by_token(name) if looks_like_token(name) else by_password(name, password, request)
        )
    else:
        raise AuthenticationFailed(
            "Use HTTP Basic (user and password, or a token as the user) or 'Bearer TOKEN'.",
            code="unknown_scheme",
        )
    verdicts.remember(header, verdicts.with_groups(user), seconds=seconds)
    return user


def split_basic(encoded: str) -> tuple[str, str]:
    """User and password of a Basic header, in UTF-8 or, as older clients send it, Latin-1.

    Raises:
        AuthenticationFailed: it is not the base64 of ``user:password``.
    """
    try:
        raw = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    name, colon, password = text.partition(":")
    if not colon or "\x00" in text:
        raise AuthenticationFailed(
            "The Basic credentials are not the base64 of user:password.", code="malformed"
        )
    return name, password


def looks_like_token(name: str) -> bool:
    """Whether a Basic user name is a token: three dotted parts, the first a JSON header."""
    return name.startswith("eyJ") and name.count(".") == 2


def by_token(raw: str) -> tuple[Any, float]:
    """The account of a token, and the seconds that the token is still good for.

    Raises:
        AuthenticationFailed: it is forged, expired, or ended by a changed password.
    """
    checker = JWTAuthentication()
    try:
        token = checker.get_validated_token(raw.encode())
        user = checker.get_user(token)
    except InvalidToken as error:
        raise AuthenticationFailed(
            "The token is invalid or expired: get a new one from GET /api/token.",
            code="token_invalid",
        ) from error
    except AuthenticationFailed as error:
        raise AuthenticationFailed(
            "The token has ended with its account's password or activity: "
            "get a new one from GET /api/token.",
            code="token_ended",
        ) from error
    return user, token["exp"] - time.time()


def by_password(name: str, password: str, request: Request) -> tuple[Any, float]:
    """The account with this name and password.

    Raises:
        AuthenticationFailed: the password is wrong, or there is no such active account.
        LockedOut: there were too many wrong ones before.
    """
    plain = request._request
    prepare_books(plain)
    user = None
    if len(name) <= LONGEST_NAME and not of_deactivated(name, password, plain):
        user = authenticate(plain, username=name, password=password)
    if user is None:
        if getattr(plain, "axes_locked_out", False):
            raise LockedOut
        raise AuthenticationFailed("Wrong user or password.", code="wrong_password")
    # Nobody is logged in here, so axes must be told that the wrong passwords before are forgiven.
    AxesProxyHandler.user_logged_in(sender=by_password, request=plain, user=user)
    return user, verdicts.LAPSE


def of_deactivated(name: str, password: str, request: HttpRequest) -> bool:
    """Whether this is the right password of a deactivated account, which is no failed login.

    Else a job that goes on calling would soon be told that it tried too many wrong passwords.
    Nothing is looked at while the name is locked.
    """
    found = get_user_model().objects.filter(username=name, is_active=False).first()
    if found is None or not AxesProxyHandler.is_allowed(request, {"username": name}):
        return False
    return bool(found.check_password(password))


def prepare_books(request: HttpRequest) -> None:
    """Let axes note the request; its book cannot hold the NUL that an address may have."""
    AxesProxyHandler.update_request(request)
    request.axes_path_info = request.axes_path_info.replace("\x00", "")  # type: ignore[attr-defined]
