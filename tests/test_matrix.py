"""The matrices of runs: what they expand to, what they refuse, and one of them run by Snakemake from end to end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from conftest import ROOT

from studies.collect import epoch_means
from studies.matrix import check_settings, judging_runs, read_matrices, training_runs
from studies.mechanism_arms import ARMS, IMAGES, SEEDS, replayed
from tdfusion.errors import InputError
from tdfusion.results import load, provenance_of, run

INDEX = json.loads((ROOT / "results" / "index.json").read_text())
TINY = {
    "table": "results/scores",
    "train": {
        "preset": "smoke",
        "settings": {"plain": {"L": 1, "M": 1, "N": 2, "scenes": 8}},
        "scored": 2,
    },
    "judge": {"preset": "smoke", "settings": {"epochs": 1, "train_pairs": 8, "test_pairs": 4}},
}


def snakemake(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """In a folder of its own, where nothing has been made yet."""
    command = [sys.executable, "-m", "snakemake", "-s", ROOT / "studies" / "Snakefile", "--directory", folder]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "MPLBACKEND": "Agg"}
    return subprocess.run(
        [*map(str, command), *words], capture_output=True, text=True, env=environment, check=False
    )


def jobs(said: str) -> Counter[str]:
    """How often each rule would run, by the lines of a dry run."""
    return Counter(line.removeprefix("local")[5:-1] for line in said.splitlines() if "rule " in line[:10])


def test_the_default_is_synthroad_by_both_variants_for_both_tasks(tmp_path) -> None:
    dry = snakemake(tmp_path, "-n")
    assert dry.returncode == 0, dry.stderr
    assert jobs(dry.stdout + dry.stderr) == {"train": 4, "judge": 12, "table": 1, "full": 1}


def test_every_entry_of_the_registry_is_a_target(tmp_path) -> None:
    """And of the mechanism study every arm and seed is a job, those that replay another arm's G after it."""
    files = [file for entry in INDEX for file in entry["files"]]
    targets = [f"results/{file}" for file in files if not file.endswith("*")]
    targets += [
        f"results/{file.replace('*', 'F.safetensors')}" for file in files if file.startswith("synthroad_")
    ]
    named = [entry["command"].split()[-1] for entry in INDEX if entry["command"].startswith("snakemake")]
    assert len(named) == 7
    dry = snakemake(tmp_path, "-n", *targets, *named)
    assert dry.returncode == 0, dry.stderr
    count = jobs(dry.stdout + dry.stderr)
    assert count["mechanism_arm"] == (len(ARMS) + len(IMAGES)) * len(SEEDS)
    assert count["judge"] == 12 + 12 + 42 and count["train"] == 4 + 4
    assert replayed("mask shuffled") == ("mask gauss-newton",) and replayed("direct") == ()


@pytest.mark.parametrize("study", ["lookahead", "recipes", "photographs"])
def test_a_study_with_a_table_is_asked_for_the_jobs_that_the_table_lacks(tmp_path, study) -> None:
    """Snakemake calls a rule done whose outputs are there, although its inputs were never made."""
    (tmp_path / "results").mkdir()
    for end in (".csv", ".json", "_maps.npz"):
        (tmp_path / "results" / f"{study}{end}").touch()
    dry = snakemake(tmp_path, "-n", study)
    assert dry.returncode == 0, dry.stderr
    assert jobs(dry.stdout + dry.stderr)[study] == 1


def test_a_matrix_is_a_product_whose_folders_and_arms_say_what_they_are() -> None:
    given = {
        "data": {"MSRS": "/data/MSRS", "SynthRoad": None},
        "seeds": [0, 7],
        "train": {
            "experiments": ["full", "IV-L_f"],
            "settings": {"plain": {}, "no decay": {"decay_every": 0}},
        },
        "judge": {"sources": ["max"], "weights": {"theirs": {"segmentation": "F.pth", "detection": "G.pth"}}},
    }
    matrix = read_matrices({"mine": given})["mine"]
    train, judge = training_runs(matrix), judging_runs(matrix)
    assert len(train) == 2 * 2 * 2 * 2 and len(judge) == 2 * 2 * (2 + 4)
    last = train[-2]
    assert last.folder == "runs/mine/MSRS-segmentation-paper-IV-L_f-no-decay-seed7"
    assert last.where == {
        "data": "MSRS", "arm": "F, paper, IV-L_f, no decay", "task": "segmentation", "seed": 7
    }  # fmt: skip
    assert (last.config["fusion_phase"], last.config["root"], last.config["seed"]) == (
        "outer", "/data/MSRS", 7
    )  # fmt: skip
    fused = {j.told["source"]: j for j in judge}[f"{last.folder}/F.safetensors"]
    assert fused.needs == (fused.told["source"],) and fused.where == last.where
    assert {j.told["source"] for j in judge if j.arm == "theirs"} == {"F.pth"}
    assert not {j.folder for j in judge} & {t.folder for t in train} and len(matrix.runs) == 16 + 24


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"trian": {}}, 'matrix mine: unknown setting "trian"; did you mean "train"'),
        ({"train": {"experiment": ["I"]}}, 'matrix mine.train: unknown setting "experiment"'),
        ({"train": {"experiments": ["VI"]}}, 'unknown experiment "VI"; choose one of full, I,'),
        ({"train": {"settings": {"a": {"alhpa": 1}}}}, 'unknown setting "alhpa"; did you mean "alpha"'),
        ({"train": {"settings": {"a": {"alpha": -1.0}}}}, "alpha = -1.0: expected a number >= 0"),
        ({"tasks": ["segmentaton"], "train": {}}, "tasks = 'segmentaton': expected one of"),
        ({"tasks": "detection", "train": {}}, "tasks = 'detection': expected a list"),
        ({"judge": {"sources": ["infrard"]}}, 'matrix mine.judge: source "infrard": choose infrared'),
        ({"judge": {"preset": "big", "sources": ["max"]}}, 'unknown preset "big"'),
        ({"data": {"LLVIP": "/x"}, "train": {}}, "LLVIP"),
        ({"seeds": [0, 0], "train": {}}, "two runs or tables would share runs/mine/segmentation-paper-seed0"),
        ({}, "matrix mine: no run in it; give train or judge"),
        (["full"], "matrix mine: .*expected names and values"),
    ],
)
def test_what_is_no_matrix_is_refused_by_its_name(given: object, said: str) -> None:
    with pytest.raises(InputError, match=said):
        read_matrices({"mine": given})


def test_texts_of_the_command_line_become_numbers() -> None:
    (run,) = training_runs(read_matrices({"m": {"minutes": "2", "train": {"scored": "null"}}})["m"])
    assert run.told["minutes"] == 2 and run.told["scored"] is None and run.runtime() == 32


def test_a_run_of_other_settings_is_not_taken_for_this_one(tmp_path) -> None:
    (run,) = training_runs(read_matrices({"mine": {"train": {}}})["mine"])
    run = replace(run, folder=str(tmp_path))
    check_settings([run])  # nothing there
    (tmp_path / "config.json").write_text(json.dumps(run.config | {"device": "cuda"}))
    check_settings([run])
    (tmp_path / "config.json").write_text(json.dumps(run.config | {"L": 60}))
    with pytest.raises(InputError, match="its L was 60, the matrix says 50; a run keeps its settings"):
        check_settings([run])


def test_epochs_are_means_over_their_steps() -> None:
    rows = [{"epoch": 1, "phase": "fusion", "step": s, "L_f": float(s)} for s in (1, 2, 6)]
    assert epoch_means([json.dumps(row) for row in rows]) == [
        {"epoch": 1, "phase": "fusion", "steps": 3, "L_f": 3.0}
    ]


def test_the_cluster_profile_speaks_of_rules_that_there_are() -> None:
    profile = yaml.safe_load((ROOT / "studies/profiles/slurm/config.yaml").read_text())
    usual = yaml.safe_load((ROOT / "studies/profiles/default/config.yaml").read_text())
    assert profile["executor"] == "slurm" and set(profile["set-resources"]) == {"train", "judge"}
    for name in ("rerun-triggers", "rerun-incomplete", "nolock"):  # it is read instead of the default
        assert profile[name] == usual[name]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> tuple[Path, list[str]]:
    """A folder with a matrix of one training run and its judge, and the words that make it."""
    folder = tmp_path_factory.mktemp("tiny")
    (folder / "tiny.yaml").write_text(yaml.safe_dump({"tiny": TINY}))
    return folder, ["-j", "1", "tiny", "--configfile", str(folder / "tiny.yaml")]


@pytest.mark.slow
def test_a_matrix_in_pieces_ends_in_a_table(tiny) -> None:
    folder, words = tiny
    cut = snakemake(folder, *words, "--config", "tiny={minutes: 0.00001}")
    run_folder = folder / "runs" / "tiny" / "segmentation-paper-seed0"
    assert cut.returncode and "segmentation-paper-seed0: not done after 1e-05 minutes" in cut.stderr
    assert (run_folder / "checkpoint.pt").exists() and not (run_folder / "F.safetensors").exists()

    done = snakemake(folder, *words)
    assert done.returncode == 0, done.stderr
    assert "segmentation-paper-seed0: goes on" in done.stderr
    kept = folder / "results" / run_folder.name
    assert {p.name for p in kept.iterdir()} == {
        "config.json", "provenance.json", "metrics.csv", "F.safetensors", "G.safetensors", "epochs.json"
    }  # fmt: skip
    stored = run(kept.name, folder / "results")
    assert len(stored.provenance["pieces"]) == 2
    meta, fusion = stored.history
    assert (meta["phase"], meta["steps"], fusion["phase"], fusion["steps"]) == ("meta", 1, "fusion", 2)

    table = load("scores", folder / "results")
    assert set(table["arm"]) == {"F, paper"} and set(table["data"]) == {"SynthRoad"}
    images = table[table["image"] != ""]
    assert images.groupby("metric").size().eq(2).all() and images["metric"].nunique() == 6
    assert table.query("metric == 'mIoU'")["value"].between(0, 1).all()
    made = provenance_of("scores", folder / "results")
    assert [about["notebook"] for about in made] == ["train", "downstream"]

    before = {path: path.stat().st_mtime_ns for path in folder.glob("r*/**/*") if path.is_file()}
    again = snakemake(folder, *words)
    assert again.returncode == 0 and "Nothing to be done" in again.stdout + again.stderr
    assert before == {path: path.stat().st_mtime_ns for path in before}

    other = snakemake(folder, *words, "-n", "--config", "tiny={train: {settings: {plain: {L: 2}}}}")
    assert other.returncode and "its L was 1, the matrix says 2" in other.stderr
