"""Find the secret key, or make one for a farm that serves only its own machine."""

import os
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured
from django.core.management.utils import get_random_secret_key


def find(value: str, *, local_only: bool, path: Path) -> str:
    """The secret key: the given one, else the one kept at ``path``, made on first use.

    Raises:
        ImproperlyConfigured: none is given and the farm serves others than this machine.
    """
    if value:
        return value
    if not local_only:
        raise ImproperlyConfigured(
            "SECRET_KEY is not set, and ALLOWED_HOSTS says that this farm serves others. "
            "Set SECRET_KEY to a long random text that only this farm knows, the same for all of "
            "its processes: python -c 'import secrets; print(secrets.token_urlsafe(50))'"
        )
    return kept(path)


def kept(path: Path) -> str:
    """The key in the file, written once with mode 0600; of two first processes one wins."""
    try:
        return path.read_text().strip() or replace_empty(path)
    except FileNotFoundError:
        draft = path.with_name(f"{path.name}.{os.getpid()}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(get_random_secret_key() + get_random_secret_key())
        try:
            os.link(draft, path)
        except FileExistsError:
            pass  # the other process's key counts
        finally:
            draft.unlink()
        return path.read_text().strip()


def replace_empty(path: Path) -> str:
    """An empty key file is the trace of a full disk: drop it and make a new one."""
    path.unlink()
    return kept(path)
