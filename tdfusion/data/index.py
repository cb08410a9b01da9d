"""From a folder on disk to a list of complete pairs, and a list of everything that is not one.

Only names are looked at here; no file is opened.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tdfusion.data.layouts import Layout, Split
from tdfusion.data.splits import paper_split
from tdfusion.errors import InputError
from tdfusion.files import IMAGE_SUFFIXES


@dataclass(frozen=True)
class PairFiles:
    """The files of one pair; ``label`` is None where the task is fusion only."""

    name: str
    ir: Path
    vi: Path
    label: Path | None


@dataclass(frozen=True)
class Index:
    """What the folders of one split hold.

    Attributes:
        layout, root, split, task: what was looked for, and the folder in which it was found.
        pairs: the complete pairs, by name (in the order of the paper's list where there is one).
        unpaired: a sentence per image that has no partner in the other modality.
        unlabelled: a sentence per pair without a label file.
        missing: names of the paper's list of which there is no image.
        ambiguous: a sentence per name that several files of one folder claim.
        strays: files that are no part of any pair: of another type, or labels without an image.
    """

    layout: Layout
    root: Path
    split: Split
    task: str
    pairs: tuple[PairFiles, ...]
    unpaired: tuple[str, ...]
    unlabelled: tuple[str, ...]
    missing: tuple[str, ...]
    ambiguous: tuple[str, ...]
    strays: tuple[Path, ...]

    @property
    def faults(self) -> tuple[str, ...]:
        """Why the split is not complete, a sentence each; empty where it is."""
        lists = ()
        if self.missing:
            shown = ", ".join(self.missing[:3]) + (" ..." if len(self.missing) > 3 else "")
            lists = (
                f"{len(self.missing)} of the {self.split.count} names in the paper's list"
                f" {self.layout.name} {self.split.name} have no image ({shown})",
            )
        return (*self.ambiguous, *self.unpaired, *self.unlabelled, *lists)


def find_folder(root: Path, patterns: tuple[str, ...], split: Split) -> Path | None:
    """The first of ``patterns`` that exists below ``root``, whatever the case of its letters."""
    for pattern in patterns:
        folder: Path | None = root
        for part in pattern.format(split=split.folder).split("/"):
            folder = _child(folder, part) if folder else None
        if folder:
            return folder
    return None


def _child(folder: Path, name: str) -> Path | None:
    exact = folder / name
    if exact.is_dir():
        return exact
    same = sorted(p for p in folder.iterdir() if p.name.lower() == name.lower() and p.is_dir())
    return same[0] if same else None


def find_root(layout: Layout, root: Path) -> Path:
    """The folder that holds the data set: ``root`` itself, or a folder of the data set's name in it.

    Raises:
        InputError: there is no such folder, or it does not have the layout.
    """
    root = Path(root)
    if not root.is_dir():
        raise InputError(f"{root}: no such folder")
    named = [_child(root, folder) for folder in layout.folders]
    for candidate in (root, *filter(None, named)):
        if any(find_folder(candidate, layout.ir + layout.vi, split) for split in layout.splits):
            return candidate
    expected = layout.ir[0].format(split="{train,test}")
    raise InputError(
        f"{root}: no {layout.name} in this folder; expected {expected} in it or in a folder"
        f" {layout.name} of it (tdfusion data info {layout.name} draws the layout)"
    )


def index_split(layout: Layout, root: Path, split: Split, task: str) -> Index:
    """List one split of a data set under ``root`` (its own folder, or the one above it).

    Raises:
        InputError: a whole folder is missing or holds no image.
    """
    root = find_root(layout, root)
    folder_ir = _images_folder(layout, root, split, layout.ir, "infrared")
    folder_vi = _images_folder(layout, root, split, layout.vi, "visible")
    ir, strays_ir, twice_ir = _by_stem(folder_ir, IMAGE_SUFFIXES)
    vi, strays_vi, twice_vi = _by_stem(folder_vi, IMAGE_SUFFIXES)
    strays, ambiguous = [*strays_ir, *strays_vi], [*twice_ir, *twice_vi]

    label: dict[str, Path] = {}
    folder_label = _label_folder(layout, root, split, task)
    if folder_label:
        label, others, twice = _by_stem(folder_label, layout.labels[task].suffixes)
        known = ir.keys() | vi.keys()
        if "{split}" not in "".join(layout.labels[task].folders):  # one label folder serves all splits
            known |= {p.stem for s in layout.splits for p in _siblings(layout, root, s)}
        strays += [*others, *(path for stem, path in label.items() if stem not in known)]
        ambiguous += twice

    names: Iterable[str] = sorted(ir.keys() | vi.keys())
    missing: tuple[str, ...] = ()
    if split.listed:
        names = paper_split(layout.name, split.name)
        missing = tuple(n for n in names if n not in ir and n not in vi)
    unpaired, unlabelled, pairs = [], [], []
    for name in names:
        if name in ir and name in vi:
            if folder_label and name not in label:
                suffix = layout.labels[task].suffixes[0]
                unlabelled.append(f"{ir[name]}: no label {name}{suffix} in {folder_label}")
            else:
                pairs.append(PairFiles(name, ir[name], vi[name], label.get(name)))
        elif name in ir:
            unpaired.append(f"{ir[name]}: no visible image {name} in {folder_vi}")
        elif name in vi:
            unpaired.append(f"{vi[name]}: no infrared image {name} in {folder_ir}")
    return Index(
        layout,
        root,
        split,
        task,
        pairs=tuple(pairs),
        unpaired=tuple(unpaired),
        unlabelled=tuple(unlabelled),
        missing=missing,
        ambiguous=tuple(ambiguous),
        strays=tuple(sorted(strays)),
    )


def _images_folder(layout: Layout, root: Path, split: Split, patterns: tuple[str, ...], what: str) -> Path:
    folder = find_folder(root, patterns, split)
    if folder is None:
        expected = " or ".join(pattern.format(split=split.folder) for pattern in patterns)
        others = [
            s.name for s in layout.splits if s.folder != split.folder and find_folder(root, patterns, s)
        ]
        hint = f" (split {' or '.join(map(repr, others))} is there)" if others else ""
        raise InputError(
            f"{root}: no folder of {what} images of {layout.name}; expected {expected} in it{hint}"
        )
    return folder


def _label_folder(layout: Layout, root: Path, split: Split, task: str) -> Path | None:
    if task not in layout.labels:
        return None
    folder = find_folder(root, layout.labels[task].folders, split)
    if folder is None:
        expected = " or ".join(p.format(split=split.folder) for p in layout.labels[task].folders)
        others = [
            t
            for t in layout.tasks
            if t != task and (t == "fusion" or find_folder(root, layout.labels[t].folders, split))
        ]
        raise InputError(
            f"{root}: no {task} labels of {layout.name}; expected a folder {expected} in it"
            f" (there is enough for task {' or '.join(map(repr, others))})"
        )
    return folder


def _siblings(layout: Layout, root: Path, split: Split) -> list[Path]:
    folder = find_folder(root, layout.ir, split)
    return list(folder.iterdir()) if folder else []


def _by_stem(folder: Path, suffixes: tuple[str, ...]) -> tuple[dict[str, Path], list[Path], list[str]]:
    """Files of ``folder`` by stem; those of other types; a sentence per stem that occurs twice."""
    found: dict[str, Path] = {}
    strays, twice = [], []
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in suffixes or path.name.startswith(".") or path.is_dir():
            strays.append(path)
        elif path.stem in found:
            twice.append(f"{path}: a second file named {path.stem} beside {found[path.stem].name}")
        else:
            found[path.stem] = path
    return found, strays, twice
