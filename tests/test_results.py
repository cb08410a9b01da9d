"""The results table, its record, and the folder: every file has a rule, every number a commit or a reason."""

from __future__ import annotations

import json
import math
import subprocess
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT

from tdfusion import results
from tdfusion.commands.main import build_parser, train_config
from tdfusion.errors import InputError
from tdfusion.files import whole_file
from tdfusion.results.table import COLUMNS
from tdfusion.runs import provenance
from tdfusion.runs.provenance import Provenance, command_line, require_clean

RESULTS = ROOT / "results"
FILES = sorted(p.relative_to(RESULTS) for p in RESULTS.rglob("*") if p.is_file() and p.name != "index.json")
TABLES = [path for path in FILES if path.suffix == ".csv" and (RESULTS / path).with_suffix(".json").exists()]
RECORDS = [path for path in FILES if path.suffix == ".json" and "provenance" in (RESULTS / path).read_text()]
RECORDS += [path for path in FILES if path.name == "provenance.json"]
INDEX = json.loads((RESULTS / "index.json").read_text())
ABOUT = {"what": "numbers", "command": "python -m studies.none", "provenance": [{"commit": "abc"}]}


@pytest.mark.parametrize("path", FILES, ids=str)
def test_every_file_of_results_has_a_rule(path: Path) -> None:
    assert results.command_of(path)


def test_a_file_without_a_rule_is_named() -> None:
    with pytest.raises(InputError, match=r"nothing\.csv: no rule of index\.json makes it"):
        results.command_of("nothing.csv")


@pytest.mark.parametrize("path", RECORDS, ids=str)
def test_every_number_comes_from_a_commit_or_says_why_not(path: Path) -> None:
    record = json.loads((RESULTS / path).read_text())
    made = [record] if path.name == "provenance.json" else record["provenance"]
    if not made or any(run["commit"] == "unknown" or run["commit"].endswith("+") for run in made):
        assert record.get("made_before"), "a result of code that no commit holds; make it again"


@pytest.mark.parametrize("path", TABLES, ids=str)
def test_every_table_loads_and_its_command_is_that_of_its_rule(path: Path) -> None:
    table = results.load(path.stem, RESULTS / path.parent)
    assert tuple(table.columns) == COLUMNS and len(table)
    assert not table.duplicated(list(COLUMNS[:-1])).any()
    assert (table["study"] == path.stem).all()
    command = results.about(path.stem, RESULTS / path.parent)["command"]
    (module,) = {word for word in command.split() if word.startswith(("studies.", "benchmarks."))}
    rule = next(rule for rule in INDEX if any(path.match(pattern) for pattern in rule["files"]))
    assert module in rule["command"] + rule.get("note", "")  # the note: what made it before


@pytest.mark.parametrize("name", ["synthroad_seg", "synthroad_det", "synthroad_half"])
def test_the_commands_of_the_stored_runs_give_their_settings(name: str) -> None:
    command = results.command_of(f"{name}/config.json").split()
    config = train_config(build_parser().parse_args(command[1:])).to_dict()
    stored = results.run(name).config
    assert json.loads(json.dumps({key: config[key] for key in stored})) == stored


def test_a_table_comes_back_to_the_digit(tmp_path) -> None:
    values = {"a": 0.1 + 0.2, "b": 1 / 3, "c": 3, "d": None, "e": 1e-300, "f": -0.0, "g": 2.0**70}
    rows = [
        {"arm": 'w, "1/2"', "seed": 0, "values": values},
        {"data": "NA", "image": "007", "group": "μ", "values": {"n": np.float64(0.7)}},
    ]
    results.save("study", rows, **ABOUT, settings={"steps": 3}, folder=tmp_path)
    table = results.load("study", tmp_path)
    first = table[table["arm"] == 'w, "1/2"'].set_index("metric")["value"]
    assert all(
        first[name] == value if value is not None else math.isnan(first[name])
        for name, value in values.items()
    )
    last = table.iloc[-1]
    assert (last["data"], last["image"], last["group"], last["arm"]) == ("NA", "007", "μ", "")
    assert table["seed"].isna().tolist() == [False] * 7 + [True]
    assert results.about("study", tmp_path)["settings"] == {"steps": 3}
    assert results.provenance_of("study", tmp_path) == [{"commit": "abc"}]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([{"values": {"mIoU": 1}}, {"values": {"mIoU": 2}}], "1 rows are there twice.*metric mIoU"),
        (
            [{"arms": "half", "values": {}}],
            'a row has arms, values; it may have data, arm.*must have "values"',
        ),
        ([{"arm": "half"}], 'must have "values"'),
        ([{"values": {"mIoU": "high"}}], "no number"),
        ([], "a table without rows"),
    ],
)
def test_what_is_no_table_is_refused_and_nothing_is_written(tmp_path, rows: list, said: str) -> None:
    results.save("study", [{"values": {"x": 1}}], **ABOUT, folder=tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(InputError, match=said):
        results.save("study", rows, **ABOUT, folder=tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_table_and_a_record_of_two_runs_do_not_load(tmp_path) -> None:
    for name, value in (("one", 1), ("other", 2)):
        results.save(name, [{"values": {"x": value}}], **ABOUT, folder=tmp_path)
    (tmp_path / "other.csv").replace(tmp_path / "one.csv")
    with pytest.raises(InputError, match=r"not the table that one\.json was written with; run python -m"):
        results.load("one", tmp_path)


def test_an_unknown_study_suggests_the_nearest() -> None:
    with pytest.raises(InputError, match='no such result; did you mean "mechanism"'):
        results.load("mechanisms")


def test_a_file_appears_whole_or_not_at_all(tmp_path) -> None:
    path = tmp_path / "deep" / "numbers.npz"
    with whole_file(path, durable=True) as part:
        np.savez(part, x=np.ones(3))
        assert not path.exists()
    before = path.read_bytes()
    with pytest.raises(KeyError), whole_file(path) as part:
        part.write_text("half")
        raise KeyError
    assert path.read_bytes() == before and list(path.parent.iterdir()) == [path]


def test_provenance_is_of_the_start_and_the_end_adds_seconds(monkeypatch) -> None:
    monkeypatch.setattr(provenance, "commit", lambda: "first")
    made = Provenance.begin(seed=3)
    monkeypatch.setattr(provenance, "commit", lambda: "later")
    first, second = made.finish(), made.finish(pieces=2)
    assert (first["commit"], first["seed"], second["pieces"]) == ("first", 3, 2)
    assert first["seconds"] >= 0 and "pieces" not in first
    assert {"started", "versions", "hardware", "threads"} <= first.keys()


@pytest.fixture
def checkout(tmp_path, monkeypatch) -> Path:
    """A checkout of its own with one commit."""
    (tmp_path / "results").mkdir()
    for name in ("code.py", "results/old.csv"):
        (tmp_path / name).write_text("1\n")
    for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "first"]):
        identity = ["-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", *identity, *words], cwd=tmp_path, check=True)
    monkeypatch.setattr(provenance, "_ROOT", tmp_path)
    return tmp_path


def test_code_that_is_not_committed_writes_no_result(checkout: Path) -> None:
    out = checkout / "results" / "new.csv"
    require_clean(out)
    (checkout / "results" / "old.csv").write_text("2\n")  # what another run wrote
    require_clean(out)
    assert not provenance.commit().endswith("+")
    (checkout / "code.py").write_text("2\n")
    assert provenance.commit().endswith("+")
    with pytest.raises(InputError, match=r"not committed.*results/new\.csv; commit first.*--allow-dirty"):
        require_clean(out)
    require_clean(out, allow_dirty=True)
    require_clean(checkout / "elsewhere.csv")


def test_a_folder_that_is_no_checkout_writes_no_result(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(provenance, "_ROOT", tmp_path)
    with pytest.raises(InputError, match="no git checkout"):
        require_clean(tmp_path / "results" / "new.csv")


def test_a_recorded_command_has_no_path_of_this_machine(monkeypatch) -> None:
    monkeypatch.setattr("sys.argv", ["x", "score", "--root", str(ROOT.parent / "pairs" / "msrs"), "--seed=1"])
    words = command_line().split()
    assert words[-4:] == ["score", "--root", "../pairs/msrs", "--seed=1"]


def test_what_was_spent_adds_up(tmp_path) -> None:
    """Every run of a study, and run folders; a file that is no record has no part."""
    for name, record in {
        "study.json": {"provenance": [{"seconds": 1800}, {"seconds": 900.0}]},
        "index.json": [],
        "kept/run/provenance.json": {"seconds": 7200},
        "kept/run/config.json": {"seconds": 9},
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(json.dumps(record))
    assert results.spent(tmp_path) == {"kept/run": (1, 2.0), "study": (2, 0.75)}
    there = {*results.spent()}
    assert {"lookahead", "mechanism", "tour", "reduced/detection-paper-seed0"} <= there
