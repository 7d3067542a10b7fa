"""Fields that take a value as it is or refuse it: no ``"10"`` for a number, no unknown names."""

import re
import reprlib
from typing import Any
from uuid import UUID

from rest_framework import serializers

from runs import plain

_short = reprlib.Repr()
_short.maxlevel = 3
_short.maxstring = _short.maxlong = _short.maxother = 40


def shown(value: object) -> str:
    """A given value as an error quotes it: short, however long or deeply nested it is."""
    return _short.repr(value)


def printable(name: str) -> str:
    """A given field name as an error can carry it: short, half surrogate pairs spelled out."""
    return name[:64].encode(errors="backslashreplace").decode()


def is_text(value: str) -> bool:
    """Whether a database can hold it: no NUL, no half of a surrogate pair."""
    return "\x00" not in value and value.encode(errors="ignore").decode() == value


class StrictIntegerField(serializers.IntegerField):
    """A JSON integer: no string, no float, no boolean."""

    default_error_messages = {"kind": "Must be a whole number, not {value}."}

    def to_internal_value(self, data: Any) -> int:
        """The number."""
        if isinstance(data, bool) or not isinstance(data, int):
            self.fail("kind", value=shown(data))
        return data


class StrictFloatField(serializers.FloatField):
    """A JSON number: no string, no boolean."""

    default_error_messages = {"kind": "Must be a number, not {value}."}

    def to_internal_value(self, data: Any) -> float:
        """The number."""
        if isinstance(data, bool) or not isinstance(data, int | float):
            self.fail("kind", value=shown(data))
        try:
            return float(data)
        except OverflowError:
            self.fail("kind", value="one beyond all bounds")


class StrictBooleanField(serializers.BooleanField):
    """A JSON boolean: no string, no number."""

    default_error_messages = {"kind": "Must be true or false, not {value}."}

    def to_internal_value(self, data: Any) -> bool:
        """The boolean."""
        if not isinstance(data, bool):
            self.fail("kind", value=shown(data))
        return data


class StrictCharField(serializers.CharField):
    """A JSON string: no number, no boolean."""

    default_error_messages = {"kind": "Must be a string, not {value}."}

    def to_internal_value(self, data: Any) -> str:
        """The text, without blanks around it."""
        if not isinstance(data, str):
            self.fail("kind", value=shown(data))
        return str(super().to_internal_value(data))


class StrictChoiceField(serializers.ChoiceField):
    """One of some strings."""

    default_error_messages = {"unknown": "Must be one of {known}, not {value}."}

    def to_internal_value(self, data: Any) -> str:
        """The choice."""
        if not isinstance(data, str) or data not in self.choices:
            self.fail("unknown", known=", ".join(self.choices), value=shown(data))
        return data


class StrictUUIDField(serializers.UUIDField):
    """A UUID as a string: no number."""

    def to_internal_value(self, data: Any) -> UUID:
        """The UUID."""
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


MOST_LABELS = 16 * 1024
"""Bytes of the JSON of an object that describes something."""


class LabelsField(serializers.DictField):
    """A JSON object of moderate size that every database can hold."""

    default_error_messages = {
        "size": "Must have {most} bytes as JSON at most, not {size}.",
        "plain": "Must be plain JSON: {why}.",
        "nul": "Must not contain a NUL, neither in a name nor in a value.",
    }

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        """The object."""
        if not isinstance(data, dict):
            self.fail("not_a_dict", input_type=type(data).__name__)
        try:
            text = plain.dump(data)
        except ValueError as error:
            self.fail("plain", why=error)
        size = len(text.encode())
        if size > MOST_LABELS:
            self.fail("size", most=MOST_LABELS, size=size)
        if NUL.search(text):
            self.fail("nul")
        return data


NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
"""A NUL as JSON spells it: its backslash is not itself escaped."""


class StrictSerializer(serializers.Serializer[Any]):
    """Refuses names that it does not know: a misspelt field must not be passed over."""

    def to_internal_value(self, data: Any) -> Any:
        """The values, if all names are known."""
        unknown = sorted(set(data) - set(self.fields))
        if unknown:
            reasons = {printable(name): ["Unknown field."] for name in unknown[:10]}
            reasons[printable(unknown[0])] = [
                f"Unknown field; known are: {', '.join(self.fields)}."
            ]
            raise serializers.ValidationError(reasons)
        return super().to_internal_value(data)
