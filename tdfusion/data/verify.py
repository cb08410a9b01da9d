"""Read a whole data set once and say what is there, what is not, and whether it can be used."""

from __future__ import annotations

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
from tdfusion.data.layouts import Layout, find_layout
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
        InputError: unknown name, split or task, a whole folder is missing, or the pairs are drawn.
    """
    layout = find_layout(name)
    if layout.drawn:
        raise InputError(
            f"{layout.name}: its pairs are drawn as they are asked for; there is no file to read"
        )
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
