"""Switch sphinx-thebe off: it names its script's address on every page, even where it is not configured.

Jupyter Book always loads that extension. It would be the one request to another host, and an error in the
console, of a book that is otherwise read with no network.
"""

from __future__ import annotations

from typing import Any

from sphinx.application import Sphinx


def drop_thebe(app: Sphinx, config: Any) -> None:
    """Take away what sphinx-thebe asked to be called for, and its style sheet."""
    for listeners in app.events.listeners.values():
        listeners[:] = [one for one in listeners if not one.handler.__module__.startswith("sphinx_thebe")]
    app.registry.css_files[:] = [file for file in app.registry.css_files if "thebe" not in str(file[0])]


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("config-inited", drop_thebe, priority=990)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
