"""Find definitions in the library's source with ast.

Nothing is imported, so the book shows code and docstrings without torch and without running anything.
"""

from __future__ import annotations

import ast
import textwrap
from dataclasses import dataclass
from pathlib import Path

Function = ast.FunctionDef | ast.AsyncFunctionDef
DOCUMENTED = ast.Module | ast.ClassDef | Function


@dataclass(frozen=True)
class Definition:
    """One definition of the library: a module, class, function, method or module-level value."""

    name: str  # dotted, as asked for
    file: Path
    node: ast.AST
    lines: tuple[str, ...]  # the whole file, without line ends

    @property
    def first(self) -> int:
        """First line, decorators included, counted from 1."""
        if isinstance(self.node, ast.Module):
            return 1
        decorators = getattr(self.node, "decorator_list", [])
        return min([self.node.lineno, *(d.lineno for d in decorators)])

    @property
    def last(self) -> int:
        """Last line, counted from 1."""
        return len(self.lines) if isinstance(self.node, ast.Module) else self.node.end_lineno

    def code(self, docstrings: bool = True) -> str:
        """The source as it is written, to the left margin; without docstrings (its own, its methods') if asked."""
        left_out: set[int] = set()
        for node in ast.walk(self.node) if not docstrings else ():
            if isinstance(node, DOCUMENTED) and ast.get_docstring(node) is not None:
                text = node.body[0]
                left_out |= {*range(text.lineno, text.end_lineno + 1)}
                if text.end_lineno < self.last and not self.lines[text.end_lineno].strip():
                    left_out.add(text.end_lineno + 1)  # the blank line that follows
        kept = [n for n in range(self.first, self.last + 1) if n not in left_out]
        return textwrap.dedent("\n".join(self.lines[n - 1] for n in kept)).strip("\n")


def module_file(root: Path, module: str) -> Path | None:
    """The file of a dotted module name under ``root``, or None."""
    place = root.joinpath(*module.split("."))
    return next((f for f in (place.with_suffix(".py"), place / "__init__.py") if f.is_file()), None)


def load(root: Path, module: str) -> Definition:
    """A whole module.

    Raises:
        LookupError: there is no such module.
    """
    file = module_file(root, module)
    if file is None:
        raise LookupError(f"no module {module} under {root.name or root}")
    text = file.read_text(encoding="utf-8")
    return Definition(module, file, ast.parse(text, str(file)), tuple(text.splitlines()))


def _bound(statement: ast.stmt) -> set[str]:
    """The names that one statement binds."""
    if isinstance(statement, ast.ClassDef | Function):
        return {statement.name}
    targets = statement.targets if isinstance(statement, ast.Assign) else []
    if isinstance(statement, ast.AnnAssign):
        targets = [statement.target]
    return {t.id for t in targets if isinstance(t, ast.Name)}


def locate(root: Path, name: str) -> Definition:
    """Find ``package.module.Class.method``, a function, a class, a module-level value or a module.

    A name that a module imports from another module of the library is followed to where it is written.

    Raises:
        LookupError: the name does not exist; the message says which part.
    """
    parts = name.split(".")
    depth = next((n for n in range(len(parts), 0, -1) if module_file(root, ".".join(parts[:n]))), 0)
    found = load(root, ".".join(parts[:depth] or parts))
    module = found.name
    for at, part in enumerate(parts[depth:], start=depth):
        body = getattr(found.node, "body", [])
        match = [s for s in body if part in _bound(s)]
        if not match:
            for statement in body if at == depth else []:
                names = {a.asname or a.name: a.name for a in getattr(statement, "names", [])}
                if isinstance(statement, ast.ImportFrom) and not statement.level and part in names:
                    return locate(root, ".".join([statement.module, names[part], *parts[at + 1 :]]))
            raise LookupError(f"{found.file.name}: no {part!r} in {'.'.join(parts[:at])} (module {module})")
        found = Definition(name, found.file, match[-1], found.lines)  # a later definition replaces an earlier
    return found
