"""Settings, checks, errors, states, commands, calls and classes: each stands in the reference."""

import ast
import re
from html import unescape
from pathlib import Path

import pytest
import taskfarm_worker

from docs._ext.farmdocs import api, commands, errors
from runs import policy
from runs.models import Run
from runs.pages import history
from runs.states import TRANSITIONS, Outcome, RunState, TaskState
from tests.docs import pages

pytestmark = pytest.mark.once
SITE = pages.ROOT / "taskfarm_site"


def text_of(built: Path, page: str) -> str:
    """A built page as plain text."""
    html = (built / "reference" / f"{page}.html").read_text()
    body = html[html.index("<article") : html.index("</article>")]
    return " ".join(unescape(re.sub(r"<[^>]+>", "", body)).split())


def environment_variables() -> dict[str, ast.Call]:
    """What ``settings.py`` reads from the environment, each with the call that reads it."""
    calls = (
        node
        for node in ast.walk(ast.parse((SITE / "settings.py").read_text()))
        if isinstance(node, ast.Call) and re.fullmatch(r"env\.\w+", ast.unparse(node.func))
    )
    return {ast.literal_eval(call.args[0]): call for call in calls}


def other_variables() -> set[str]:
    """What gunicorn's configuration and the client read."""
    gunicorn = (pages.ROOT / "deploy" / "gunicorn.conf.py").read_text()
    found = set(re.findall(r"environ\.get\(\"(\w+)\"", gunicorn))
    config = (Path(taskfarm_worker.__file__).parent / "_config.py").read_text()
    found |= set(re.findall(r"environ\.get\(\"(TASKFARM_\w+)\"", config))
    return found | {f"TASKFARM_{key.upper()}" for key in taskfarm_worker._config.KEYS}


def test_every_setting_is_documented_and_every_documented_one_exists() -> None:
    documented = {name for name in pages.rows("reference/settings.md") if name.isupper()}
    assert documented == set(environment_variables()) | other_variables()


def test_defaults_and_ranges_of_numbers_are_those_of_the_settings() -> None:
    documented = pages.rows("reference/settings.md")
    numbers = {
        name: call
        for name, call in environment_variables().items()
        if ast.unparse(call.func) == "env.number"
    }
    assert len(numbers) >= 5
    for name, call in numbers.items():
        bounds = {word.arg: value(word.value) for word in call.keywords}
        default, span, _ = documented[name]
        assert default == f"`{value(call.args[1])}`", name
        assert span == f"{bounds['least']} to {bounds['most']}", name


def value(node: ast.expr) -> int:
    """The value of a constant expression such as ``8 * 2**20``."""
    return int(eval(compile(ast.Expression(node), "settings.py", "eval"), {}))


def test_every_system_check_is_documented_and_every_documented_one_exists() -> None:
    ids = set(re.findall(r"taskfarm\.[EW]\d{3}", (SITE / "checks.py").read_text()))
    documented = {name for name in pages.rows("reference/settings.md") if "taskfarm." in name}
    assert documented == ids


def codes_in_the_source() -> set[str]:
    """Every error code that our source spells out."""
    sources = [
        *(pages.ROOT / "runs" / "api").glob("*.py"),
        *(pages.ROOT / "accounts").glob("*.py"),
        SITE / "views.py",
        pages.ROOT / "runs" / "errors.py",
    ]
    found = set()
    for path in sources:
        text = path.read_text()
        found |= set(re.findall(r"\b(?:default_)?code\"?\s*[=:]\s*\"([a-z_]+)\"", text))
        found |= set(re.findall(r"respond\(\s*\d+, .*?, \"([a-z_]+)\"\s*\)", text, re.S))
        found |= set(re.findall(r"answer\(\d+, \w+, \"([a-z_]+)\"\)", text))
    table = re.search(r"STATUS_CODES = \{(.*?)\}", (SITE / "views.py").read_text(), re.S)
    assert table
    return (found | set(re.findall(r"\"(\w+)\"", table[1]))) - {"error"}


FRAMEWORK = {
    "parse_error", "not_authenticated", "method_not_allowed", "not_acceptable",
    "unsupported_media_type",
}  # fmt: skip
"""Codes of Django REST Framework that a call can meet."""


def test_every_error_code_is_documented_and_every_documented_one_exists() -> None:
    ours = {kind.code for kind in errors.farm_errors()}
    edge = {code for code, _, _ in errors.EDGE}
    assert ours | edge == codes_in_the_source() | FRAMEWORK


def test_every_error_code_stands_on_its_page(built: Path) -> None:
    text = text_of(built, "errors")
    for code in codes_in_the_source() | FRAMEWORK:
        assert code in text


def test_every_state_and_transition_stands_on_its_page(built: Path) -> None:
    text = text_of(built, "states")
    for state in (*TaskState, *RunState, *Outcome):
        assert state.label.lower() in text
    for one in TRANSITIONS:
        assert f"{one.start.label} {one.end.label} {one.mover} {one.guard}" in text


def test_every_command_and_option_stands_on_its_page(built: Path) -> None:
    text = text_of(built, "commands")
    parsers = {**commands.farm_commands(), "manageTF": commands.client_parser()}
    assert {"adduser", "createrun", "restart", "undo", "sweep", "prune", "policy"} <= set(parsers)
    for name, parser in parsers.items():
        assert name in text
        for action in parser._actions:
            for option in action.option_strings or [str(action.metavar or action.dest)]:
                assert option in text, f"{name} {option}"


def test_every_call_stands_on_its_page(built: Path) -> None:
    text = text_of(built, "api")
    assert len(api.operations()) >= 11
    for method, path, operation in api.operations():
        assert f"{method} {path}" in text
        for parameter in operation.get("parameters", []):
            assert parameter["name"] in text


def test_every_answer_with_a_body_tells_its_fields() -> None:
    for method, path, operation in api.operations():
        for status, answer in operation["responses"].items():
            if status in ("200", "201"):
                assert api.shape_of(answer), f"{method} {path}"


def test_every_public_name_of_the_client_is_documented(built: Path) -> None:
    anchors = (built / "reference" / "client.html").read_text()
    for name in taskfarm_worker.__all__:
        assert f'id="taskfarm_worker.{name}"' in anchors, name


def test_the_tree_of_the_clients_errors_is_that_of_its_source() -> None:
    source = taskfarm_worker._errors.__doc__ or ""
    tree = source[source.index("    TaskFarmError") : source.index("All of them")]
    shown = (pages.DOCS / "reference" / "client.md").read_text()
    for line in tree.strip().splitlines():
        assert line.strip() in shown


def test_every_table_of_the_farm_stands_on_its_page(built: Path) -> None:
    text = text_of(built, "tables")
    for model in Run._meta.apps.get_app_config("runs").get_models():
        assert model._meta.db_table in text
        for constraint in model._meta.constraints:
            assert constraint.name in text


def test_every_option_of_a_policy_stands_on_its_page(built: Path) -> None:
    text = text_of(built, "policy")
    for option in policy.OPTIONS:
        assert f"{option.api} {option.field} " in text
        assert option.meaning in text


def words_in(module: str, pattern: str) -> set[str]:
    """What a pattern finds in a module's source."""
    return set(re.findall(pattern, (pages.ROOT / "runs" / module).read_text(), re.MULTILINE))


def test_every_code_of_an_explanation_is_documented_and_every_documented_one_exists() -> None:
    codes = words_in("explain.py", r'return "([a-z_]+)", f?"')
    assert len(codes) >= 11
    assert set(pages.rows("reference/explain.md")) == codes


def test_every_event_is_documented_and_every_documented_one_exists() -> None:
    recorded = {
        what
        for module in ("steering.py", "restarts.py", "appending.py", "cancels.py")
        for what in words_in(module, r'events\.record\(\w+, "(\w+)"')
        | words_in(module, r'^[A-Z_]+ = "([\w-]+)"\n"""The event of')
        | words_in(module, r'what(?:: str)? ?= ?"(\w+)"')
        | words_in(module, r'_set_state\(run, .*?, "(\w+)", who, why')
    }
    assert {"pause", "resume", "cancel", "expire", "restart", "append", "uploaded"} <= recorded
    assert set(pages.rows("reference/events.md")) == recorded
    assert set(history.VERBS) == set(history.ICONS) == recorded


def test_every_field_of_an_exchange_is_explained() -> None:
    text = (pages.DOCS / "reference" / "exchange.md").read_text()
    (operation,) = [one for _, _, one in api.operations() if one["operationId"] == "exchange"]
    said = operation["requestBody"]["content"]["application/json"]["schema"]
    answered = operation["responses"]["200"]["content"]["application/json"]["schema"]
    for shape in (said, answered):
        fields = api.resolve(shape)["properties"]
        assert len(fields) >= 6
        for name in fields:
            assert f"`{name}`" in text, name


def test_every_term_of_the_glossary_stands_in_order() -> None:
    terms = re.findall(r"^([a-z][a-z ]+)$", (pages.DOCS / "glossary.md").read_text(), re.M)
    assert len(terms) > 30
    assert terms == sorted(terms)
