"""The paper's own splits of M3FD and LLVIP, by name, with a count and a checksum.

Only the names of images are kept here, packed in ``splits_paper.json``; images and boxes come from the
data sets themselves. Source: the lists that the authors released with the paper (Sec. 4.1).
"""

from __future__ import annotations

import hashlib
import json
import re
from functools import cache
from importlib import resources

from tdfusion.errors import InputError

_PACKED = "splits_paper.json"
_GAP = re.compile(r"\((\d+)\)|([0-9a-z])")


@cache
def _packed() -> dict[str, dict[str, dict]]:
    return json.loads(resources.files(__package__).joinpath(_PACKED).read_text("utf-8"))["splits"]


def _entry(dataset: str, split: str) -> dict:
    packed = _packed()
    if dataset not in packed or split not in packed[dataset]:
        known = ", ".join(f"{d} {s}" for d in packed for s in packed[d])
        raise InputError(f"{dataset} {split}: the paper has no list of this name (it has {known})")
    return packed[dataset][split]


def checksum(names: tuple[str, ...] | list[str]) -> str:
    """SHA-256 of names written one per line, each line ended by a newline."""
    return hashlib.sha256("".join(f"{name}\n" for name in names).encode()).hexdigest()


@cache
def paper_split(dataset: str, split: str) -> tuple[str, ...]:
    """Names (file stems) of one of the paper's splits, in the paper's order.

    Args:
        dataset: ``"M3FD"`` (train 3150, test 1050) or ``"LLVIP"`` (train 1203, test 347).
        split: ``"train"`` or ``"test"``.

    Raises:
        InputError: the paper has no such list, or the packed file no longer matches its checksum.
    """
    entry = _entry(dataset, split)
    names, number = [], -1
    for large, small in _GAP.findall(entry["gaps"]):
        number += int(large) if large else int(small, 36)
        names.append(f"{number:0{entry['digits']}d}")
    if len(names) != entry["count"] or checksum(names) != entry["sha256"]:
        raise InputError(
            f"{_PACKED}: the list {dataset} {split} does not match its checksum; install tdfusion again"
        )
    return tuple(names)


def split_checksum(dataset: str, split: str) -> str:
    """SHA-256 that `checksum` gives for `paper_split` of the same arguments."""
    return _entry(dataset, split)["sha256"]
