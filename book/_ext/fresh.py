"""Build every page again when the frame changes: Sphinx by itself notices changed pages and settings only,
and would leave pages of an older extension, or an older style sheet, in the built book.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from sphinx.application import Sphinx


def frame_digest(book: Path) -> str:
    """A hash of the extensions and of the static files."""
    digest = hashlib.sha256()
    for file in sorted([*book.glob("_ext/*.py"), *book.glob("_static/**/*")]):
        if file.is_file():
            digest.update(file.relative_to(book).as_posix().encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_config_value("frame_digest", frame_digest(Path(__file__).parents[1]), "env")
    return {"parallel_read_safe": True, "parallel_write_safe": True}
