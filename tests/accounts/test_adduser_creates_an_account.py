"""``manage.py adduser`` with all its options, and what it refuses."""

import io
import sys
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.core.management import CommandError, call_command

from tests import factories

pytestmark = pytest.mark.django_db
SECRET = "correct horse battery staple"


class Terminal(io.StringIO):
    """Standard input as a terminal."""

    def isatty(self) -> bool:
        """It is one."""
        return True


def adduser(*arguments: str, **options: Any) -> tuple[str, str]:
    """Run the command; answers what it wrote to standard output and error."""
    out, err = io.StringIO(), io.StringIO()
    call_command("adduser", *arguments, stdout=out, stderr=err, **options)
    return out.getvalue(), err.getvalue()


def test_the_user_can_call_the_api_with_the_password() -> None:
    out, err = adduser("some_user", "-p", SECRET)
    assert (out, err) == ("Created user some_user.\n", "")
    user = User.objects.get(username="some_user")
    assert factories.caller(user, SECRET).get("/api/token").status_code == 200
    assert (user.is_staff, user.is_superuser) == (False, False)


@pytest.mark.parametrize("line", [f"{SECRET}\n", f"{SECRET}\r\n", SECRET, f"{SECRET}\nmore\n"])
def test_the_password_is_the_first_line_of_standard_input(
    monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(line))
    adduser("some_user", "--password-stdin")
    assert User.objects.get().check_password(SECRET)


def test_blanks_around_a_password_belong_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"  {SECRET} \n"))
    adduser("some_user", "--password-stdin")
    assert User.objects.get().check_password(f"  {SECRET} ")


def test_at_a_terminal_the_password_is_asked_for_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(sys, "stdin", Terminal())
    monkeypatch.setattr("getpass.getpass", lambda prompt: asked.append(prompt) or SECRET)
    adduser("some_user")
    assert len(asked) == 2
    assert User.objects.get().check_password(SECRET)


def test_whoever_mistypes_the_password_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([SECRET, SECRET + "!", "", SECRET, SECRET])
    monkeypatch.setattr(sys, "stdin", Terminal())
    monkeypatch.setattr("getpass.getpass", lambda _: next(answers))
    out, err = adduser("some_user")
    assert out == "Created user some_user.\n"
    assert err.splitlines() == ["The two passwords differ.", "The password is empty."]
    assert User.objects.get().check_password(SECRET)


def test_three_different_pairs_of_passwords_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter(str(number) for number in range(6))
    monkeypatch.setattr(sys, "stdin", Terminal())
    monkeypatch.setattr("getpass.getpass", lambda _: next(answers))
    with pytest.raises(CommandError, match="3 tries"):
        adduser("some_user")
    assert not User.objects.exists()
    assert next(answers, None) is None


def test_without_a_terminal_and_a_password_it_says_what_to_give(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    with pytest.raises(CommandError, match="--password-stdin"):
        adduser("some_user")
    assert not User.objects.exists()


@pytest.mark.parametrize(
    ("options", "staff", "superuser"),
    [([], False, False), (["--staff"], True, False), (["--superuser"], True, True),
     (["--staff", "--superuser"], True, True)],
)  # fmt: skip
def test_staff_and_superusers(options: list[str], staff: bool, superuser: bool) -> None:
    adduser("boss", "-p", SECRET, *options)
    user = User.objects.get()
    assert (user.is_staff, user.is_superuser) == (staff, superuser)


def test_groups_are_joined_and_made_where_they_are_missing() -> None:
    old = Group.objects.create(name="glaciers")
    adduser("some_user", "-p", SECRET, "--group", "glaciers", "--group", "sea ice")
    assert set(User.objects.get().groups.values_list("name", flat=True)) == {"glaciers", "sea ice"}
    assert Group.objects.get(name="glaciers") == old


def test_a_user_that_there_is_joins_groups(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    alice.groups.add(Group.objects.create(name="glaciers"))
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))  # nobody is asked for a password
    out, _ = adduser("alice", "--group", "sea ice", "--group", "glaciers")
    assert out == "User alice is a member of sea ice, glaciers.\n"
    assert set(alice.groups.values_list("name", flat=True)) == {"glaciers", "sea ice"}
    alice.refresh_from_db()
    assert alice.check_password(factories.PASSWORD)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["alice"], "already exists.*changepassword alice"),
        (["alice", "-p", SECRET], "already exists"),
        (["alice", "--group", "new", "-p", SECRET], "already exists"),
        (["alice", "--group", "new", "-p", ""], "already exists"),
        (["alice", "--group", "new", "--staff"], "already exists"),
        (["alice", "--group", ""], "name of a group is empty"),
        (["", "-p", SECRET], "name is empty: manage.py adduser NAME"),
        ([""], "name is empty"),
        (["", "--group", "new"], "name is empty"),
        (["a b", "-p", SECRET], "valid username"),
        (["a:b", "-p", SECRET], "valid username"),
        (["x" * 151, "-p", SECRET], "150"),
        (["new", "-p", ""], "empty"),
        (["new", "-p", SECRET, "--group", "x" * 151], "150"),
        (["new", "-p", SECRET, "--group", ""], "name of a group is empty"),
    ],
)
def test_what_cannot_be_is_refused_and_changes_nothing(
    alice: User, arguments: list[str], reason: str
) -> None:
    with pytest.raises(CommandError, match=reason):
        adduser(*arguments)
    assert list(User.objects.all()) == [alice]
    assert not Group.objects.exists()


def test_a_weak_password_is_warned_of_and_taken() -> None:
    # What people do with a farm on their own machine is theirs to decide.
    out, err = adduser("some_user", "-p", "hello")
    assert "Created user" in out
    assert "Weak password" in err
    assert User.objects.get().check_password("hello")


def test_the_password_is_never_shown() -> None:
    shown = "".join(adduser("some_user", "-p", "zq7"))
    assert "zq7" not in shown


def test_both_ways_to_give_a_password_at_once_are_refused() -> None:
    with pytest.raises(CommandError, match="not allowed with"):
        adduser("some_user", "-p", SECRET, "--password-stdin")
