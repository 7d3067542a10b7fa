"""``manage.py adduser NAME``: an account for a person or for workers."""

import getpass
import sys
from argparse import ArgumentParser
from typing import Any

from django.contrib.auth import get_user_model, password_validation
from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction


class Command(BaseCommand):
    """Create a user, as ``adminTF -u NAME -p PASSWORD`` did."""

    help = "Create a user. Without -p the password is asked for, or read with --password-stdin."

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
        """Create the user, or refuse and change nothing."""
        user = get_user_model()(
            username=options["name"],
            is_staff=options["staff"] or options["superuser"],
            is_superuser=options["superuser"],
        )
        password = self.password(options)
        try:
            user.clean_fields(exclude=["password"])
            user.validate_unique()
            for name in options["group"]:
                Group(name=name).clean_fields()
        except ValidationError as error:
            raise CommandError("; ".join(error.messages)) from error
        self.warn_if_weak(password, user)
        user.set_password(password)
        with transaction.atomic():
            user.save()
            user.groups.set(Group.objects.get_or_create(name=name)[0] for name in options["group"])
        self.stdout.write(f"Created user {user.get_username()}.")

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
            password = getpass.getpass("Password: ")
            if getpass.getpass("Again: ") != password:
                raise CommandError("The two passwords differ.")
        else:
            raise CommandError("No password: give -p PASSWORD, or --password-stdin.")
        if not password:
            raise CommandError("The password is empty.")
        return str(password)

    def warn_if_weak(self, password: str, user: Any) -> None:
        """Say what is weak about the password; it is the administrator's choice all the same."""
        try:
            password_validation.validate_password(password, user)
        except ValidationError as error:
            for message in error.messages:
                self.stderr.write(self.style.WARNING(f"Weak password: {message}"))
