"""The trial of mystmd: the project file says what ours says, and what it reports is counted by kind."""

from __future__ import annotations

import yaml
from conftest import ROOT
from test_book import toc_files
from try_mystmd import kinds, project, unsaid

LOG = """
⚠️  notebooks/a.ipynb Usage of the {doc} role is not recommended, use a markdown link to the file instead.
\x1b[33m⚠️  book/b.md:17:3 Cross reference target was not found: fig-a\x1b[0m
⚠️  book/b.md:19 Cross reference target was not found: fig-b
   and a line that explains it
⛔️ book/use/api.md:8 unknown directive: eval-rst
⛔️ book/b.md:9:62 unknown role: py:func
⛔️ book/b.md:10 unknown role: py:class
⚠️  book/b.md:17 Linking "here" to an implicit heading reference, best practice is to create an explicit reference.
📖 Built book/b.md in 1 s.
"""


def test_the_project_file_has_the_contents_the_macros_and_the_references() -> None:
    toc, config = (yaml.safe_load((ROOT / name).read_text()) for name in ("_toc.yml", "_config.yml"))
    made = project(toc, config, ROOT)["project"]
    first, *parts = made["toc"]
    files = [first["file"], *(page["file"] for part in parts for page in part["children"])]
    assert [name.rpartition(".")[0] for name in files] == toc_files()
    assert all((ROOT / name).is_file() for name in [*files, *made["bibliography"]])
    assert [part["title"] for part in parts] == ["Read", "Reproduce", "Use"]
    assert (
        made["math"]["\\Lf"] == r"\mathcal{L}_f"
        and made["math"]["\\pd"] == r"\frac{\partial #1}{\partial #2}"
    )


def test_what_it_says_is_counted_by_kind() -> None:
    assert kinds(LOG) == {
        (
            "warning",
            "Usage of the {doc} role is not recommended, use a markdown link to the file instead.",
        ): 1,
        ("warning", "Cross reference target was not found"): 2,
        ("error", "unknown directive: eval-rst"): 1,
        ("error", "unknown role: py:func"): 1,
        ("error", "unknown role: py:class"): 1,
        (
            "warning",
            "Linking … to an implicit heading reference, best practice is to create an explicit reference.",
        ): 1,
    }


def test_what_it_does_not_say_is_counted_too() -> None:
    equations = [{"type": "math", "label": label, "enumerator": "2"} for label in ("eq-2", "eq-7", "eq-B2")]
    page = {"mdast": {"children": [*equations, {"type": "math"}, {"type": "caption"}]}}
    notebook = {"cells": [{"metadata": {"mystnb": {"figure": {"caption": "x"}}}}, {"metadata": {}}]}
    assert list(unsaid([page], [notebook]).values()) == ["2 of 3", "1; 1"]
