"""``manage.py createrun --tasks N``: a new run; prints just its UUID."""

import shlex
from argparse import ArgumentParser
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.core.management.base import BaseCommand, CommandError

from runs import lifecycle
from runs.errors import InvalidInput


class Command(BaseCommand):
    """Create a run."""

    help = "Create a run of waiting tasks, numbered from 0. Prints just its UUID."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument("--tasks", type=int, required=True, metavar="N", help="how many")
        parser.add_argument("--name", default="", help="what people call it")
        parser.add_argument("--namespace", default="", help="what it belongs to")
        parser.add_argument("--owner", help="whose it is; not needed where there is one user only")
        parser.add_argument("--group", help="whose members may work on it, too")

    def handle(self, *args: Any, **options: Any) -> None:
        """Create the run, or refuse and change nothing."""
        owner = find_owner(options["owner"])
        try:
            run = lifecycle.create_run(
                owner=owner,
                num_tasks=options["tasks"],
                name=options["name"],
                namespace=options["namespace"],
                group=find_group(options["group"]),
            )
        except InvalidInput as error:
            if "group" in error.fields:
                raise CommandError(not_a_member(owner, options["group"])) from error
            raise CommandError(error.detail) from error
        self.stdout.write(run.uuid.hex)


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
