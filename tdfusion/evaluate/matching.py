"""Folders of images matched by file stem, with an error that names what has no partner."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tdfusion.data.stored import upright_size
from tdfusion.errors import InputError
from tdfusion.files import images_by_stem


@dataclass(frozen=True)
class Item:
    """The files of one name: infrared, visible, fused by method; and the group the name belongs to."""

    name: str
    ir: Path
    vi: Path
    fused: dict[str, Path]
    group: str


def match_folders(
    ir_dir: Path, vi_dir: Path, fused: Mapping[str, Path], groups: str | None = None
) -> list[Item]:
    """The files of several folders matched by stem, in the order of the stems.

    Args:
        ir_dir: folder of infrared images.
        vi_dir: folder of visible images.
        fused: method to folder of its fused images; may be empty.
        groups: regular expression whose match in a stem is the group's label; see `evaluate_folder`.

    Raises:
        InputError: a folder is missing or empty; two files of a folder share a stem; a stem is not in every
            folder, or matches no group. The message names the first and counts the rest.
    """
    ir, vi = images_by_stem(ir_dir), images_by_stem(vi_dir)
    by_method = {method: images_by_stem(folder) for method, folder in fused.items()}
    places = [("infrared image", ir_dir, ir), ("visible image", vi_dir, vi)]
    for method, files in by_method.items():
        what = f"fused image of {method}" if len(fused) > 1 else "fused image"
        places.append((what, fused[method], files))
    everywhere = set.intersection(*(set(files) for _, _, files in places))
    problems = []
    for stem in sorted(set().union(*(files for _, _, files in places)) - everywhere):
        there = next(files[stem] for _, _, files in places if stem in files)
        missing = [f"no {what} in {folder}" for what, folder, files in places if stem not in files]
        problems.append(f"{there} has {' and '.join(missing)}")
    refuse(problems, len(everywhere), "add what is missing or remove what has no partner")
    labels = {stem: _group(stem, groups) for stem in sorted(everywhere)}
    refuse(
        [f'{stem} matches no group of "{groups}"' for stem, label in labels.items() if label is None],
        sum(label is not None for label in labels.values()),
        "widen the expression",
    )
    return [
        Item(stem, ir[stem], vi[stem], {method: files[stem] for method, files in by_method.items()}, label)
        for stem, label in labels.items()
    ]


def _group(stem: str, pattern: str | None) -> str | None:
    if pattern is None:
        return ""
    try:
        found = re.search(pattern, stem)
    except re.error as error:
        raise InputError(f'groups is "{pattern}", which is no regular expression ({error})') from error
    if not found:
        return None
    named = [name for name, value in found.groupdict().items() if value is not None]
    return (named or [value for value in found.groups() if value is not None] or [found.group()])[0]


def check_sizes(items: Sequence[Item], min_side: int, match: str = "none") -> None:
    """Compare image sizes by reading headers only, so that a wrong folder shows before minutes of scoring.

    Args:
        items: from `match_folders`.
        min_side: smallest height and width of what is scored.
        match: "ir" or "vi" allows sources of two sizes, see `tdfusion.data.geometry.matched`.

    Raises:
        InputError: the images of one name differ in size, are smaller than ``min_side``, or are no images.
    """
    problems = []
    remedy = "mend or remove it"
    for item in items:
        first = item.vi if match == "vi" else item.ir
        wanted = upright_size(first)
        others = [*([item.vi] if match == "none" else []), *item.fused.values()]
        wrong = next((path for path in others if upright_size(path) != wanted), None)
        if wrong is not None:
            problems.append(
                f"{wrong} has {_times(upright_size(wrong))} pixels, {first.name} {_times(wanted)}"
            )
            if wrong == item.vi and len(problems) == 1:
                remedy += ", or, if both show the same view, match one to the other: --match ir or --match vi"
        elif min(wanted) < min_side:
            problems.append(f"{first} has {_times(wanted)} pixels; at least {min_side} a side are needed")
    refuse(problems, len(items) - len(problems), remedy)


def refuse(problems: Sequence[str], fine: int, remedy: str) -> None:
    """Raise for the first problem, if any, with the number of further ones and of what is fine."""
    if problems:
        more = f" and {len(problems) - 1} more like it" if len(problems) > 1 else ""
        raise InputError(f"{problems[0]}{more}; {remedy} (the other {fine} are fine)")


def _times(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"
