"""Tables of scores to read, to print and to paste: aligned text, Markdown, LaTeX, CSV."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, get_args

from tdfusion.errors import InputError
from tdfusion.evaluate.paired import Difference, differences
from tdfusion.metrics import TABLE
from tdfusion.results.paper import format_table

if TYPE_CHECKING:
    from tdfusion.evaluate.scores import Evaluation, Summary

Format = Literal["text", "markdown", "latex", "csv"]

_BEST = {"text": "{}*", "markdown": "**{}**", "latex": r"\textbf{{{}}}"}
_LATEX = {c: f"\\{c}" for c in "&%$#_{}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "−": "$-$",
}
_MINUS = re.compile(r"-(?=\d)")  # in text, LaTeX sets it as a hyphen


def format_evaluation(
    evaluation: Evaluation, format: Format = "markdown", against: str | None = None, block: int = 1
) -> str:
    """Means and standard deviations over images, a row per method and group, as text.

    With several methods, or with ``against``, a row below each method holds its mean difference to the first
    one, or to ``against``, over the same images, with a 95 % interval (see `differences`), and the best mean of
    the methods is marked: baselines are there to be measured by and take no part. Lines below the table say how
    to read it and what was left out.

    Args:
        evaluation: of one or more methods.
        format: "text" (columns of spaces), "markdown", "latex" (a tabular with booktabs' rules; lines below are
            comments), or "csv": a row per method, group and metric, with every digit and no lines below.
        against: method or baseline that the differences are to.
        block: frames of a sequence that count as one draw in an interval (see `differences`).

    Raises:
        InputError: no such format; no scores of ``against``; fewer images than a block.
    """
    if format not in get_args(Format):
        raise InputError(f'no format "{format}"; choose {", ".join(get_args(Format))}')
    apart = differences(evaluation, against, block=block)
    if format == "csv":
        return _csv(evaluation, apart)
    best = _best(evaluation)
    rows = []
    for summary in evaluation.summaries():
        label, *cells = summary_cells(summary, evaluation.metrics)
        bold = best.get(summary.group, {})
        for k, metric in enumerate(evaluation.metrics):
            if summary.method in bold.get(metric, ()):
                cells[k] = f"\0{cells[k]}"  # a mark, until the format is known
        rows.append((label, *cells))
        own = [d for d in apart if (d.method, d.group) == (summary.method, summary.group)]
        if own:
            rows.append((_label(summary, minus=own[0].against), *map(_difference_cell, own), ""))
    header = ("method", *evaluation.metrics, "images")
    notes = _notes(evaluation, apart, any(best.values()), block)
    return _layout(format, header, rows, notes)


def summary_cells(summary: Summary, metrics: Sequence[str]) -> tuple[str, ...]:
    """A table row: label, mean and standard deviation per metric, number of images."""
    cells = []
    for metric in metrics:
        mean, sd = summary.mean.get(metric), summary.sd.get(metric)
        if mean is None:
            cells.append("")  # was not measured
            continue
        spread = "" if math.isnan(sd) else f" ± {sd:.3f}"
        cells.append("0/0" if math.isnan(mean) else f"{mean:.3f}{spread}")
    return (_label(summary), *cells, str(summary.images))


def _label(summary: Summary, minus: str = "") -> str:
    what = f"{summary.method} − {minus}" if minus else summary.method
    return f"{what}, {summary.group}" if summary.group else what


def _best(evaluation: Evaluation) -> dict[str, dict[str, set[str]]]:
    """Group to metric to the methods with the best mean, to the digits that are shown."""
    if len(evaluation.evaluated) < 2:
        return {}
    found: dict[str, dict[str, set[str]]] = {}
    for group in ("", *evaluation.groups):
        means = {method: evaluation.summary(method, group).mean for method in evaluation.evaluated}
        for metric in evaluation.metrics:
            sign = 1 if TABLE[metric].higher_is_better else -1
            shown = {m: sign * round(v[metric], 3) for m, v in means.items() if not math.isnan(v[metric])}
            found.setdefault(group, {})[metric] = {m for m, v in shown.items() if v == max(shown.values())}
    return found


def _difference_cell(difference: Difference) -> str:
    if math.isnan(difference.mean):
        return "0/0"
    if math.isnan(difference.low):
        return f"{difference.mean:+.3f}"
    return f"{difference.mean:+.3f} [{difference.low:+.3f}, {difference.high:+.3f}]"


def _notes(evaluation: Evaluation, apart: Sequence[Difference], marked: bool, block: int) -> list[str]:
    lines = []
    if apart:
        draws = f", blocks of {block} frames as single draws" if block > 1 else ""
        lines.append(
            f"− {apart[0].against}: mean difference on the same images, in brackets its 95 % interval (paired, "
            f"Student's t{draws})."
        )
    if marked:
        lowest = ", ".join(m for m in evaluation.metrics if not TABLE[m].higher_is_better)
        which = f"; of {lowest} the lowest" if lowest else ""
        lines.append(f"Marked: the best mean of the methods{which}; baselines take no part.")
    summaries = evaluation.summaries()
    lines += [
        f"{_label(s)}: {metric} is 0/0 on {count} of {s.images} images, which are left out of its mean."
        for s in summaries
        for metric, count in s.left_out.items()
        if count and (not s.group or count < s.images)  # a group without any value shows 0/0
    ]
    return lines


def _layout(format: Format, header: Sequence[str], rows: Sequence[Sequence[str]], notes: list[str]) -> str:
    def shown(cell: str) -> str:
        text = cell.removeprefix("\0")
        if format == "latex":
            text = "".join(_LATEX.get(character, character) for character in text)
        return _BEST[format].format(text) if cell.startswith("\0") else text

    cells = [[shown(cell) for cell in row] for row in rows]
    if format == "latex":
        cells = [[row[0], *(_MINUS.sub("$-$", cell) for cell in row[1:])] for row in cells]
    if format == "markdown":
        # Without an empty line, Markdown would take the notes for rows.
        return "\n".join([format_table(header, cells), *([""] if notes else []), *notes])
    widths = [max(len(row[k]) for row in [header, *cells]) for k in range(len(header))]
    lines = [
        [cell.rjust(width) if k else cell.ljust(width) for k, (cell, width) in enumerate(zip(row, widths))]
        for row in [header, *cells]
    ]
    if format == "text":
        return "\n".join(["  ".join(line).rstrip() for line in lines] + ([""] if notes else []) + notes)
    body = [" & ".join(line) + r" \\" for line in lines]
    columns = "l" + "r" * (len(header) - 1)
    return "\n".join(
        [
            rf"\begin{{tabular}}{{{columns}}}",
            r"\toprule",
            body[0],
            r"\midrule",
            *body[1:],
            r"\bottomrule",
            r"\end{tabular}",
            *(f"% {note}" for note in notes),
        ]
    )


def _csv(evaluation: Evaluation, apart: Sequence[Difference]) -> str:
    by_row = {(d.method, d.group, d.metric): d for d in apart}
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    about = ("dataset", "convention", "method", "group", "metric", "images", "left_out", "mean", "sd")
    writer.writerow((*about, "against", "pairs", "difference", "low", "high"))
    for s in evaluation.summaries():
        for metric in evaluation.metrics:
            row = [evaluation.dataset, evaluation.convention.name, s.method, s.group, metric, s.images]
            row += [s.left_out[metric], s.mean[metric], s.sd[metric]]
            d = by_row.get((s.method, s.group, metric))
            row += [d.against, d.pairs, d.mean, d.low, d.high] if d else [""] * 5
            writer.writerow("" if isinstance(cell, float) and math.isnan(cell) else cell for cell in row)
    return text.getvalue().rstrip("\n")
