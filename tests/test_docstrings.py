"""The examples in the library's docstrings give what they say."""

from __future__ import annotations

import doctest
import importlib

import pytest
from conftest import ROOT

FILES = [f.relative_to(ROOT) for f in sorted(ROOT.glob("tdfusion/**/*.py")) if ">>> " in f.read_text("utf-8")]


@pytest.mark.parametrize("file", FILES, ids=str)
def test_examples_give_what_they_say(file) -> None:
    module = importlib.import_module(".".join(file.with_suffix("").parts).removesuffix(".__init__"))
    found = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    assert found.attempted and not found.failed  # what differs is in the captured output


def test_the_main_functions_have_one() -> None:
    assert {"config", "fusing", "models", "readers", "scenes"} <= {file.stem for file in FILES}
