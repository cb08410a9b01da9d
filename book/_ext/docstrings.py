r"""Docstrings on their way to autodoc: plain text on a terminal, mathematics and links on the page.

``$...$`` and ``$$...$$`` become formulas, "Eq. (7)" a link to the paper's equation, a single-quoted `name` a link
to the library's object of that name, in whatever module it is. The fields of a dataclass are listed with the
comments on their lines.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import io
import re
import textwrap
import tokenize
from typing import Any

from sphinx.application import Sphinx
from sphinx.util import inspect as inspection

MARKED = re.compile(
    r"(?P<code>``.+?``|:[\w:]+:`[^`]+`|\*\*\w[^*]*\*\*|^ *>>> .*?(?=\n\s*\n|\Z))"  # left as it is
    r"|^(?P<indent> *)\$\$(?P<display>.+?)\$\$"
    r"|\$(?P<math>[^$]+)\$"
    r"|`(?P<name>[^`<>]+)`"
    r"|(?P<eq>\bEqs?\. )\((?P<number>\d+)\)"
    r"|(?P<sign>\*(?! )|\|)",  # markup to reStructuredText, plain signs to us; a star before a space is no markup
    re.DOTALL | re.MULTILINE,
)


def as_rst(text: str) -> str:
    """A docstring with its formulas, names and equation numbers in the roles of reStructuredText."""

    def role(found: re.Match[str]) -> str:
        if found["display"]:
            lines = [found["indent"] + "   " + line.strip() for line in found["display"].splitlines()]
            return "\n".join([found["indent"] + ".. math::", "", *lines, ""])
        if found["math"]:
            return f":math:`{found['math']}`"
        if found["name"]:  # constants have no entry in the reference
            return f"``{found['name']}``" if found["name"].isupper() else f":py:obj:`.{found['name']}`"
        if found["eq"]:
            return f"{found['eq']}:eq:`eq-{found['number']}`"
        return "\\" + found["sign"] if found["sign"] else found["code"]

    return MARKED.sub(role, text)


def fields(cls: type) -> list[tuple[str, str, str]]:
    """The public fields that a class declares: name, ``type = default`` as written, and the comment beside it."""
    source = textwrap.dedent(inspect.getsource(cls))
    found = []
    for statement in ast.parse(source).body[0].body:
        if isinstance(statement, ast.AnnAssign) and not ast.unparse(statement.target).startswith("_"):
            lines = source.splitlines()[statement.lineno - 1 : statement.end_lineno]
            tokens = tokenize.generate_tokens(io.StringIO(textwrap.dedent("\n".join(lines))).readline)
            said = " ".join(t.string.lstrip("# ") for t in tokens if t.type == tokenize.COMMENT)
            name, _, kind = ast.unparse(statement).partition(": ")
            found.append((name, kind, said))
    return found


def prepare(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    if what in ("property", "attribute", "data"):
        # shows as nothing; napoleon takes what stands before a colon on the first line for a type
        lines.insert(0, "\\ ")
    if what == "class" and dataclasses.is_dataclass(obj) and "Attributes:" not in lines:
        lines += ["", "Attributes:", *(f"    {n} (``{kind}``): {said}" for n, kind, said in fields(obj)), ""]
    lines[:] = as_rst("\n".join(lines)).split("\n")


def signature(app: Sphinx, what: str, name: str, obj: Any, *rest: Any) -> tuple[str, None] | None:
    """None for a dataclass, whose fields are listed below; and its own ``__init__`` for a class that hides it."""
    if what == "class" and dataclasses.is_dataclass(obj):
        return "", None
    if what == "class" and "__init__" in vars(obj):
        called = inspection.signature(obj.__init__, bound_method=True)
        shown = {"show_return_annotation": False, "unqualified_typehints": True}
        return inspection.stringify_signature(called, **shown), None
    return None


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("autodoc-process-docstring", prepare, priority=400)  # before napoleon reads the sections
    app.connect("autodoc-process-signature", signature)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
