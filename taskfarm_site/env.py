"""Typed readers of environment variables that fail loudly, naming the variable and its value."""

import os
from ipaddress import IPv4Network, IPv6Network, ip_network

from django.core.exceptions import ImproperlyConfigured

TRUE = {"1", "true", "yes", "on"}
FALSE = {"0", "false", "no", "off", ""}


def text(name: str, default: str = "") -> str:
    """The variable as text, or the default where it is unset."""
    return os.environ.get(name, default)


def words(name: str) -> list[str]:
    """The variable as a list: commas separate, blanks are dropped."""
    return [word.strip() for word in text(name).split(",") if word.strip()]


def flag(name: str, default: bool) -> bool:
    """The variable as a yes or no.

    Raises:
        ImproperlyConfigured: it is neither.
    """
    value = os.environ.get(name)
    if value is None:
        return default
    if value.lower() in TRUE | FALSE:
        return value.lower() in TRUE
    raise ImproperlyConfigured(f"{name}={value!r} is neither true nor false: set it to 1 or 0.")


def number(name: str, default: int, *, least: int, most: int) -> int:
    """The variable as a whole number from ``least`` to ``most``.

    Raises:
        ImproperlyConfigured: it is no whole number, or out of range.
    """
    value = os.environ.get(name)
    if value is None or value == "":
        return default
    try:
        result = int(value)
    except ValueError:
        result = least - 1
    if not least <= result <= most:
        raise ImproperlyConfigured(
            f"{name}={value!r} must be a whole number from {least} to {most}."
        )
    return result


def choice(name: str, default: str, known: set[str]) -> str:
    """The variable as one of some words, upper or lower case as they are.

    Raises:
        ImproperlyConfigured: it is none of them.
    """
    value = os.environ.get(name) or default
    found = next((word for word in known if word.lower() == value.lower()), None)
    if found is None:
        shown = ", ".join(sorted(known)) if len(known) < 20 else "such as UTC or Europe/Berlin"
        raise ImproperlyConfigured(f"{name}={value!r} is not known: {shown}.")
    return found


def secret(name: str, *, least: int) -> str:
    """The variable as a secret of ``least`` characters or more; empty where it is unset.

    Raises:
        ImproperlyConfigured: it is so short that it can be guessed; its value is not told.
    """
    value = text(name).strip()
    if value and len(value) < least:
        raise ImproperlyConfigured(
            f"{name} has {len(value)} characters and needs {least} or more: make one with "
            "python3 -c 'import secrets; print(secrets.token_urlsafe(32))'"
        )
    return value


def networks(name: str) -> list[IPv4Network | IPv6Network]:
    """The variable as addresses and networks: commas separate.

    Raises:
        ImproperlyConfigured: one of them is neither.
    """
    found = []
    for word in words(name):
        try:
            found.append(ip_network(word))
        except ValueError as error:
            raise ImproperlyConfigured(
                f"{name}: {error}. Use addresses or networks such as 10.1.2.3 or 10.1.0.0/16."
            ) from None
    return found
