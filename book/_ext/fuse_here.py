"""The directive ``fuse-here``: fields for two image files, which $F$ fuses in the reader's browser.

The program stands in ``book/_static/fuse/fuse.js``; here is what it finds on the page. It looks like the explorers.
"""

from __future__ import annotations

from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

FIELDS = Path(__file__).with_suffix(".html")


class FuseHere(SphinxDirective):
    has_content = False

    def run(self) -> list[nodes.Node]:
        style = Path(self.env.srcdir) / "tdfusion" / "explorers" / "explorers.css"
        self.env.note_dependency(str(style))
        self.env.note_dependency(str(FIELDS))
        static = "../" * self.env.docname.count("/") + "_static"
        fields = FIELDS.read_text("utf-8").replace("{static}", static)
        return [nodes.raw("", fields.replace("{style}", style.read_text("utf-8")), format="html")]


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("fuse-here", FuseHere)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
