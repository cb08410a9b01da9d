"""The directive ``libapi``: a module's reference, from its docstrings and signatures, without importing it.

::

    ```{libapi} tdfusion.losses
    ```

shows the module's docstring, then every public function and class (those in ``__all__``, else those without
a leading underscore), classes with their fields and public methods. Each is a target of ``{py:func}`` and
``{py:class}``, and of the title line of ``libcode``. ``:only: name name`` limits it.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from libcode import place
from libdocs import bullets, render
from libsource import Definition, Function, fields, full_names, load, locate, parameters, public_names
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

logger = logging.getLogger(__name__)


class LibApi(SphinxDirective):
    required_arguments = 1
    has_content = False
    option_spec: ClassVar = {"only": directives.unchanged_required}

    def run(self) -> list[nodes.Node]:
        self.root, self.module = Path(self.env.srcdir), self.arguments[0].strip()
        only = self.options.get("only", "").split()
        try:
            module = load(self.root, self.module)
            members = {n: locate(self.root, f"{self.module}.{n}") for n in only or public_names(module)}
        except LookupError as error:
            logger.warning("libapi %s: %s", self.module, error.args[0], location=self.get_location())
            return []
        for found in [module, *members.values()]:
            self.env.note_dependency(str(found.file))  # a changed file rebuilds the page
        self.names = full_names(module)
        out = [] if only else self.overview(module)
        for name, found in members.items():
            where = nodes.inline("", place(found, self.root), classes=["libcode-place"])
            entry = self.describe(found, f"{self.module}.{name}", name)
            entry[-1] += nodes.paragraph("", "", where)
            out.append(entry)
        return out

    def text(self, found: Definition) -> list[nodes.Node]:
        return render((found.docstring or "").splitlines(), self.names)

    def overview(self, module: Definition) -> list[nodes.Node]:
        """The module's docstring, and the target of ``{py:mod}``."""
        anchor = f"module-{self.module}"
        domain = self.env.get_domain("py")
        domain.note_module(self.module, anchor, "", "", False)
        domain.note_object(self.module, "module", anchor, location=self.get_location())
        return [nodes.target("", "", ids=[anchor]), *self.text(module)]

    def describe(self, found: Definition, full: str, shown: str, owned: bool = False) -> nodes.Element:
        """One definition with its signature and docstring; a class with its fields and methods."""
        node = found.node
        marks = {ast.unparse(d).replace("cached_", "") for d in getattr(node, "decorator_list", [])}
        kind = "class" if isinstance(node, ast.ClassDef) else "method" if owned else "function"
        if not isinstance(node, ast.ClassDef | Function):
            kind, shown = "data", found.code()
        head = addnodes.desc_signature("", "", ids=[full], module=self.module, fullname=full)
        self.env.get_domain("py").note_object(full, kind, full, location=self.get_location())
        for word in {"class", "classmethod", "staticmethod", "property"} & {kind, *marks}:
            head += addnodes.desc_annotation(word, word + " ")
        head += addnodes.desc_name(shown, shown)
        methods = [m for m in node.body if isinstance(m, Function)] if kind == "class" else []
        called = (
            node if isinstance(node, Function) else next((m for m in methods if m.name == "__init__"), None)
        )
        if called is not None and "property" not in marks:
            listed = [addnodes.desc_parameter(p, p) for p in parameters(called, owned or kind == "class")]
            head += addnodes.desc_parameterlist("", "", *listed)
        if isinstance(node, Function) and node.returns is not None:
            head += addnodes.desc_returns("", ast.unparse(node.returns))
        body = addnodes.desc_content("", *self.text(found))
        said = fields(node, found.lines) if kind == "class" else []
        body += [bullets(said, self.names)] if said else []
        for method in methods:
            if not method.name.startswith("_") and ast.get_docstring(method):
                name = f"{full}.{method.name}"
                body += self.describe(
                    Definition(name, found.file, method, found.lines), name, method.name, owned=True
                )
        return addnodes.desc("", head, body, domain="py", objtype=kind, classes=["py", "libapi"])


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("libapi", LibApi)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
