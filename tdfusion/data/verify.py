"""Read a whole data set once and say what is there, what is not, and whether it can be used."""

from __future__ import annotations

import argparse
import os
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch
from tqdm import tqdm

from tdfusion.data.annotations import BoxLabels
from tdfusion.data.index import Index, PairFiles, index_split
from tdfusion.data.layouts import LAYOUTS, Layout, find_layout
from tdfusion.data.pair import Pair
from tdfusion.data.readers import read_pair
from tdfusion.data.report import Report, SplitReport
from tdfusion.errors import InputError


@dataclass(frozen=True)
class _Finding:
    """One pair, read: an error sentence, or what is in it."""

    files: PairFiles
    error: str = ""
    size: tuple[int, int] = (0, 0)
    values: dict[int, int] | None = None
    labels: BoxLabels | None = None


def verify(
    name: str,
    root: str | Path,
    split: str | None = None,
    task: str | None = None,
    *,
    workers: int | None = None,
    progress: bool = False,
) -> Report:
    """Read every file of a data set and report on it.

    A report is ``usable`` exactly where `open_dataset` opens the same splits and reads every pair of
    them, and no box has to be dropped.

    Args:
        name, root, task: as for `open_dataset`.
        split: one split; None for training and test (or the only one).
        workers: threads that read; None for one per core.
        progress: show a progress bar per split, on stderr.

    Raises:
        InputError: unknown name, split or task, or a whole folder is missing.
    """
    layout = find_layout(name)
    task = layout.task(task)
    splits = [layout.split(split)] if split else [s for s in layout.splits if s.name in _usual(layout)]
    indexes = [index_split(layout, Path(root), s, task) for s in splits]
    reports = tuple(_read(index, workers or os.cpu_count() or 1, progress) for index in indexes)
    return Report(layout.name, indexes[0].root, task, layout.classes(task), reports)


def _usual(layout: Layout) -> tuple[str, ...]:
    return ("train", "test") if layout.splits[0].name == "train" else (layout.splits[0].name,)


def _read(index: Index, workers: int, progress: bool) -> SplitReport:
    sizes: Counter[tuple[int, int]] = Counter()
    values: Counter[int] = Counter()
    unreadable, degenerate = [], []
    boxes = outside = other_sizes = 0
    for found in _findings(index, workers, progress):
        if found.error:
            unreadable.append(found.error)
            continue
        sizes[found.size] += 1
        values.update(found.values or {})
        if found.labels:
            boxes += len(found.labels.boxes)
            outside += found.labels.outside
            other_sizes += found.labels.other_size is not None
            if found.labels.degenerate:
                degenerate.append(
                    f"{found.files.label}: {found.labels.degenerate} boxes are less than a pixel wide or"
                    " high inside the image"
                )
    return SplitReport(
        split=index.split.name,
        expected=index.split.count,
        pairs=len(index.pairs),
        read=sizes.total(),
        unpaired=index.unpaired,
        unlabelled=index.unlabelled,
        ambiguous=index.ambiguous,
        missing=index.missing,
        unreadable=tuple(unreadable),
        degenerate=tuple(degenerate),
        strays=index.strays,
        sizes=sizes,
        label_values=values,
        boxes=boxes,
        boxes_outside=outside,
        other_sizes=other_sizes,
    )


def _findings(index: Index, workers: int, progress: bool) -> Iterator[_Finding]:
    def look(files: PairFiles) -> _Finding:
        try:
            pair, labels = read_pair(files, index.layout, index.task)
        except InputError as error:
            return _Finding(files, error=str(error))
        return _Finding(files, size=pair.size, values=_label_values(pair), labels=labels)

    bar = f"{index.layout.name} {index.split.name}"
    with ThreadPoolExecutor(workers) as pool:  # decoding releases the interpreter lock
        yield from tqdm(
            pool.map(look, index.pairs), total=len(index.pairs), desc=bar, unit="pair", disable=not progress
        )


def _label_values(pair: Pair) -> dict[int, int]:
    """Pixels, or boxes, per class id."""
    ids = pair.mask if pair.mask is not None else pair.boxes[:, 0] if pair.boxes is not None else None
    if ids is None:
        return {}
    values, counts = torch.unique(ids.long(), return_counts=True)
    return dict(zip(values.tolist(), counts.tolist(), strict=True))


def add_data_command(subparsers: argparse._SubParsersAction) -> None:
    """Add ``data verify`` and ``data info`` to the subparsers of the ``tdfusion`` command."""
    data = subparsers.add_parser("data", help="check a data set on disk, or learn where to get it")
    commands = data.add_subparsers(dest="data_command", required=True)

    check = commands.add_parser(
        "verify",
        help="read every file of a data set and report on it",
        description="Read every file of a data set; print counts and faults, and a verdict. The exit"
        " status is 1 where the data set is unusable. Nothing is downloaded or changed.",
    )
    check.add_argument("name", metavar="NAME", help=f"one of {', '.join(LAYOUTS)}")
    check.add_argument("--root", type=Path, required=True, metavar="DIR", help="the unpacked data set")
    check.add_argument("--split", help="one split alone (default: training and test)")
    check.add_argument("--task", help="segmentation, detection or fusion (default: the data set's first)")
    check.add_argument("--workers", type=int, metavar="N", help="threads that read (default: one per core)")
    check.set_defaults(func=_verify_command)

    info = commands.add_parser(
        "info",
        help="where to get each data set, its licence, size and layout",
        description="Say where to get each data set, under which licence, its size and layout. Nothing is"
        " downloaded.",
    )
    info.add_argument("name", metavar="NAME", nargs="?", help="one data set (default: all)")
    info.set_defaults(func=_info_command)


def _verify_command(arguments: argparse.Namespace) -> int:
    report = verify(
        arguments.name,
        arguments.root,
        arguments.split,
        arguments.task,
        workers=arguments.workers,
        progress=True,
    )
    print(report.table())
    return 0 if report.usable else 1


def _info_command(arguments: argparse.Namespace) -> int:
    layouts = [find_layout(arguments.name)] if arguments.name else LAYOUTS.values()
    print("\n\n".join(map(describe, layouts)))
    return 0


def describe(layout: Layout) -> str:
    """A data set in a paragraph: where to get it, licence, size, splits, classes and layout."""
    lines = [
        layout.name,
        f"  get it from  {layout.source}",
        f"  licence      {layout.licence}",
        f"  images       {layout.size}",
        "  pairs        " + ", ".join(f"{s.name} {s.count}" for s in layout.splits),
    ]
    for task in layout.labels:
        lines.append(f"  {task:<12} " + ", ".join(f"{i} {c}" for i, c in enumerate(layout.classes(task))))
    if layout.note:
        lines.append(f"  note         {layout.note}")
    return "\n".join([*lines, "  layout", *(f"    {line}" for line in layout.tree.splitlines())])
