"""Scores of fused images: a row per image, means over images, and the files they are kept in."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tdfusion.errors import InputError
from tdfusion.evaluate.tables import Format, format_evaluation
from tdfusion.files import write_text
from tdfusion.metrics import CONVENTIONS, METRICS, TABLE, Convention, resolve

BASELINES = ("infrared", "visible", "mean", "max")

_FORMAT = "tdfusion-evaluation-1"
_CSV_COLUMNS = ("dataset", "convention", "method", "image", "group")


@dataclass(frozen=True)
class Row:
    """The metrics of one image by one method.

    Attributes:
        method: whose fused image.
        image: file stem.
        group: label such as "D" or "N"; empty without groups.
        values: metric to value, NaN where it is 0/0.
        undefined: metric to the reason, where it is NaN.
    """

    method: str
    image: str
    group: str
    values: dict[str, float]
    undefined: dict[str, str] = dataclasses.field(default_factory=dict)


@dataclass(frozen=True)
class Summary:
    """One method over some images. A metric that is 0/0 on an image is left out of its mean, and counted.

    Attributes:
        method: whose fused images.
        group: which images; empty for all.
        images: how many.
        mean: metric to mean; NaN if it is defined on no image.
        sd: metric to sample standard deviation over images; NaN for fewer than two.
        left_out: metric to the number of images where it is 0/0.
    """

    method: str
    group: str
    images: int
    mean: dict[str, float]
    sd: dict[str, float]
    left_out: dict[str, int]


@dataclass(frozen=True)
class Evaluation:
    """Scores of one or more methods on the same pairs; where one method is asked for, it is the last.

    Attributes:
        rows: one per method and image.
        convention: how the metrics are defined.
        dataset: name of the data, as in the paper's tables; may be empty.
    """

    rows: tuple[Row, ...]
    convention: Convention
    dataset: str = ""

    @property
    def methods(self) -> tuple[str, ...]:
        """Method names in order: the baselines, then what was evaluated."""
        return tuple(dict.fromkeys(row.method for row in self.rows))

    @property
    def evaluated(self) -> tuple[str, ...]:
        """The methods that are no baseline."""
        return tuple(method for method in self.methods if method not in BASELINES)

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics that were measured; the six of Table 1 if nothing else was asked for."""
        return tuple(self.rows[0].values) if self.rows else METRICS

    @property
    def groups(self) -> tuple[str, ...]:
        """Group labels in alphabetical order; empty without groups."""
        return tuple(sorted({row.group for row in self.rows if row.group}))

    @property
    def mean(self) -> dict[str, float]:
        """Means of the evaluated method over all images."""
        return self.summary().mean

    @property
    def sd(self) -> dict[str, float]:
        """Standard deviations of the evaluated method over all images."""
        return self.summary().sd

    @property
    def left_out(self) -> dict[str, int]:
        """How many images are in no mean of the evaluated method, per metric."""
        return self.summary().left_out

    def summary(self, method: str | None = None, group: str = "") -> Summary:
        """Mean, standard deviation and number left out, of one method (default: the last), for one group or all.

        Raises:
            InputError: no rows of that method and group.
        """
        method = method or self.methods[-1]
        rows = [row for row in self.rows if row.method == method and (not group or row.group == group)]
        if not rows:
            raise InputError(f'no scores of method "{method}"' + (f' in group "{group}"' if group else ""))
        defined = {m: [row.values[m] for row in rows if not math.isnan(row.values[m])] for m in self.metrics}
        return Summary(
            method=method,
            group=group,
            images=len(rows),
            mean={m: statistics.fmean(v) if v else math.nan for m, v in defined.items()},
            sd={m: statistics.stdev(v) if len(v) > 1 else math.nan for m, v in defined.items()},
            left_out={m: len(rows) - len(v) for m, v in defined.items()},
        )

    def summaries(self) -> list[Summary]:
        """Of every method over all images, then per group."""
        return [self.summary(method, group) for group in ("", *self.groups) for method in self.methods]

    def table(self, format: Format = "markdown", against: str | None = None, block: int = 1) -> str:
        """Means and standard deviations, paired differences, and what was left out; see ``format_evaluation``."""
        return format_evaluation(self, format, against, block)

    def to_csv(self, path: str | Path) -> None:
        """Write a row per method and image, whole or not at all; undefined values are empty cells."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow((*_CSV_COLUMNS, *self.metrics))
        for row in self.rows:
            values = ("" if math.isnan(row.values[m]) else repr(row.values[m]) for m in self.metrics)
            writer.writerow((self.dataset, self.convention.name, row.method, row.image, row.group, *values))
        write_text(Path(path), text.getvalue())

    def to_json(self, path: str | Path, provenance: Mapping[str, Any] | None = None) -> None:
        """Write rows, summaries and settings, whole or not at all; undefined values are null."""
        content = {
            "format": _FORMAT,
            "dataset": self.dataset,
            "convention": dataclasses.asdict(self.convention),
            "summaries": [dataclasses.asdict(s) for s in self.summaries()],
            "rows": [dataclasses.asdict(row) for row in self.rows],
            "provenance": dict(provenance or {}),
        }
        write_text(Path(path), json.dumps(_nan_to_none(content), indent=1, allow_nan=False) + "\n")

    @classmethod
    def read(cls, path: str | Path) -> Evaluation:
        """Read what `to_json` or `to_csv` wrote, or a run folder that holds metrics.json or metrics.csv.

        Raises:
            InputError: nothing there, or not such a file.
        """
        path = Path(path)
        if path.is_dir():
            found = [path / name for name in ("metrics.json", "metrics.csv") if (path / name).is_file()]
            if not found:
                raise InputError(f"{path}: no metrics.json or metrics.csv in it; run tdfusion evaluate first")
            path = found[0]
        if not path.is_file():
            raise InputError(f"{path}: no such file or folder")
        try:
            text = path.read_text()
            return _from_csv(text) if path.suffix.lower() == ".csv" else _from_json(text)
        except InputError as error:
            raise InputError(f"{path}: {error}") from error
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"{path}: cannot be read as scores of tdfusion evaluate ({error!r})") from error


def _from_json(text: str) -> Evaluation:
    content = json.loads(text)
    if content.get("format") != _FORMAT:
        raise InputError(f'its format is "{content.get("format")}", expected "{_FORMAT}"')
    metrics = [m for m in TABLE if m in content["rows"][0]["values"]] if content["rows"] else []
    rows = []
    for row in content["rows"]:
        values = {m: math.nan if row["values"][m] is None else row["values"][m] for m in metrics}
        rows.append(Row(**row | {"values": values}))
    return Evaluation(tuple(rows), Convention(**content["convention"]), content["dataset"])


def _from_csv(text: str) -> Evaluation:
    entries = list(csv.DictReader(io.StringIO(text)))
    metrics = [m for m in TABLE if entries and m in entries[0]]
    if not metrics or not set(_CSV_COLUMNS) <= set(entries[0]):
        raise InputError(f"it has no rows, or not the columns {', '.join(_CSV_COLUMNS)} and those of metrics")
    name = entries[0]["convention"]
    if name not in CONVENTIONS:
        raise InputError(f'its convention "{name}" is not a named one; compare the JSON file instead')
    rows = []
    for entry in entries:
        values = {m: float(entry[m]) if entry[m] else math.nan for m in metrics}
        undefined = {m: "0/0" for m, value in values.items() if math.isnan(value)}
        rows.append(Row(entry["method"], entry["image"], entry["group"], values, undefined))
    return Evaluation(tuple(rows), resolve(name), entries[0]["dataset"])


def _nan_to_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _nan_to_none(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_nan_to_none(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value
