"""The exercises of the book: on every page of Sections 3 and 4, numbered, each with a solution to open on a click."""

from __future__ import annotations

import re
from pathlib import Path

import jupytext
import nbformat
import pytest
from conftest import ROOT

PAGES = {  # page -> the section of the paper that its exercises are numbered by
    "read_31_overview": "3.1",
    "read_32_loss": "3.2",
    "read_33_partition": "3.3",
    "read_34_meta": "3.4",
    "read_35_fusion_learning": "3.5",
    "read_36_networks": "3.6",
    "read_37_theory": "3.7",
    "read_41_data": "4.1",
    "read_42_table1": "4.2",
    "read_43_downstream": "4.3",
    "read_44_weights": "4.4",
    "read_45_ablations": "4.5",
}
HEADING = re.compile(r"^### Exercise (\d\.\d)-(\d+): \S.*$", re.MULTILINE)
DROPDOWN = re.compile(r"^:::\{dropdown\} Solution\n(.+?)\n:::$", re.MULTILINE | re.DOTALL)

Cell = nbformat.NotebookNode


def exercises(cells: list[Cell]) -> list[tuple[str, list[Cell]]]:
    """Every exercise of a page as its number and its cells: the text from its heading on, and the code below."""
    found: list[tuple[str, list[Cell]]] = []
    for cell in cells:
        headings = list(HEADING.finditer(cell.source)) if cell.cell_type == "markdown" else []
        ends = [heading.start() for heading in headings[1:]] + [len(cell.source)]
        for heading, end in zip(headings, ends):
            text = nbformat.v4.new_markdown_cell(cell.source[heading.start() : end])
            found.append((f"{heading[1]}-{heading[2]}", [text]))
        if not headings and found:
            found[-1][1].append(cell)
    return found


def hidden(cell: Cell) -> bool:
    return cell.cell_type == "code" and "hide-cell" in cell.metadata.get("tags", [])


def checked(cell: Cell) -> bool:
    return hidden(cell) and "nbval-check-output" in cell.metadata["tags"]


def faults(cells: list[Cell], section: str) -> list[str]:
    """What a page's exercises lack."""
    numbered = exercises(cells)
    found = [] if len(numbered) >= 3 else [f"{len(numbered)} exercises"]
    expected = [f"{section}-{i}" for i in range(1, len(numbered) + 1)]
    if [number for number, _ in numbered] != expected:
        found.append(f"numbered {[number for number, _ in numbered]}")
    for number, (text, *code) in numbered:
        if not DROPDOWN.search(text.source) and not any(map(hidden, code)):
            found.append(f"{number}: no solution")
        if not DROPDOWN.sub("", text.source).partition("\n")[2].strip():
            found.append(f"{number}: no question")
        if any(cell.cell_type == "code" and not hidden(cell) for cell in code):
            found.append(f"{number}: its solution is open to be seen")
    if not any(checked(cell) for _, (_, *code) in numbered for cell in code):
        found.append("no solution with a checked cell")
    return found


def cells_of(page: str) -> list[Cell]:
    return jupytext.read(ROOT / "notebooks" / f"{page}.py").cells


@pytest.mark.parametrize("page", PAGES)
def test_a_page_has_numbered_exercises_with_solutions(page: str) -> None:
    assert faults(cells_of(page), PAGES[page]) == []


@pytest.mark.parametrize("page", PAGES)
def test_the_exercises_are_the_last_section_of_their_page(page: str) -> None:
    text = "\n".join(cell.source for cell in cells_of(page) if cell.cell_type == "markdown")
    assert re.findall(r"^## .+$", text, re.MULTILINE)[-1] == "## Exercises"


@pytest.mark.parametrize("page", PAGES)
def test_a_checked_solution_has_an_output_to_be_checked_against(page: str) -> None:
    notebook = nbformat.read(ROOT / "notebooks" / f"{page}.ipynb", as_version=4)
    for number, (_, *code) in exercises(notebook.cells):
        for cell in filter(checked, code):
            assert any("text" in output for output in cell.outputs), f"{number} prints nothing"


@pytest.mark.parametrize("page", sorted((ROOT / "notebooks").glob("read_*.py")), ids=lambda path: path.stem)
def test_an_exercise_that_a_text_names_exists(page: Path) -> None:
    """As "exercise 3.7-1 of {doc}`read_37_theory`"."""
    for section, number in re.findall(r"\bexercise (\d\.\d)-(\d+)", page.read_text(encoding="utf-8")):
        there = next(name for name, of in PAGES.items() if of == section)
        assert f"{section}-{number}" in dict(exercises(cells_of(there))), f"exercise {section}-{number}"


def test_what_is_wrong_would_be_found() -> None:
    text, code = nbformat.v4.new_markdown_cell, nbformat.v4.new_code_cell
    solution = ":::{dropdown} Solution\nBecause.\n:::"
    hide, check = (
        {"metadata": {"tags": tags}} for tags in (["hide-cell"], ["hide-cell", "nbval-check-output"])
    )
    good = [
        text(f"## Exercises\n\n### Exercise 3.1-1: A\n\nWhy?\n\n{solution}"),
        code("1 + 1", **check),
        text(f"### Exercise 3.1-2: B\n\nHow?\n\n{solution}\n\n### Exercise 3.1-3: C\n\nWhen?"),
        code("print()", **hide),
    ]
    assert faults(good, "3.1") == []
    assert faults(good, "3.2") == ["numbered ['3.1-1', '3.1-2', '3.1-3']"]
    assert faults(good[:2], "3.1") == ["1 exercises"]
    assert faults(good[:3], "3.1") == ["3.1-3: no solution"]
    assert faults([*good, code("open")], "3.1") == ["3.1-3: its solution is open to be seen"]
    assert faults([good[0], code("1", **hide), *good[2:]], "3.1") == ["no solution with a checked cell"]
    silent = text(f"### Exercise 3.1-1: A\n\n{solution}")
    assert faults([silent, *good[1:]], "3.1") == ["3.1-1: no question"]
