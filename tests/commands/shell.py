"""How the tests call ``manage.py``."""

import io
from typing import Any

from django.core.management import call_command


def manage(*words: str, **options: Any) -> str:
    """What a command prints on standard output."""
    out = io.StringIO()
    call_command(*words, stdout=out, stderr=io.StringIO(), **options)
    return out.getvalue()
