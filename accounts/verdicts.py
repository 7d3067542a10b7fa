"""Short-lived memory of whom a request's credentials belong to, in this process.

Checking a password is slow by design, and a client may send one with every call; checking a token
costs a query. So a verdict is remembered for ``FRESH`` seconds, then the account is looked at
again: deactivation, a changed password and changed groups bite within that time. Credentials are
never kept: the memory is keyed by an HMAC of them under a secret that only this process knows.
"""

import hashlib
import hmac
import secrets
import time
from dataclasses import dataclass
from typing import Any

FRESH = 30.0
"""Seconds for which a verdict needs no query."""
LAPSE = 3600.0
"""Seconds after which the credentials themselves are checked again."""
CAPACITY = 10_000

_SECRET = secrets.token_bytes(32)


@dataclass
class Verdict:
    """An account whose credentials were right, with the encoded password of that moment."""

    user: Any
    password: str
    fresh_until: float
    valid_until: float


_verdicts: dict[bytes, Verdict] = {}


def key(credentials: str) -> bytes:
    """The key of some credentials; tells nothing about them outside this process."""
    return hmac.digest(_SECRET, credentials.encode(errors="surrogatepass"), hashlib.sha256)


def remember(credentials: str, user: Any, *, seconds: float = LAPSE) -> None:
    """Remember that these credentials are the user's, for at most ``seconds``."""
    if len(_verdicts) >= CAPACITY:
        _verdicts.clear()  # rare, harmless: everybody is checked once more
    now = time.monotonic()
    _verdicts[key(credentials)] = Verdict(
        user=user,
        password=user.password,
        fresh_until=now + min(FRESH, seconds),
        valid_until=now + min(LAPSE, seconds),
    )


def recall(credentials: str) -> Any | None:
    """The user whose credentials these are, if that was found out lately and still holds."""
    name = key(credentials)
    verdict = _verdicts.get(name)
    now = time.monotonic()
    if verdict is None:
        return None
    if now < verdict.fresh_until:
        return verdict.user
    if now < verdict.valid_until and renew(verdict, now):
        return verdict.user
    _verdicts.pop(name, None)
    return None


def renew(verdict: Verdict, now: float) -> bool:
    """Look at the account again: still active, and with the password of then?"""
    user = type(verdict.user).objects.filter(pk=verdict.user.pk, is_active=True).first()
    if user is None or user.password != verdict.password:
        return False
    verdict.user = with_groups(user)
    verdict.fresh_until = min(now + FRESH, verdict.valid_until)
    return True


def with_groups(user: Any) -> Any:
    """The user, with the ids of its groups looked up once as ``group_ids``."""
    user.group_ids = list(user.groups.values_list("id", flat=True))
    return user


def group_ids(user: Any) -> list[int] | None:
    """The groups that were looked up with the verdict; None for a user who came otherwise."""
    return getattr(user, "group_ids", None)


def forget_all() -> None:
    """Forget every verdict; for tests, and for whoever cannot wait half a minute."""
    _verdicts.clear()
