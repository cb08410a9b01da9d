"""Files inside scripts: a page that was opened from disk may load a script, but may not fetch a file.

A part is a script that puts named files, gzip in base64, where ``fuse.js`` looks for them.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_HEAD = "(self.tdfusionParts ??= {})"


def part(name: str, files: Mapping[str, bytes], **about: Any) -> bytes:
    """The script of a part: ``files`` by name, and facts ``about`` them."""
    packed = {key: base64.b64encode(gzip.compress(file, 9, mtime=0)).decode() for key, file in files.items()}
    return f"{_HEAD}.{name} = {json.dumps({'files': packed, **about})};\n".encode()


def read_part(path: Path) -> tuple[dict[str, bytes], dict[str, Any]]:
    """The files that a part's script holds, and what it says of them."""
    text = path.read_text("utf-8")
    about = json.loads(text[text.index("{", len(_HEAD)) : text.rindex(";")])
    files = {
        key: gzip.decompress(base64.b64decode(packed, validate=True))
        for key, packed in about.pop("files").items()
    }
    return files, about
