"""Ours beside theirs: scores of evaluated folders under the rows of the paper, and what differs between them."""

from __future__ import annotations

from collections.abc import Sequence

from tdfusion.errors import InputError
from tdfusion.evaluate.scores import Evaluation
from tdfusion.evaluate.tables import summary_cells
from tdfusion.metrics import METRICS
from tdfusion.results.paper import PaperTable, format_table, paper_table

_FUSION_TABLES = (1, 3)  # Table 2 holds scores of task networks


def compare(evaluations: Sequence[Evaluation], *, dataset: str | None = None, table: int = 1) -> str:
    """A Markdown table per data set: the paper's rows, then ours, then a caption of what differs.

    Rows of ours that repeat (the baselines of several methods on the same pairs) are shown once. For data that the
    paper has no row of, its own method's rows on all its data sets are shown, and the caption says so.

    Args:
        evaluations: from `evaluate_folder` or `Evaluation.read`.
        dataset: name of the data, for evaluations that carry none.
        table: 1, or 3 for the ablations on FMB.

    Raises:
        InputError: nothing to compare, or a table without fusion metrics.
    """
    if table not in _FUSION_TABLES:
        raise InputError(
            f"Table {table} has no fusion metrics; choose {' or '.join(map(str, _FUSION_TABLES))}"
        )
    if not evaluations:
        raise InputError("nothing to compare; give at least one evaluation")
    paper = paper_table(table)
    by_dataset: dict[str, list[Evaluation]] = {}
    for evaluation in evaluations:
        by_dataset.setdefault(evaluation.dataset or dataset or "", []).append(evaluation)
    return "\n\n".join(_one_dataset(paper, name, group) for name, group in by_dataset.items())


def _one_dataset(paper: PaperTable, dataset: str, evaluations: Sequence[Evaluation]) -> str:
    rows = [*_paper_rows(paper, dataset), *_our_rows(evaluations)]
    header = ("", *METRICS, "images")
    return "\n\n".join([format_table(header, rows), " ".join(_caption(paper, dataset, evaluations))])


def _paper_rows(paper: PaperTable, dataset: str) -> list[tuple[str, ...]]:
    known = paper.of(dataset)
    rows = known or [row for row in paper.rows if "TDFusion" in (row.get("method"), row.get("configuration"))]
    return [
        (
            f"paper: {_row_name(row)}" + ("" if known else f" on {row['dataset']}"),
            *(f"{row[metric]:.2f}" for metric in METRICS),
            str(paper.images[str(row["dataset"])]),
        )
        for row in rows
    ]


def _row_name(row: dict[str, str | float]) -> str:
    return str(row["method"]) if "method" in row else f"{row['experiment']} ({row['configuration']})"


def _our_rows(evaluations: Sequence[Evaluation]) -> list[tuple[str, ...]]:
    rows: dict[tuple[str, ...], None] = {}  # a dictionary keeps the order and drops repetitions
    for evaluation in evaluations:
        for summary in evaluation.summaries():
            label, *cells = summary_cells(summary, METRICS)
            other = "" if evaluation.convention.name == "paper" else f" [{evaluation.convention.name}]"
            rows[(f"ours: {label}{other}", *cells)] = None
    return list(rows)


def _caption(paper: PaperTable, dataset: str, evaluations: Sequence[Evaluation]) -> list[str]:
    sentences = [f"Paper: {paper.citation}, Table {paper.number}; {paper.scale}."]
    if dataset not in paper.images:
        named = f'"{dataset}"' if dataset else "data without a name (--dataset gives one)"
        sentences.append(
            f"Ours: {named}, of which Table {paper.number} has no row, so the paper's rows show only the scale of "
            "the values: the data decide more than the method."
        )
    for count in sorted({evaluation.summary().images for evaluation in evaluations}):
        full = paper.images.get(dataset)
        if full and count != full:
            sentences.append(
                f"Ours: {count} images of {dataset}, the paper's rows {full}: not the same set, and subsets (day and "
                "night above all) can differ by more than methods do."
            )
        elif full:
            sentences.append(f"Ours: {count} images of {dataset}, as many as the paper.")
    if any(evaluation.groups for evaluation in evaluations):
        sentences.append("Rows of a group are a part of the images, and no published row is of that part.")
    for name, settings in {e.convention.name: e.convention.differences(METRICS) for e in evaluations}.items():
        if settings:
            listed = ", ".join(
                f"{setting} {here} (paper: {there})" for setting, (there, here) in settings.items()
            )
            sentences.append(f"[{name}] is not the paper's definition: {listed}.")
    undefined = [
        f"{metric} of {summary.method} for {summary.left_out[metric]} of {summary.images} images"
        for evaluation in evaluations
        for summary in evaluation.summaries()
        for metric in METRICS
        if summary.left_out.get(metric) and not summary.group
    ]
    if undefined:
        sentences.append(f"0/0 and left out of the mean: {', '.join(dict.fromkeys(undefined))}.")
    sentences.append(
        "Ours are scored as they were saved; whether each was stretched to the full range first changes SF, SCD and "
        "Qabf. Spread is the standard deviation over images; the paper gives none."
    )
    return sentences
