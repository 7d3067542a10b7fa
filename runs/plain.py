r"""Plain JSON: what every reader of JSON takes. Only this is kept, so that it can be handed on.

Python alone would take more: NaN, numbers beyond all bounds such as 1e400 (which it would write as
``Infinity``), half a surrogate pair such as ``"\ud800"`` (which is no UTF-8), other encodings.
"""

import json
from typing import Any, NoReturn


def dump(value: object) -> str:
    """A value as the JSON that is kept.

    Raises:
        ValueError: it has no such JSON; the text says why.
    """
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(half_a_pair(error)) from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except ValueError:
        raise ValueError("it has a number beyond all bounds, such as 1e400 or NaN") from None
    return text


def parse(text: str) -> Any:
    """The value of JSON.

    Raises:
        ValueError: it is no plain JSON; the text says why.
    """
    try:
        value = DECODER.decode(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if "\\u" in text:  # else the text itself would have to hold the half of a pair
        dump(value)
    return value


def decode(line: bytes) -> str:
    """JSON in UTF-8 as text, which is then proved to be plain.

    Raises:
        ValueError: it is no plain JSON in UTF-8; the text says why.
    """
    text = line.decode()
    if text.startswith("\ufeff"):
        raise ValueError("it starts with a byte order mark; save it as UTF-8 without one")
    if "\x00" in text:
        raise ValueError("it has a NUL; if it is in UTF-16, save it as UTF-8")
    parse(text)
    return text


def read_back(text: str) -> Any:
    """The value of JSON that was kept; its text where an earlier version kept what is not plain.

    So one of them never spoils the answer that it stands in.
    """
    try:
        return parse(text)
    except ValueError:
        return text


def half_a_pair(error: UnicodeEncodeError) -> str:
    """The sentence for text that is no Unicode."""
    code = ord(error.object[error.start])
    return f"it has half a surrogate pair, \\u{code:04x}, which UTF-8 cannot hold"


def refuse(name: str) -> NoReturn:
    """Refuse NaN and Infinity, which are no JSON."""
    raise ValueError(f"{name} is no JSON value")


def finite(digits: str) -> float:
    """The number, if there is such a float."""
    number = float(digits)
    if number in (float("inf"), float("-inf")):
        raise ValueError(f"{digits[:40]} is beyond all bounds")
    return number


DECODER = json.JSONDecoder(parse_float=finite, parse_constant=refuse)
