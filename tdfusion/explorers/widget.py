"""What all explorers are: a widget with a twin that needs no kernel."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Container
from pathlib import Path
from typing import Any

import anywidget
import traitlets
from matplotlib.figure import Figure

from tdfusion.errors import InputError

HERE = Path(__file__).parent
VIEW = "application/vnd.jupyter.widget-view+json"
LIMIT = 2_000_000  # bytes that one explorer may add to a page


class Explorer(anywidget.AnyWidget):
    """The base of the explorers.

    In a notebook with a kernel, every control is a trait: set it and the picture follows, or ``observe`` it and be
    called when the reader moves it. Where there is no kernel, the same script runs on the state that is stored in
    the output. With the environment variable ``TDFUSION_STATIC`` set, an output holds that twin only: for notebooks
    that are executed to be stored, where a live view would name a kernel that is gone.

    Attributes:
        kind: which of the explorers, for the script.
        data: images, maps and names, for the script.
    """

    _esm = HERE / "explorers.js"
    _css = HERE / "explorers.css"
    kind = traitlets.Unicode().tag(sync=True)
    data = traitlets.Dict().tag(sync=True)

    def __init__(self, kind: str, data: dict[str, Any], **controls: Any) -> None:
        known = sorted(self.class_traits(control=True))
        for name in controls:
            if name not in known:
                raise InputError(f'unknown setting "{name}"; this explorer has {", ".join(known)}')
        refuse_large(data)
        super().__init__(kind=kind, data=data, **controls)

    def choices(self) -> dict[str, Container[Any]]:
        """What each `Choice` may be set to."""
        return {}

    def static(self) -> Figure:
        """The explorer as it stands, drawn with matplotlib."""
        raise NotImplementedError

    def html(self) -> str:
        """The twin: everything that a page needs to show the explorer, as one piece of HTML."""
        state = {name: getattr(self, name) for name in ("kind", "data", *self.traits(control=True))}
        text = json.dumps(state, separators=(",", ":")).replace("</", "<\\/")
        key = hashlib.sha256(text.encode()).hexdigest()[:12]  # the same state gives the same page
        script = (HERE / "explorers.js").read_text("utf-8").partition("export default")[0]
        style = (HERE / "explorers.css").read_text("utf-8")
        return (
            f'<div class="tdx-twin" data-tdx="{key}"><p>This explorer needs JavaScript.</p>'
            f"<style>\n{style}</style>"
            f'<script type="application/json">{text}</script>'
            f'<script type="module">\n{script}startTwin("{key}");\n</script></div>'
        )

    def __repr__(self) -> str:
        settings = ", ".join(f"{name}={getattr(self, name)!r}" for name in sorted(self.traits(control=True)))
        return f"{type(self).__name__}({settings})"

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        bundle, metadata = super()._repr_mimebundle_(**kwargs)
        bundle |= {"text/plain": repr(self), "text/html": self.html()}
        if os.environ.get("TDFUSION_STATIC"):
            bundle.pop(VIEW)
        return bundle, metadata


def refuse_large(data: dict[str, Any]) -> None:
    """What an explorer carries has to fit on a page.

    Raises:
        InputError: more than `LIMIT`.
    """
    size = len(json.dumps(data))
    if size > LIMIT:
        raise InputError(
            f"the explorer would add {size / 1e6:.1f} MB to its page, more than {LIMIT / 1e6:.0f} MB; "
            "give fewer or smaller images"
        )
