"""The computation: what one source file consists of."""

import ast
import io
import tokenize
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

BRANCHES = (
    ast.If, ast.For, ast.AsyncFor, ast.While, ast.IfExp, ast.ExceptHandler, ast.Assert,
    ast.comprehension, ast.match_case,
)  # fmt: skip
NOT_CODE = {
    tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT,
    tokenize.ENCODING, tokenize.ENDMARKER,
}  # fmt: skip
Function = ast.FunctionDef | ast.AsyncFunctionDef


class Unreadable(Exception):
    """The file is not Python as this Python knows it."""


@dataclass(frozen=True)
class Measured:
    """What a file consists of."""

    lines: int
    code_lines: int
    functions: int
    classes: int
    complexity: int
    longest: list[tuple[int, str, int]]
    """The longest functions: how many lines, the name, the first line."""

    def as_json(self) -> dict[str, Any]:
        """Plain values, for a line of the results."""
        return asdict(self)


def measure(source: bytes, progress: Callable[[float], None], keep: int = 10) -> Measured:
    """Measure one file, telling how far it got.

    Raises:
        Unreadable: it cannot be parsed; the library holds such files on purpose, to test parsers.
    """
    try:
        code_lines = count_code_lines(source)
        progress(40)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # on '\d' and the like: not our business here
            tree = ast.parse(source)
    except (SyntaxError, tokenize.TokenError, ValueError, RecursionError, MemoryError) as error:
        raise Unreadable(f"{type(error).__name__}: {error}") from error
    progress(70)
    functions = list(find_functions(tree))
    nodes = list(ast.walk(tree))
    return Measured(
        lines=source.count(b"\n") + (not source.endswith(b"\n") and source != b""),
        code_lines=code_lines,
        functions=len(functions),
        classes=sum(isinstance(node, ast.ClassDef) for node in nodes),
        complexity=len(functions) + sum(branches(node) for node in nodes),
        longest=sorted(functions, key=lambda function: -function[0])[:keep],
    )


def count_code_lines(source: bytes) -> int:
    """How many lines hold code: neither blank nor only a comment."""
    lines: set[int] = set()
    for token in tokenize.tokenize(io.BytesIO(source).readline):
        if token.type not in NOT_CODE:
            lines.update(range(token.start[0], token.end[0] + 1))
    return len(lines)


def find_functions(tree: ast.AST) -> Iterator[tuple[int, str, int]]:
    """Each function below a node: how many lines it has, its dotted name, its first line."""
    # A list of what is still to do, for no recursion is as deep as test files can be.
    open_nodes = [(tree, "")]
    while open_nodes:
        node, prefix = open_nodes.pop()
        for child in ast.iter_child_nodes(node):
            inner = prefix
            if isinstance(child, Function | ast.ClassDef):
                inner = f"{prefix}{child.name}."
            if isinstance(child, Function):
                last = child.end_lineno or child.lineno
                yield last - child.lineno + 1, inner.rstrip("."), child.lineno
            open_nodes.append((child, inner))


def branches(node: ast.AST) -> int:
    """How many ways a node adds through its function, as McCabe counts them."""
    if isinstance(node, ast.BoolOp):
        return len(node.values) - 1
    return int(isinstance(node, BRANCHES))
