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
    """Files of one name, by role, and the group the name belongs to."""

    name: str
    files: dict[str, Path]
    group: str


def match_folders(folders: Mapping[str, Path], groups: str | None = None) -> list[Item]:
    """The files of several folders matched by stem, in the order of the stems.

    Args:
        folders: role ("infrared", ...) to folder.
        groups: regular expression whose match in a stem is the group's label; see `evaluate_folder`.

    Raises:
        InputError: a folder is missing or empty; two files of a folder share a stem; a stem is not in every
            folder, or matches no group. The message names the first and counts the rest.
    """
    by_role = {role: images_by_stem(folder) for role, folder in folders.items()}
    everywhere = set.intersection(*(set(files) for files in by_role.values()))
    problems = []
    for stem in sorted(set().union(*by_role.values()) - everywhere):
        there = next(files[stem] for files in by_role.values() if stem in files)
        missing = [
            f"no {role} image in {folders[role]}" for role, files in by_role.items() if stem not in files
        ]
        problems.append(f"{there} has {' and '.join(missing)}")
    refuse(problems, len(everywhere), "add what is missing or remove what has no partner")
    labels = {stem: _group(stem, groups) for stem in sorted(everywhere)}
    refuse(
        [f'{stem} matches no group of "{groups}"' for stem, label in labels.items() if label is None],
        sum(label is not None for label in labels.values()),
        "widen the expression",
    )
    return [
        Item(stem, {role: files[stem] for role, files in by_role.items()}, label)
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


def check_sizes(items: Sequence[Item], min_side: int) -> None:
    """Compare image sizes by reading headers only, so that a wrong folder shows before minutes of scoring.

    Raises:
        InputError: the images of one name differ in size, are smaller than ``min_side``, or are no images.
    """
    problems = []
    for item in items:
        sizes = {path: upright_size(path) for path in item.files.values()}
        first, *others = sizes.items()
        problem = [
            f"{p} has {_times(s)} pixels, {first[0].name} {_times(first[1])}"
            for p, s in others
            if s != first[1]
        ]
        if not problem and min(first[1]) < min_side:
            problem = [f"{first[0]} has {_times(first[1])} pixels; at least {min_side} a side are needed"]
        problems += problem[:1]
    refuse(problems, len(items) - len(problems), "mend or remove it")


def refuse(problems: Sequence[str], fine: int, remedy: str) -> None:
    """Raise for the first problem, if any, with the number of further ones and of what is fine."""
    if problems:
        more = f" and {len(problems) - 1} more like it" if len(problems) > 1 else ""
        raise InputError(f"{problems[0]}{more}; {remedy} (the other {fine} are fine)")


def _times(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"
