"""The paper's tables as data with their source, and tables of numbers as text."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tdfusion.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

_PAPER = Path(__file__).with_name("paper_tables")


@dataclass(frozen=True)
class PaperTable:
    """One of the paper's tables.

    Attributes:
        number: 1, 2 or 3.
        caption: the paper's, shortened.
        citation: of the paper.
        scale: on what data and how the numbers were made.
        metrics: the columns with numbers, for Table 2 the values of the column "score".
        images: data set to the number of images behind each number.
        rows: column name to text or number, in the paper's order.
    """

    number: int
    caption: str
    citation: str
    scale: str
    metrics: tuple[str, ...]
    images: dict[str, int]
    rows: tuple[dict[str, str | float], ...]

    def of(self, dataset: str) -> list[dict[str, str | float]]:
        """The rows of one data set; empty if the paper has none."""
        return [row for row in self.rows if row["dataset"] == dataset]


def paper_table(number: int) -> PaperTable:
    """Table 1 (fusion metrics), 2 (downstream tasks, one row per score) or 3 (ablations) of the paper.

    Raises:
        InputError: no such table.

    Example:
        >>> ours = [row for row in paper_table(2).of("MSRS") if row["method"] == "TDFusion"]
        >>> {row["score"]: row["value"] for row in ours}
        {'mAcc': 86.04, 'mIoU': 75.09}
    """
    sources = json.loads((_PAPER / "sources.json").read_text())
    if str(number) not in sources["tables"]:
        raise InputError(f"the paper has no Table {number}; choose {', '.join(sources['tables'])}")
    about = sources["tables"][str(number)]
    numeric = {*about["metrics"], "value"}
    with (_PAPER / f"table{number}.csv").open(newline="") as stream:
        rows = tuple(
            {column: float(cell) if column in numeric else cell for column, cell in row.items()}
            for row in csv.DictReader(stream)
        )
    return PaperTable(
        number=number,
        caption=about["caption"],
        citation=sources["citation"],
        scale=about["scale"],
        metrics=tuple(about["metrics"]),
        images=about["images"],
        rows=rows,
    )


def format_table(header: Sequence[str], rows: Iterable[Sequence[str]], numbers: bool = True) -> str:
    """A Markdown table with aligned columns; every column but the first is set to the right.

    Args:
        header: a title per column.
        rows: as many cells each.
        numbers: False sets all columns to the left, for text.

    Example:
        >>> print(format_table(("method", "VIF"), [("mean", "0.61"), ("ours", "1.02")]))
        | method |  VIF |
        |--------|-----:|
        | mean   | 0.61 |
        | ours   | 1.02 |
    """
    cells = [tuple(header), *(tuple(row) for row in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
    lines = [
        "| "
        + " | ".join(c.rjust(w) if i and numbers else c.ljust(w) for i, (c, w) in enumerate(zip(row, widths)))
        + " |"
        for row in cells
    ]
    rule = "|" + "|".join("-" * (w + 1) + (":" if i and numbers else "-") for i, w in enumerate(widths)) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])


def format_frame(frame: pd.DataFrame, corner: str = "", missing: str = "") -> str:
    """A frame as a Markdown table: its index, then its columns, numbers as they are told to look.

    Args:
        frame: cells are texts, or numbers already formatted by ``frame.map``.
        corner: title above the index.
        missing: what stands for NaN.
    """
    text = frame.astype(object).where(frame.notna(), missing)
    rows = [(str(name), *map(str, cells)) for name, cells in zip(text.index, text.to_numpy())]
    return format_table((corner, *map(str, frame.columns)), rows)
