"""Fields that take a value as it is or refuse it: no ``"10"`` for a number, no unknown names."""

from typing import Any

from rest_framework import serializers


class StrictIntegerField(serializers.IntegerField):
    """A JSON integer: no string, no float, no boolean."""

    default_error_messages = {"kind": "Must be a whole number, not {value}."}

    def to_internal_value(self, data: Any) -> int:
        """The number."""
        if isinstance(data, bool) or not isinstance(data, int):
            self.fail("kind", value=repr(data)[:40])
        return data


class StrictFloatField(serializers.FloatField):
    """A JSON number: no string, no boolean."""

    default_error_messages = {"kind": "Must be a number, not {value}."}

    def to_internal_value(self, data: Any) -> float:
        """The number."""
        if isinstance(data, bool) or not isinstance(data, int | float):
            self.fail("kind", value=repr(data)[:40])
        try:
            return float(data)
        except OverflowError:
            self.fail("kind", value="one beyond all bounds")


class StrictCharField(serializers.CharField):
    """A JSON string: no number, no boolean."""

    default_error_messages = {"kind": "Must be a string, not {value}."}

    def to_internal_value(self, data: Any) -> str:
        """The text, without blanks around it."""
        if not isinstance(data, str):
            self.fail("kind", value=repr(data)[:40])
        return str(super().to_internal_value(data))


class StrictSerializer(serializers.Serializer[Any]):
    """Refuses names that it does not know: a misspelt field must not be passed over."""

    def to_internal_value(self, data: Any) -> Any:
        """The values, if all names are known."""
        unknown = sorted(set(data) - set(self.fields))
        if unknown:
            known = ", ".join(self.fields)
            raise serializers.ValidationError(
                {name[:64]: [f"Unknown field; known are: {known}."] for name in unknown[:10]}
            )
        return super().to_internal_value(data)
