"""The sizes that the README names are those that were measured, and a closure has what it needs."""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError

import pytest
from conftest import ROOT

from benchmarks.install_sizes import closure, megabytes
from tdfusion import results

README = (ROOT / "README.md").read_text("utf-8")


def near(said: str, measured: float) -> bool:
    """Within a tenth, which is how a README rounds."""
    value, unit = re.fullmatch(r"([\d.]+) (MB|GB)", said).groups()
    return abs(float(value) * {"MB": 1, "GB": 1000}[unit] - measured) <= 0.1 * measured


def test_the_readme_names_the_sizes_that_were_measured() -> None:
    MB = results.load("install_sizes").query("metric == 'MB'").set_index("arm")["value"]
    rows = [line for line in README.splitlines() if line.startswith("|") and re.search(r"\d [MG]B", line)]
    sizes = {row.split("|")[1].strip(): re.findall(r"[\d.]+ [MG]B", row) for row in rows}
    named = {
        "`pip install .`": ["core, beside PyTorch"],
        "`pip install --no-deps .`, `pip install numpy`": ["metrics alone"],
    }
    for row, said in sizes.items():
        extras = re.findall(r"\[\w+\]", row)
        if extras == ["[all]"]:
            assert near(said[0], MB["PyTorch"] + MB["core, beside PyTorch"] + MB["[all]"])
            continue
        assert len(said) == len(extras or named[row])
        assert all(near(one, MB[arm]) for one, arm in zip(said, extras or named[row])), row
    assert len(sizes) == 7 and near(re.search(r"on Linux is ([\d.]+ GB)", README)[1], MB["PyTorch"])


def test_a_closure_has_what_is_needed_and_no_extra_that_was_not_asked_for() -> None:
    core, plots = closure("tdfusion"), closure("tdfusion", frozenset({"plots"}))
    assert {"torch", "numpy", "pydantic-core"} <= set(core) and "matplotlib" not in core
    assert {"matplotlib", "seaborn"} <= set(plots) - set(core)
    assert megabytes({"numpy": core["numpy"]}) > 10 and megabytes({"tdfusion": core["tdfusion"]}) == 0
    with pytest.raises(PackageNotFoundError):
        closure("no-such-distribution")
