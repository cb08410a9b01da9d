"""mAcc and mIoU of label maps, mAP50 and mAP75 of boxes: over which classes, and class by class (Table 2)."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tdfusion.downstream.protocols import PROTOCOLS
from tdfusion.errors import InputError
from tdfusion.files import write_text
from tdfusion.results.paper import format_table

_FORMAT = "tdfusion-downstream-1"
_CLASS_SCORES = {"segmentation": ("Acc", "IoU"), "detection": ("AP50", "AP75", "AP50-95")}
_COUNTED = {"segmentation": "pixels", "detection": "objects"}


@dataclass(frozen=True)
class ClassScores:
    """One class.

    Attributes:
        name: of the class.
        count: its pixels (segmentation) or objects (detection) in the ground truth of the test images.
        values: score to value in [0, 1]; NaN for a class of which the ground truth has none.
    """

    name: str
    count: int
    values: dict[str, float]


@dataclass(frozen=True)
class Scores:
    """What one retrained T reaches on the test images.

    Attributes:
        task, dataset, source, seed: of the run.
        images: how many test images.
        values: score to value in [0, 1]: mAcc and mIoU, or mAP50, mAP75 and mAP50-95. Means over classes as
            the protocol has them.
        classes: every class of the data set.
        confusion: segmentation: pixels, rows the true and columns the predicted class.
        protocol: name of the protocol (`tdfusion.downstream.protocols`).
        background: name of the class that is no object, where there is one.
        fold: the fold that was scored, where the protocol has folds.
    """

    task: str
    dataset: str
    source: str
    seed: int
    images: int
    values: dict[str, float]
    classes: tuple[ClassScores, ...]
    confusion: tuple[tuple[int, ...], ...] | None = None
    protocol: str = "paper"
    background: str | None = None
    fold: int | None = None

    @property
    def absent(self) -> tuple[str, ...]:
        """Classes of which the ground truth has no pixel or object."""
        return tuple(c.name for c in self.classes if not c.count)

    def said(self) -> str:
        """Over which classes the protocol's means run, in words."""
        protocol = PROTOCOLS[self.protocol]
        counted = _counted(self.classes, None if protocol.background else self.background, protocol.absent)
        words = f"means over {len(counted)} of {len(self.classes)} classes, {self.images} test images"
        words += "" if self.fold is None else f" (fold {self.fold})"
        return words + (f"; absent from them: {', '.join(self.absent)}" if self.absent else "")

    def averages(self) -> dict[str, dict[str, float]]:
        """Every mean that people take, by what it counts: with and without background, absent classes out or 0."""
        found = {}
        for left_out in (None, self.background) if self.background else (None,):
            for absent in ("left out", "zero") if self.absent else ("left out",):
                counted = _counted(self.classes, left_out, absent)
                words = f"mean of {len(counted)}"
                words += f", no {left_out}" if left_out else ""
                words += ", absent 0" if absent == "zero" else ""
                found[words] = _means(self.task, counted)
        return found

    def table(self) -> str:
        """A Markdown table in percent: a row per class, the protocol's means, then every other way to average."""
        columns = _CLASS_SCORES[self.task]
        rows = [(c.name, f"{c.count}", *(_percent(c.values[s]) for s in columns)) for c in self.classes]
        means = {f"protocol {self.protocol}": self.values} | self.averages()
        rows += [(name, "", *(_percent(values[f"m{s}"]) for s in columns)) for name, values in means.items()]
        return format_table(("class", _COUNTED[self.task], *columns), rows)

    def rows(self, arm: str) -> Iterator[dict[str, Any]]:
        """For `tdfusion.results.table.save`: means, each class, and of segmentation the pixels of each confusion."""
        common = {"data": self.dataset, "arm": arm, "task": self.task, "seed": self.seed}
        yield common | {"values": self.values | {"images": self.images}}
        for c in self.classes:
            yield common | {"group": c.name, "values": {"count": c.count} | c.values}
        for true, counts in zip(self.classes, self.confusion or ()):
            for predicted, pixels in zip(self.classes, counts):
                where = f"{true.name} taken for {predicted.name}"
                yield common | {"group": where, "values": {"pixels": pixels}}

    def to_json(self, path: str | Path) -> None:
        """Write ``scores.json``; NaN becomes null."""
        plain = {"format": _FORMAT} | asdict(self) | {"absent": self.absent, "averages": self.averages()}
        for one in plain["classes"]:
            one["values"] = _without_nan(one["values"])
        plain["values"] = _without_nan(plain["values"])
        plain["averages"] = {name: _without_nan(values) for name, values in plain["averages"].items()}
        write_text(Path(path), json.dumps(plain, indent=1) + "\n")

    def to_csv(self, path: str | Path) -> None:
        """Write ``scores.csv``: a row per class."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        columns = _CLASS_SCORES[self.task]
        writer.writerow(["dataset", "task", "source", "seed", "class", _COUNTED[self.task], *columns])
        for c in self.classes:
            cells = ["" if math.isnan(c.values[s]) else f"{c.values[s]:.6f}" for s in columns]
            writer.writerow([self.dataset, self.task, self.source, self.seed, c.name, c.count, *cells])
        write_text(Path(path), text.getvalue())


def read_scores(path: str | Path) -> Scores:
    """Read ``scores.json``, or that of a run folder.

    Raises:
        InputError: missing, or not such a file.
    """
    path = Path(path)
    path = path / "scores.json" if path.is_dir() else path
    if not path.is_file():
        raise InputError(f"{path}: no such file; a run that has finished leaves scores.json")
    try:
        plain = json.loads(path.read_text())
        if plain.pop("format") != _FORMAT:
            raise KeyError("format")
        for derived in ("absent", "averages"):
            plain.pop(derived, None)
        plain["values"] = _with_nan(plain["values"])
        plain["classes"] = tuple(
            ClassScores(c["name"], c["count"], _with_nan(c["values"])) for c in plain["classes"]
        )
        if plain["confusion"] is not None:
            plain["confusion"] = tuple(tuple(row) for row in plain["confusion"])
        return Scores(**plain)
    except (KeyError, TypeError, AttributeError, json.JSONDecodeError) as error:
        raise InputError(f"{path}: not the scores of tdfusion downstream ({error})") from error


def confusion_matrix(predicted: np.ndarray, true: np.ndarray, classes: int) -> np.ndarray:
    """Pixels by true (row) and predicted (column) class, int64 (classes, classes)."""
    pairs = true.reshape(-1).astype(np.int64) * classes + predicted.reshape(-1).astype(np.int64)
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


def segmentation_scores(
    confusion: np.ndarray,
    classes: Sequence[str],
    *,
    dataset: str,
    source: str,
    seed: int,
    images: int,
    protocol: str = "paper",
    background: int | None = None,
    fold: int | None = None,
) -> Scores:
    """mAcc and mIoU from the pixels of all test images together.

    With $n_{ij}$ pixels of class i labelled j: $Acc_i = n_{ii} / \\sum_j n_{ij}$ and
    $IoU_i = n_{ii} / (\\sum_j n_{ij} + \\sum_j n_{ji} - n_{ii})$. Both are summed over images first, then
    averaged over classes, over those that the protocol counts. A class without a pixel in the ground truth has
    no Acc; it is named (FMB's test split has no bicycle) and, as the protocol says, left out of both means or in
    them as 0. Pixels wrongly given to it still count against the classes they belong to.

    Args:
        confusion: see `confusion_matrix`.
        classes: names of all classes.
        dataset, source, seed, images: of the run.
        protocol, fold: name of the protocol, and the fold that was scored where it has folds.
        background: id of the class that is no object, where there is one.

    Raises:
        InputError: the matrix does not have a row and a column per class.

    Example:
        >>> confusion = [[8, 2], [1, 9]]  # ten pixels of either class
        >>> scores = segmentation_scores(confusion, ("road", "car"), dataset="x", source="y", seed=0, images=1)
        >>> {name: round(value, 4) for name, value in scores.values.items()}
        {'mAcc': 0.85, 'mIoU': 0.7386}
    """
    confusion = np.asarray(confusion)
    if confusion.shape != (len(classes), len(classes)):
        raise InputError(f"a confusion matrix of shape {confusion.shape} for {len(classes)} classes")
    hit, true, guessed = confusion.diagonal(), confusion.sum(1), confusion.sum(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        accuracy = np.where(true > 0, hit / true, np.nan)
        iou = np.where(true > 0, hit / (true + guessed - hit), np.nan)
    per_class = tuple(
        ClassScores(name, int(n), {"Acc": float(a), "IoU": float(i)})
        for name, n, a, i in zip(classes, true, accuracy, iou, strict=True)
    )
    name = None if background is None else classes[background]
    rule = PROTOCOLS[protocol]
    means = _means("segmentation", _counted(per_class, None if rule.background else name, rule.absent))
    return Scores(
        "segmentation", dataset, source, seed, images, means, per_class,
        tuple(tuple(map(int, row)) for row in confusion), protocol, name, fold,
    )  # fmt: skip


def detection_scores(
    average_precision: Mapping[int, Sequence[float]],
    objects: Sequence[int],
    classes: Sequence[str],
    *,
    dataset: str,
    source: str,
    seed: int,
    images: int,
    protocol: str = "paper",
    fold: int | None = None,
) -> Scores:
    """mAP50 and mAP75 from each class's average precision at the IoU thresholds 0.50, 0.55, ... 0.95.

    A class without an object in the ground truth is named, and left out of the means or in them as 0 as the
    protocol says. With one class (LLVIP) mAP is that class's AP, as Table 2 calls it.

    Args:
        average_precision: class id to the ten values, as the engine gives them.
        objects: ground-truth objects per class.
        classes: names of all classes.
        dataset, source, seed, images: of the run.
        protocol, fold: name of the protocol, and the fold that was scored where it has folds.
    """
    nothing = [math.nan] * 10
    per_class = []
    for index, (name, count) in enumerate(zip(classes, objects, strict=True)):
        ap = [float(v) for v in average_precision.get(index, [0.0] * 10)] if count else nothing
        values = {"AP50": ap[0], "AP75": ap[5], "AP50-95": float(np.mean(ap))}
        per_class.append(ClassScores(name, int(count), values))
    means = _means("detection", _counted(per_class, None, PROTOCOLS[protocol].absent))
    return Scores(
        "detection", dataset, source, seed, images, means, tuple(per_class), protocol=protocol, fold=fold
    )


def summary_rows(runs: Iterable[Scores]) -> list[tuple[str, ...]]:
    """Per source: its name, the number of seeds, and mean and sample deviation of every score, in percent."""
    by_source: dict[str, list[Scores]] = {}
    for run in runs:
        by_source.setdefault(run.source, []).append(run)
    rows = []
    for source, group in by_source.items():
        cells = []
        for score in group[0].values:
            values = [100 * run.values[score] for run in group]
            spread = f" ± {np.std(values, ddof=1):.1f}" if len(values) > 1 else ""
            cells.append(f"{np.mean(values):.1f}{spread}")
        rows.append((source, str(len(group)), *cells))
    return rows


def _counted(classes: Iterable[ClassScores], left_out: str | None, absent: str) -> list[ClassScores]:
    """The classes that a mean runs over."""
    return [c for c in classes if c.name != left_out and (c.count or absent == "zero")]


def _means(task: str, counted: Sequence[ClassScores]) -> dict[str, float]:
    """Means over these classes; one that the ground truth does not have counts as 0."""
    return {
        f"m{score}": float(np.mean([c.values[score] if c.count else 0.0 for c in counted]))
        if any(c.count for c in counted)
        else math.nan
        for score in _CLASS_SCORES[task]
    }


def _without_nan(values: Mapping[str, float]) -> dict[str, float | None]:
    return {s: None if math.isnan(v) else v for s, v in values.items()}


def _with_nan(values: Mapping[str, Any]) -> dict[str, float]:
    return {s: math.nan if v is None else v for s, v in values.items()}


def _percent(value: float) -> str:
    return "-" if math.isnan(value) else f"{100 * value:.2f}"
