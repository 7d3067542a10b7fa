"""``manage.py adduser NAME``: an account for a person or for workers; groups for one there is."""

import getpass
import sys
from argparse import ArgumentParser
from typing import Any

from django.contrib.auth import get_user_model, password_validation
from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

TRIES = 3
"""How often a password is asked for before the command gives up."""


class Command(BaseCommand):
    """Create a user, as ``adminTF -u NAME -p PASSWORD`` did, or make one a member of groups."""

    help = (
        "Create a user. Without -p the password is asked for, or read with --password-stdin. "
        "With --group and nothing else, a user that there is already joins the groups."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument("name", help="name of the user")
        password = parser.add_mutually_exclusive_group()
        password.add_argument(
            "-p", "--password", help="the password; other users of this machine can see it here"
        )
        password.add_argument(
            "--password-stdin", action="store_true", help="read the password from standard input"
        )
        parser.add_argument("--staff", action="store_true", help="may see all runs and the admin")
        parser.add_argument("--superuser", action="store_true", help="may do everything")
        parser.add_argument(
            "--group", action="append", default=[], metavar="G",
            help="make the user a member of this group, created if need be; repeatable",
        )  # fmt: skip

    def handle(self, *args: Any, **options: Any) -> None:
        """Create the user or add the groups, or refuse and change nothing.

        Raises:
            CommandError: what is asked for cannot be.
        """
        if not options["name"]:
            raise CommandError("The name is empty: manage.py adduser NAME makes a user.")
        check_groups(options["group"])
        name = get_user_model().normalize_username(options["name"])
        user = get_user_model().objects.filter(username=name).first()
        if user is None:
            self.create(name, options)
        else:
            self.join(user, options)

    def create(self, name: str, options: dict[str, Any]) -> None:
        """Create the user.

        Raises:
            CommandError: no user can have this name, or there is no password.
        """
        user = get_user_model()(
            username=name,
            is_staff=options["staff"] or options["superuser"],
            is_superuser=options["superuser"],
        )
        try:
            user.clean_fields(exclude=["password"])
        except ValidationError as error:
            raise CommandError("; ".join(error.messages)) from error
        password = self.password(options)
        self.warn_if_weak(password, user)
        user.set_password(password)
        with transaction.atomic():
            user.save()
            add_to_groups(user, options["group"])
        self.stdout.write(f"Created user {name}.")

    def join(self, user: Any, options: dict[str, Any]) -> None:
        """Add a user that there is to the groups.

        Raises:
            CommandError: something else is asked for, which this command does not change.
        """
        name = user.get_username()
        flags = ("password_stdin", "staff", "superuser")
        more = options["password"] is not None or any(options[flag] for flag in flags)
        if more or not options["group"]:
            raise CommandError(
                f"User {name} already exists. 'manage.py changepassword {name}' sets a new "
                f"password, 'manage.py adduser {name} --group G' adds to a group, the admin pages "
                "do the rest."
            )
        with transaction.atomic():
            add_to_groups(user, options["group"])
        self.stdout.write(f"User {name} is a member of {', '.join(options['group'])}.")

    def password(self, options: dict[str, Any]) -> str:
        """The password, from where the options say.

        Raises:
            CommandError: it is empty, mistyped, or there is nobody to ask.
        """
        if options["password"] is not None:
            password = options["password"]
        elif options["password_stdin"]:
            password = sys.stdin.readline().rstrip("\r\n")
        elif sys.stdin.isatty():
            return self.ask()
        else:
            raise CommandError("No password: give -p PASSWORD, or --password-stdin.")
        if not password:
            raise CommandError("The password is empty.")
        return str(password)

    def ask(self) -> str:
        """The password as typed twice; whoever mistypes it is asked again.

        Raises:
            CommandError: it did not come out the same in three tries.
        """
        for _ in range(TRIES):
            password = getpass.getpass("Password: ")
            if not password:
                self.stderr.write("The password is empty.")
            elif getpass.getpass("Again: ") == password:
                return password
            else:
                self.stderr.write("The two passwords differ.")
        raise CommandError(f"No user was created: {TRIES} tries without a password.")

    def warn_if_weak(self, password: str, user: Any) -> None:
        """Say what is weak about the password; it is the administrator's choice all the same."""
        try:
            password_validation.validate_password(password, user)
        except ValidationError as error:
            for message in error.messages:
                self.stderr.write(self.style.WARNING(f"Weak password: {message}"))


def check_groups(names: list[str]) -> None:
    """Refuse names that no group can have.

    Raises:
        CommandError: one is empty or too long.
    """
    if "" in names:
        raise CommandError("The name of a group is empty: --group NAME.")
    try:
        for name in names:
            Group(name=name).clean_fields()
    except ValidationError as error:
        raise CommandError("; ".join(error.messages)) from error


def add_to_groups(user: Any, names: list[str]) -> None:
    """Make the user a member of groups, which are created if need be."""
    user.groups.add(*(Group.objects.get_or_create(name=name)[0] for name in names))
