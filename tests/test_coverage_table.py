"""The coverage table names only pages, code and tests that exist, and every item of the paper."""

from __future__ import annotations

import csv
import re

import pytest
from conftest import ROOT
from libsource import locate

ROWS = list(csv.DictReader((ROOT / "book" / "reproduce" / "coverage.csv").open()))
ITEMS = [
    *(f"Eq. ({n})" for n in range(1, 12)),
    *(f"Fig. {n}" for n in range(1, 6)),
    *(f"Table {n}" for n in range(1, 4)),
    "Alg. 1",
    *(
        "Sec. " + s
        for s in [
            "1",
            "2",
            "3.1",
            "3.2",
            "3.3",
            "3.4",
            "3.5",
            "3.6",
            "3.7",
            "4.1",
            "4.2",
            "4.3",
            "4.4",
            "4.5",
            "5",
        ]
    ),
]
PAGE = (ROOT / "book" / "reproduce" / "coverage.md").read_text("utf-8")
PROSE = ("Sec. 1", "Sec. 2", "Sec. 5")  # sections without anything to compute


def test_every_item_of_the_paper_has_one_row() -> None:
    assert sorted(row["Item"] for row in ROWS) == sorted(ITEMS)


def test_the_page_begins_with_what_the_table_says() -> None:
    """A row whose state changes changes the answer above the table, too."""
    state = {row["Item"]: row["State"] for row in ROWS}
    computed = {
        state[item] for item in state if item.startswith(("Eq.", "Alg.", "Sec.")) and item not in PROSE
    }
    assert computed == {"run"} and {state[item] for item in PROSE} == {"text"}
    assert {state[f"Fig. {n}"] for n in range(2, 6)} == {"layout only"}
    assert {state[f"Table {n}"] for n in range(1, 4)} == {"missing"}
    answer = " ".join(PAGE.split("\n\n")[1].split())
    for said in (
        "Every equation of the paper, Algorithm 1 and every section with something to compute run here",
        "Figs. 2 to 5 are laid out with images of ours",
        "no number of ours stands for a row of Tables 1 to 3",
    ):
        assert said in answer


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["Item"])
def test_what_a_row_names_exists(row: dict[str, str]) -> None:
    if row["Page"]:
        assert re.fullmatch(r"(\{doc\}`/[^`]+`(, )?)+", row["Page"])
        for page in re.findall(r"`/([^`]+)`", row["Page"]):
            assert page in (ROOT / "_toc.yml").read_text(), f"{page} is not in the book"
            assert any((ROOT / f"{page}{suffix}").exists() for suffix in (".ipynb", ".md"))
    code = row["Code"]
    if code.endswith(".py"):
        assert (ROOT / code).exists()
    elif code:
        assert locate(ROOT, code)
    if row["Test"]:
        assert (ROOT / row["Test"]).exists()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["Item"])
def test_a_state_says_no_more_than_its_row_holds(row: dict[str, str]) -> None:
    state, kind = row["State"], row["Item"].partition(" ")[0]
    assert f"- **{state}**:" in (ROOT / "book" / "reproduce" / "coverage.md").read_text()
    assert (state == "text") == (row["Item"] in PROSE)
    if state != "text":
        assert row["Page"] and row["Code"] and (row["Test"] or row["Code"].startswith("book/tools/"))
    if state == "layout only":
        assert kind == "Fig."
    if state == "missing":
        assert re.search(r"\bno\b.*\breproduced\b", row["What"])
    if kind in ("Eq.", "Alg."):
        assert state == "run"
