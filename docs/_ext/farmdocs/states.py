"""The states: the chart as SVG and the same as tables, drawn from ``runs/states.py``."""

import ast
import inspect
from html import escape
from itertools import pairwise
from types import ModuleType
from typing import Any

from runs import states as farm
from runs.states import TRANSITIONS, Outcome, RunState, TaskState, Transition

from .text import code, table

WIDTH, HEIGHT, BOX_WIDTH, BOX_HEIGHT = 820, 530, 136, 48
# Where each state stands: the middle of its box.
PLACES = {
    "waiting": (120, 250),
    "computing": (440, 250),
    "done": (440, 60),
    "failed": (700, 250),
    "cancelled": (440, 440),
}
# How each arrow goes: start, bend (of a quadratic curve), end, and where its words stand.
ROUTES: dict[tuple[str, str], tuple[tuple[int, int], ...]] = {
    ("waiting", "computing"): ((188, 240), (280, 220), (372, 240), (280, 218)),
    ("computing", "waiting"): ((372, 260), (280, 282), (188, 260), (280, 290)),
    ("computing", "done"): ((440, 226), (440, 155), (440, 84), (440, 156)),
    ("computing", "failed"): ((508, 250), (570, 250), (632, 250), (570, 238)),
    ("computing", "cancelled"): ((440, 274), (440, 345), (440, 416), (440, 350)),
    ("waiting", "done"): ((146, 226), (230, 110), (372, 72), (262, 150)),
    ("done", "waiting"): ((372, 50), (130, 60), (106, 226), (158, 88)),
    ("waiting", "cancelled"): ((146, 274), (230, 390), (372, 428), (266, 372)),
    ("cancelled", "waiting"): ((372, 450), (130, 440), (106, 274), (200, 408)),
    ("waiting", "failed"): ((94, 226), (84, -60), (744, -60), (734, 226), (414, 2)),
    ("failed", "waiting"): ((734, 274), (744, 590), (84, 580), (94, 274), (414, 512)),
}


def chart() -> str:
    """The chart; its table beside it says the same to those who cannot see it."""
    parts = [
        f'<svg class="states" viewBox="0 -20 {WIDTH} {HEIGHT + 20}" role="img" '
        'aria-labelledby="states-title states-text">',
        '<title id="states-title">The states of a task</title>',
        f'<desc id="states-text">{escape(in_words())}</desc>',
        '<defs><marker id="arrow" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" '
        'markerHeight="8" orient="auto-start-reverse"><path d="M0 0 L10 5 L0 10 z"/>'
        "</marker></defs>",
        *(arrow(one) for one in TRANSITIONS),
        *(box(state) for state in TaskState),
        "</svg>",
    ]
    return "\n".join(parts)


def in_words() -> str:
    """Every arrow in words."""
    return " ".join(f"{one.start.label} to {one.end.label}: {one.mover}." for one in TRANSITIONS)


def box(state: TaskState) -> str:
    """One state."""
    x, y = PLACES[state.label]
    return (
        f'<rect class="{state.label}" x="{x - BOX_WIDTH // 2}" y="{y - BOX_HEIGHT // 2}" '
        f'width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="10"/>'
        f'<text class="state" x="{x}" y="{y + 6}">{state.label}</text>'
    )


def arrow(one: Transition) -> str:
    """One transition; a new one needs a route first."""
    start, *bends, end, words = ROUTES[one.start.label, one.end.label]
    kind = "Q" if len(bends) == 1 else "C"
    through = " ".join(f"{x} {y}" for x, y in (*bends, end))
    return (
        f'<path marker-end="url(#arrow)" d="M{start[0]} {start[1]} {kind}{through}"/>'
        f'<text class="mover" x="{words[0]}" y="{words[1]}">{escape(one.mover)}</text>'
    )


def table_rows() -> list[tuple[str, str, str, str]]:
    """The transitions as rows."""
    return [
        (code(one.start.label), code(one.end.label), one.mover, one.guard) for one in TRANSITIONS
    ]


def transitions_table() -> str:
    """The transitions: who moves a task, and under which guard."""
    return table(("from", "to", "who moves it", "guard"), table_rows())


def task_states() -> str:
    """What each state of a task means."""
    return meanings(TaskState)


def run_states() -> str:
    """What each state of a run means."""
    return meanings(RunState)


def outcomes() -> str:
    """How attempts end."""
    return meanings(Outcome)


def meanings(kind: Any) -> str:
    """The members of an enumeration with the sentences below them in the source."""
    texts = sentences(farm, kind.__name__)
    return table(("state", "meaning"), ((code(one.label.lower()), texts[one.name]) for one in kind))


def sentences(module: ModuleType, name: str) -> dict[str, str]:
    """The string below each assignment in a class: member → sentence."""
    tree = ast.parse(inspect.getsource(module))
    (body,) = [
        node.body for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name
    ]
    found = {}
    for before, after in pairwise(body):
        if isinstance(before, ast.Assign) and isinstance(after, ast.Expr):
            target, text = before.targets[0], after.value
            if isinstance(target, ast.Name) and isinstance(text, ast.Constant):
                found[target.id] = " ".join(str(text.value).split())
    return found
