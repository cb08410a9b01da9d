"""Buttons that start a notebook elsewhere, where ``repository.url`` of ``_config.yml`` says from where.

Without an address the theme fails on them; Colab knows repositories on GitHub only. What a started notebook needs
stands on a page in the directive ``launched``, which shows nothing where there are no buttons: in it, ``ADDRESS`` and
``NAME`` are the repository's.
"""

from __future__ import annotations

from typing import Any, ClassVar

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective


def only_with_an_address(app: Sphinx, config: Any) -> None:
    options = config.html_theme_options
    config.launch_address = address = (options.get("repository_url") or "").rstrip("/")
    if not address:
        options.pop("launch_buttons", None)
    elif "github.com" not in address:
        options["launch_buttons"] = {**options.get("launch_buttons", {}), "colab_url": ""}


class Launched(SphinxDirective):
    has_content = True
    option_spec: ClassVar = {}

    def run(self) -> list[nodes.Node]:
        address = self.config.launch_address
        if not address:
            return []
        said = [
            line.replace("ADDRESS", address).replace("NAME", address.split("/")[-1]) for line in self.content
        ]
        box = nodes.container()
        self.state.nested_parse(
            StringList(said, self.state_machine.document["source"]), self.content_offset, box
        )
        for part in box.children:
            part["classes"].append("launched")  # print and EPUB, which have no buttons, leave it out
        return box.children


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_config_value("launch_address", "", "env")
    app.add_directive("launched", Launched)
    app.connect("config-inited", only_with_an_address, priority=990)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
