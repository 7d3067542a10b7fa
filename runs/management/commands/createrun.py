"""``manage.py createrun --tasks N``: a new run; prints just its UUID."""

import shlex
import signal
import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType
from typing import IO, Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.core.management.base import BaseCommand, CommandError

from runs import inputs, lifecycle, uploads
from runs.errors import FarmError, InvalidInput
from runs.management import policy
from runs.management.values import myself
from runs.models import Run


class Command(BaseCommand):
    """Create a run."""

    help = (
        "Create a run of waiting tasks, numbered from 0: so many, or one for each line of a file. "
        "Prints just its UUID."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        size = parser.add_mutually_exclusive_group(required=True)
        size.add_argument("--tasks", type=int, metavar="N", help="how many")
        size.add_argument(
            "--inputs", metavar="FILE",
            help="one task for each line, whose JSON is its input; - reads standard input",
        )  # fmt: skip
        parser.add_argument("--name", default="", help="what people call it")
        parser.add_argument("--namespace", default="", help="what it belongs to")
        parser.add_argument("--description", default="", help="anything else about it")
        parser.add_argument("--owner", help="whose it is; not needed where there is one user only")
        parser.add_argument("--group", help="whose members may work on it, too")
        policy.add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Create the run, or refuse and change nothing."""
        described = {
            "owner": find_owner(options["owner"]),
            "group": find_group(options["group"]),
            **{name: options[name] for name in ("name", "namespace", "description")},
        }
        given = policy.given(options)
        try:
            if options["inputs"] is None:
                run = lifecycle.create_run(num_tasks=options["tasks"], **described, **given)
            else:
                run = create_from(options["inputs"], {**described, **given})
        except InvalidInput as error:
            if "group" in error.fields:
                raise CommandError(not_a_member(described["owner"], options["group"])) from error
            raise CommandError(error.detail) from error
        except FarmError as error:
            raise CommandError(error.detail) from error
        self.stdout.write(run.uuid.hex)


def create_from(path: str, described: dict[str, Any]) -> Run:
    """Create a run with a task for each line of a file, all of them or none.

    Raises:
        CommandError: the file cannot be read.
        FarmError: an option or a line is refused; no run is left, unless the error says so.
    """
    with ExitStack() as stack:
        stack.enter_context(unwound_by_sigterm())
        lines = sys.stdin.buffer if path == "-" else stack.enter_context(opened(path))
        try:
            return uploads.create_run(who=myself(), lines=pieces(lines), **described)
        except InvalidInput as error:
            if "inputs" in error.fields:
                error.detail += " No run was left behind."
            raise


@contextmanager
def unwound_by_sigterm() -> Iterator[None]:
    """SIGTERM ends what is under way as Ctrl-C does: half a run is taken back."""

    def leave(number: int, frame: FrameType | None) -> None:
        sys.exit(128 + number)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def pieces(lines: IO[bytes]) -> Iterator[bytes]:
    """The lines; one that is far too long for an input comes in pieces, to be refused."""
    while line := lines.readline(4 * inputs.MOST):
        yield line


def opened(path: str) -> IO[bytes]:
    """The file of inputs.

    Raises:
        CommandError: it cannot be read.
    """
    try:
        return open(path, "rb")
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror}.") from error


def not_a_member(owner: Any, group: str) -> str:
    """Whose membership is missing, and what to type."""
    name = owner.get_username()
    return (
        f"{name} is not a member of the group {group!r}: choose another owner, or add {name} with: "
        f"manage.py adduser {shlex.quote(name)} --group {shlex.quote(group)}"
    )


def find_owner(name: str | None) -> Any:
    """The user of this name, or the only one there is.

    Raises:
        CommandError: there is no such user, or it is not clear which one is meant.
    """
    users = get_user_model().objects.filter(is_active=True)
    if name is not None:
        users = users.filter(username=name)
    found = list(users[:2])
    if len(found) == 1:
        return found[0]
    if name is not None:
        raise CommandError(f"There is no active user {name!r}: create one with manage.py adduser.")
    if found:
        raise CommandError("There is more than one user: say whose run it is with --owner NAME.")
    raise CommandError("There is no user yet: create one with manage.py adduser NAME.")


def find_group(name: str | None) -> Group | None:
    """The group of this name; None for none.

    Raises:
        CommandError: there is no such group.
    """
    if name is None:
        return None
    group = Group.objects.filter(name=name).first()
    if group is None:
        raise CommandError(f"There is no group {name!r}: the admin and adduser --group make them.")
    return group
