"""The order of the house: imports flow one way, nothing happens at import, notebooks check their parameters."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

from tdfusion.errors import InputError
from tdfusion.runs.parameters import check_parameters

# Each row may import from rows above it, and from its own.
ORDER = [
    ["errors"],
    ["settings"],
    ["extras", "files", "intervals"],
    ["data"],
    ["config"],
    ["weights"],
    ["pretrained"],
    ["models", "tasks"],
    ["losses", "jacobian"],
    ["meta"],
    ["runs", "algorithm"],
    ["batches"],
    ["train"],
    ["metrics", "fusing", "export"],
    ["sequences"],
    ["results"],
    ["evaluate", "downstream"],
    ["figures"],
    ["explorers", "reference"],
    ["commands"],
    ["__main__"],
]
RANK = {name: rank for rank, row in enumerate(ORDER) for name in row}
FILES = sorted((ROOT / "tdfusion").rglob("*.py"))


def part(path: Path) -> str:
    return path.relative_to(ROOT / "tdfusion").parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_flow_one_way(path: Path) -> None:
    if part(path) == "__init__":
        return
    assert part(path) in RANK, f"{part(path)} has no place in the house; add it to ORDER"
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("tdfusion."):
            imported = node.module.split(".")[1]
            assert RANK[imported] <= RANK[part(path)], f"{path.name}:{node.lineno} imports {node.module}"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_no_file_has_grown_into_two_ideas(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 350


def test_importing_the_package_or_asking_for_help_is_light() -> None:
    """No torch, and nothing printed."""
    code = "import sys, tdfusion.commands.main as m; m.build_parser(); print('torch' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (run.stdout, run.stderr) == ("False\n", "")


def test_what_needs_no_torch_does_not_wait_for_it() -> None:
    """Settings and rows of data sets; and SynthRoad draws in NumPy, all but its door for torch."""
    code = """
import sys
import numpy as np
import tdfusion.config, tdfusion.downstream.config, tdfusion.data.splits
from tdfusion.data.synthroad.render import render
seen = render(np.random.default_rng(0), np.random.default_rng(1), "night", (48, 64))
print(seen.ir.shape, 'torch' in sys.modules)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (run.stdout, run.stderr) == ("(48, 64) False\n", "")


def test_check_parameters_accepts_its_own_and_refuses_others() -> None:
    import math

    check_parameters(
        {"seed": 1, "math": math, "TinyClass": Path, "_i": "x", "In": [], "Out": {}}, "seed", "preset"
    )
    with pytest.raises(InputError, match='unknown parameter "sede"; did you mean "seed"'):
        check_parameters({"sede": 1}, "seed", "preset")


def papermill(tmp_path: Path, *parameters: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "papermill", "--no-progress-bar", "-k", "python3"]
    command += [str(ROOT / "notebooks" / "tour.ipynb"), str(tmp_path / "out.ipynb"), *parameters]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_papermill_with_an_unknown_parameter_fails_before_training(tmp_path) -> None:
    run = papermill(tmp_path, "-p", "presett", "smoke")
    assert run.returncode != 0
    assert 'unknown parameter "presett"; did you mean "preset"' in run.stderr


@pytest.mark.slow
def test_papermill_runs_the_tour_and_leaves_a_run_folder(tmp_path) -> None:
    run = papermill(tmp_path, "-p", "seed", "3", "-p", "out", str(tmp_path / "run"))
    assert run.returncode == 0, run.stderr
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["seed"] == 3
    assert len((tmp_path / "run" / "history.jsonl").read_text().splitlines()) == 44
