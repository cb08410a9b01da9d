"""Numbers that tables show: the paper's, and this repository's.

One long table per study, whatever was studied::

    from tdfusion import results

    results.load("mechanism").query("metric == 'mIoU'").pivot(index="arm", columns="seed", values="value")

Columns (`COLUMNS`): ``study``; ``data``, the data set; ``arm``, the way of fusing or training, the contestant of a
benchmark; ``task``, segmentation or detection, or the convention of fusion metrics; ``group``, a class, a region, a
size; ``image``; ``seed``; ``metric``; ``value``. What does not apply is empty. Every study has, beside its table, a
record of what it is and how it was made (`about`, `provenance_of`), and what is no number lies beside it as well
(`history`, `maps`, `pictures`). Run folders are read by `run`, and `spent` says what all of it took.
"""

from __future__ import annotations

import importlib

_FROM = {
    "table": (
        "COLUMNS",
        "about",
        "facts",
        "is_there",
        "load",
        "made_at",
        "provenance_of",
        "save",
        "save_facts",
        "tidy",
        "wide",
    ),
    "beside": ("StoredRun", "history", "maps", "pictures", "run", "runs"),
    "registry": ("Spent", "command_of", "spent"),
}
_WHERE = {name: module for module, names in _FROM.items() for name in names}
__all__ = sorted(_WHERE)


def __getattr__(name: str) -> object:
    if name not in _WHERE:
        raise AttributeError(f"tdfusion.results has no {name}")
    return getattr(importlib.import_module(f"tdfusion.results.{_WHERE[name]}"), name)


def __dir__() -> list[str]:
    return [*globals(), *_WHERE]
