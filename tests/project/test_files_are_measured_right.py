"""The computation of the demonstration: what it counts, and that no file can stop it."""

from contextlib import suppress

import pytest

from examples.stdlib_farm.measure import Unreadable, measure

pytestmark = pytest.mark.once

SOURCE = b'''"""Doc."""
import os


class Shelf:
    # a comment
    def find(self, name):
        if name and self:
            return [x for x in name if x]

        def inner():
            pass
'''


def test_lines_functions_and_branches() -> None:
    found = measure(SOURCE, progress=lambda percent: None)
    assert (found.lines, found.code_lines) == (12, 8)
    assert (found.functions, found.classes) == (2, 1)
    assert found.longest == [(6, "Shelf.find", 7), (2, "Shelf.find.inner", 11)]
    assert found.complexity == 2 + 3  # if, and, the comprehension


def test_progress_is_told_and_grows() -> None:
    told: list[float] = []
    measure(SOURCE, told.append)
    assert told
    assert told == sorted(told)
    assert told[-1] < 100


@pytest.mark.parametrize(
    "source",
    [b"print 'x'\n", b"# coding: klingon\n", b"\xff\xfe", b"x = \0\n", b"def f(:\n", b"'''open"],
)
def test_what_is_no_python_is_unreadable(source: bytes) -> None:
    with pytest.raises(Unreadable):
        measure(source, progress=lambda percent: None)


def test_an_empty_file_is_a_file() -> None:
    assert measure(b"", progress=lambda percent: None).lines == 0


def test_deep_nesting_does_not_stop_it() -> None:
    source = b"x = " + b"(" * 150 + b"1" + b")" * 150 + b"\n" + b"y = " + b"-" * 3000 + b"1\n"
    with suppress(Unreadable):  # some Pythons refuse it, none may crash
        assert measure(source, progress=lambda percent: None).functions == 0
