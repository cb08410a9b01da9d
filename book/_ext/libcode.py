"""The directive ``libcode``: show a definition of the library from its source file.

A page never retypes code. The name must exist, else the build warns (and warnings fail it)::

    ```{libcode} tdfusion.losses.intensity_loss
    :nodoc:
    ```
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from libsource import Definition, locate
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

logger = logging.getLogger(__name__)


def soft_reference(domain: str, kind: str, target: str, shown: nodes.Node, **more: Any) -> nodes.Node:
    """A link where the target is in the book, and only the text where it is not."""
    node = addnodes.pending_xref(
        "", shown, refdomain=domain, reftype=kind, reftarget=target, refexplicit=False, soft=True, **more
    )
    return node


def keep_text(app: Sphinx, env: Any, node: Any, shown: nodes.Node) -> nodes.Node | None:
    return shown if node.get("soft") else None


def place(found: Definition, root: Path) -> str:
    """Where a definition is written: the file and its lines."""
    lines = f"line {found.first}" if found.first == found.last else f"lines {found.first} to {found.last}"
    return f"{found.file.relative_to(root).as_posix()}, {lines}"


class LibCode(SphinxDirective):
    required_arguments = 1
    has_content = False
    option_spec: ClassVar = {"nodoc": directives.flag}

    def run(self) -> list[nodes.Node]:
        root = Path(self.env.srcdir)
        name = self.arguments[0].strip()
        try:
            found = locate(root, name)
        except LookupError as error:
            logger.warning("libcode %s: %s", name, error.args[0], location=self.get_location())
            return []
        self.env.note_dependency(str(found.file))  # a changed file rebuilds the page
        source = found.code(docstrings="nodoc" not in self.options)
        code = nodes.literal_block(source, source, language="python")
        title = nodes.paragraph(classes=["libcode-title"])
        title += soft_reference("py", "obj", name, nodes.literal(name, name, classes=["xref", "py"]))
        title += nodes.inline("", place(found, root), classes=["libcode-place"])
        box = nodes.container("", title, code, classes=["libcode"])
        self.set_source_info(box)
        return [box]


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("libcode", LibCode)
    app.connect("missing-reference", keep_text)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
