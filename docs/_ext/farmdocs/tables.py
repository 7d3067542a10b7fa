"""The tables of the database, from the models."""

from django.apps import apps
from django.db import models

from .text import cell, code, first_line, paragraphs, table


def farm_models() -> list[type[models.Model]]:
    """Our models."""
    return list(apps.get_app_config("runs").get_models())


def render() -> str:
    """Every table with its columns, its indexes and what it refuses."""
    return paragraphs(*(describe(model) for model in farm_models()))


def describe(model: type[models.Model]) -> str:
    """One table."""
    meta = model._meta
    rows = [
        (code(field.column), kind(field), "yes" if field.null else "", cell(field.help_text))
        for field in meta.concrete_fields
    ]
    indexes = [f"- index `{index.name}` on {columns(index.fields)}" for index in meta.indexes]
    constraints = [f"- {constraint_text(one)}" for one in meta.constraints]
    return paragraphs(
        f"## `{meta.db_table}`",
        first_line(model.__doc__),
        table(("column", "type", "may be empty", "meaning"), rows),
        "\n".join([*indexes, *constraints]),
    )


def kind(field: models.Field) -> str:
    """What a column holds."""
    if isinstance(field, models.ForeignKey):
        return f"→ `{field.related_model._meta.db_table}`"
    return field.get_internal_type().removesuffix("Field")


def columns(names: list[str]) -> str:
    """Columns in the order of an index."""
    return ", ".join(code(name) for name in names)


def constraint_text(constraint: models.BaseConstraint) -> str:
    """A constraint in words."""
    if isinstance(constraint, models.UniqueConstraint):
        return f"unique `{constraint.name}`: {columns(list(constraint.fields))}"
    return f"check `{constraint.name}`"
