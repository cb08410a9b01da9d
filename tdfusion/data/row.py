"""What the row of a data set says, and how a row of your own is read from a TOML file."""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

from tdfusion.errors import InputError

SEE_PROJECT = "see the project page"
# What comes from a file: nothing that a row does not have.
_STRICT: dict[str, Any] = {"extra": "forbid"}
_SUFFIXES = {"segmentation": (".png",), "detection": (".txt", ".xml")}


@dataclass(frozen=True)
class Split:
    """A named part of a data set.

    Attributes:
        name: as given to `tdfusion.data.readers.open_dataset`.
        folder: what ``{split}`` stands for in the folder patterns.
        count: pairs in the complete split.
        listed: True where the paper's own list of names chooses the pairs from the folder.
    """

    __pydantic_config__: ClassVar = _STRICT

    name: str
    folder: str
    count: int
    listed: bool = False


@dataclass(frozen=True)
class Labels:
    """What the labels of one task are and where they lie.

    Attributes:
        classes: their names, in the order of their ids.
        folders: folder patterns.
        suffixes: of the label files.
        background: id of the class that is no object, where there is one: some means leave it out.
    """

    __pydantic_config__: ClassVar = _STRICT

    classes: tuple[str, ...]
    folders: tuple[str, ...] = ()
    suffixes: tuple[str, ...] = ()
    background: int | None = None


@dataclass(frozen=True)
class Layout:
    """One data set.

    Attributes:
        name: its usual name.
        folders: names of its root folder, as unpacked or cloned.
        ir, vi: folder patterns of the infrared and the visible images.
        splits: the first is the default.
        labels: labels per task; the first task is the default. Empty for fusion-only sets.
        size: H, W of its images in pixels; None where they vary.
        task_size: H, W to which the released code resizes whole pairs for T.
        source, licence: where to get it, and under which terms.
        note: one more thing to know.
        visible_resized: the visible image covers the same view at another resolution and is resized to
            the infrared grid; everywhere else a pair of two sizes is an error.
        drawn: its pairs are drawn as they are asked for; there is no file.
    """

    __pydantic_config__: ClassVar = _STRICT

    name: str
    folders: tuple[str, ...]
    ir: tuple[str, ...]
    vi: tuple[str, ...]
    splits: tuple[Split, ...]
    labels: dict[Literal["segmentation", "detection"], Labels] = field(default_factory=dict)
    size: tuple[int, int] | None = None
    task_size: tuple[int, int] | None = None
    source: str = SEE_PROJECT
    licence: str = SEE_PROJECT
    note: str = ""
    visible_resized: bool = False
    drawn: bool = False

    @property
    def tasks(self) -> tuple[str, ...]:
        """Tasks that this data set can be opened for; ``"fusion"`` means pairs without labels."""
        return (*self.labels, "fusion")

    def task(self, name: str | None) -> str:
        """``name``, or the data set's first task where it is None; unknown tasks raise InputError."""
        if name is None:
            return self.tasks[0]
        if name not in self.tasks:
            raise InputError(f"{self.name} has no task {name!r}; it has {', '.join(self.tasks)}")
        return name

    def split(self, name: str | None) -> Split:
        """The split of this name, or the first where it is None; unknown names raise InputError.

        Where there is only one split, ``"test"`` names it too.
        """
        if name is None or (name == "test" and len(self.splits) == 1):
            return self.splits[0]
        for split in self.splits:
            if split.name == name:
                return split
        raise InputError(
            f"{self.name} has no split {name!r}; it has {', '.join(s.name for s in self.splits)}"
        )

    def classes(self, task: str) -> tuple[str, ...]:
        """Class names of a task, in the order of their ids; empty for ``"fusion"``."""
        return self.labels[task].classes if task in self.labels else ()

    def background(self, task: str) -> int | None:
        """Id of the class of a task that is no object; None where every class is one."""
        return self.labels[task].background if task in self.labels else None

    @property
    def tree(self) -> str:
        """The published layout of folders, a line each; of the splits those that are folders of their own."""
        parts = [(self.ir, "images"), (self.vi, "images")]
        parts += [(labels.folders, " or ".join(labels.suffixes)) for labels in self.labels.values()]
        folders = ",".join(dict.fromkeys(s.folder for s in self.splits))
        lines = [
            f"  {patterns[0].replace('{split}', f'{{{folders}}}')}/   ({what})"
            for patterns, what in parts
            if patterns
        ]
        return "\n".join([f"{self.name}/", *lines])


def read_layout(path: Path) -> Layout:
    """A row from a TOML file. Its names are the attributes of `Layout`; a single text stands for a list of one::

        name = "Yard"
        ir = "{split}/thermal"
        vi = "{split}/colour"
        [splits]
        train = 120                             # pairs; its folder has the same name
        test = {folder = "val", count = 30}
        [labels.detection]                      # or segmentation
        classes = ["person", "dog"]
        folders = "{split}/boxes"               # YOLO .txt or Pascal VOC .xml; masks are .png of class ids

    Raises:
        InputError: no such file, no TOML, or something in it is missing, unknown or of another kind.
    """
    from pydantic import TypeAdapter, ValidationError

    try:
        given = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror}); expected a data set's TOML file"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: no TOML ({error})") from error
    for ours in ("listed", "drawn"):
        if ours in given:
            raise InputError(f"{path}: {ours} is for the data sets of this library; leave it out")
    row = {"folders": given.get("name")} | given
    splits, labels = row.get("splits"), row.get("labels", {})
    if isinstance(splits, dict):
        row["splits"] = [
            {"name": name, "folder": name} | (about if isinstance(about, dict) else {"count": about})
            for name, about in splits.items()
        ]
    if isinstance(labels, dict):
        row["labels"] = {
            task: _listed({"suffixes": _SUFFIXES.get(task, ())} | about) if isinstance(about, dict) else about
            for task, about in labels.items()
        }
    try:  # by way of JSON, whose arrays may be tuples where nothing else is converted
        layout = TypeAdapter(Layout).validate_json(json.dumps(_listed(row), default=str), strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        said = {"missing": "is missing", "unexpected_keyword_argument": "is unknown"}.get(first["type"])
        said = said or f"{first['msg'][0].lower()}{first['msg'][1:]}, not {first['input']!r}"
        raise InputError(f"{path}: {where} {said}") from error
    if not layout.splits or not layout.ir or not layout.vi:
        raise InputError(f"{path}: give ir, vi and at least one of [splits]")
    return layout


def _listed(table: dict[str, Any]) -> dict[str, Any]:
    """A single text stands for a list of one."""
    many = ("folders", "ir", "vi", "classes", "suffixes")
    return {name: [v] if name in many and isinstance(v, str) else v for name, v in table.items()}
