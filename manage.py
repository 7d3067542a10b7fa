#!/usr/bin/env python
"""Django's command line for the farm: ``manage.py help`` lists the commands."""

import os
import sys


def main() -> None:
    """Run one management command."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "taskfarm_site.settings")
    try:
        from django.core.exceptions import ImproperlyConfigured
        from django.core.management import execute_from_command_line
        from django.db import InterfaceError, OperationalError, ProgrammingError
    except ImportError as error:
        raise SystemExit(
            "Django is not installed for this Python. Run 'make setup', then use .venv/bin/python."
        ) from error
    try:
        execute_from_command_line(sys.argv)
        sys.stdout.flush()
    except ImproperlyConfigured as error:
        raise SystemExit(f"{error}") from None
    except (InterfaceError, OperationalError, ProgrammingError) as error:
        from taskfarm_site.databases import no_connection, no_table

        told = no_table(error) or no_connection(error)
        if told is None or "--traceback" in sys.argv:
            raise
        raise SystemExit(told) from None
    except BrokenPipeError:  # the reader, `head` perhaps, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        raise SystemExit(130) from None


if __name__ == "__main__":
    main()
