"""A data set is one row: a row added to the table, or written in a file, and every command knows it."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import pytest
from replicas import write_replica

from tdfusion.commands.main import main
from tdfusion.config import make_config
from tdfusion.data import open_dataset
from tdfusion.data.layouts import LAYOUTS, Labels, Layout, Split, find_layout, labelled, register
from tdfusion.data.row import read_layout
from tdfusion.downstream import make_downstream_config, read_scores
from tdfusion.errors import InputError

YARD = Layout(
    name="Yard",
    folders=("Yard",),
    ir=("{split}/thermal",),
    vi=("{split}/colour",),
    labels={
        "segmentation": Labels(("ground", "hen", "dog"), ("{split}/masks",), (".png",), background=0),
        "detection": Labels(("hen", "dog"), ("{split}/boxes",), (".txt", ".xml")),
    },
    splits=(Split("train", "train", 4), Split("test", "val", 3)),
    size=(48, 64),
    task_size=(24, 32),
    note="Two hens.",
)
ROW = """
name = "Yard"
ir = "{split}/thermal"
vi = "{split}/colour"
size = [48, 64]
task_size = [24, 32]
note = "Two hens."
[splits]
train = 4
test = {folder = "val", count = 3}
[labels.segmentation]
classes = ["ground", "hen", "dog"]
folders = "{split}/masks"
background = 0
[labels.detection]
classes = ["hen", "dog"]
folders = "{split}/boxes"
"""


@pytest.fixture
def yard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a tiny data set of the new layout, which is in the table while a test runs."""
    monkeypatch.setitem(LAYOUTS, "Yard", YARD)
    root = write_replica(tmp_path, "Yard", pairs=4, size=(48, 64)).root
    for extra in (root / "val").glob("*/*103N.*"):
        extra.unlink()
    return root


def everything(name: str, root: Path, out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every command that takes a data set, on this one."""
    assert main(["data", "info", name]) == 0
    shown = capsys.readouterr().out
    assert "train 4, test 3" in shown and "64x48" in shown and "0 hen, 1 dog" in shown
    assert "{train,val}/boxes" in shown
    assert main(["data", "verify", name, "--root", str(root)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "verdict: complete"

    small = ["L=1", "M=1", "N=1", "crop=32"]
    sets = [word for text in small for word in ("--set", text)]
    run = ["train", "--dataset", name, "--root", str(root), "--out", str(out / "run"), "--scored", "1", *sets]
    assert main(run) == 0
    assert json.loads((out / "run" / "config.json").read_text())["dataset"] == name
    assert len((out / "run" / "metrics.csv").read_text().splitlines()) == 2
    assert main(["train", "--out", str(out / "run"), "--resume", "--scored", "0", "--set", "L=2"]) == 0

    judged = ["downstream", "--dataset", name, "--root", str(root), "--source", "max", "--epochs", "1"]
    assert main([*judged, "--out", str(out / "judged"), "--protocol", "foreground", "--set",
                 "network.hidden_sizes=16,32,64,96", "--size", "64", "64"]) == 0  # fmt: skip
    scores = read_scores(out / "judged")
    assert (scores.dataset, scores.protocol, scores.background, scores.images) == (
        "Yard",
        "foreground",
        "ground",
        3,
    )
    assert [c.name for c in scores.classes] == ["ground", "hen", "dog"]
    capsys.readouterr()


def test_a_row_in_the_table_is_known_to_every_command(yard: Path, tmp_path: Path, capsys) -> None:
    everything("Yard", yard, tmp_path, capsys)
    assert "Yard" in labelled()
    assert make_config("paper", "released", dataset="Yard").task_size == (24, 32)


def test_a_row_in_a_file_is_known_to_every_command(
    yard: Path, tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(LAYOUTS, "Yard")
    (tmp_path / "yard.toml").write_text(ROW)
    everything(str(tmp_path / "yard.toml"), yard, tmp_path, capsys)
    assert "Yard" not in labelled()


def test_a_row_is_registered_once_and_under_a_name_of_its_own(
    yard: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(LAYOUTS, "Yard")
    assert register(YARD) is find_layout("yard")
    register(YARD)  # again, as a notebook's cell may be run
    assert len(open_dataset("Yard", yard.parent, "test", "detection")) == 3
    from dataclasses import replace

    with pytest.raises(InputError, match="the name Yard is that of Yard already"):
        register(replace(YARD, note="other"))
    with pytest.raises(InputError, match="data set Mine: the name msrs-main is that of MSRS already"):
        register(replace(YARD, name="Mine", folders=("msrs-main",)))
    with pytest.raises(InputError, match="data set Mine: vi is empty"):
        register(replace(YARD, name="Mine", folders=(), vi=()))
    assert "Mine" not in LAYOUTS


def test_the_file_says_what_the_row_says(tmp_path: Path) -> None:
    file = tmp_path / "yard.toml"
    file.write_text(ROW)
    assert read_layout(file) == find_layout(str(file)) == YARD
    assert make_downstream_config(dataset=str(file)).dataset == str(file)
    file.write_text(ROW.replace('"Yard"', '"MSRS"'))
    with pytest.raises(InputError, match="the name MSRS is that of MSRS already"):
        find_layout(str(file))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('name = "Yard"', "", "name is missing"),
        ("train = 4", 'train = "four"', "splits.0.count input should be a valid integer, not 'four'"),
        ("size = [48", "sise = [48", "sise is unknown"),
        ("[48, 64]", "[48]", "size"),
        ("labels.detection", "labels.pose", "labels.pose"),
        ("background = 0", "backgrund = 0", "labels.segmentation.backgrund is unknown"),
        ('ir = "{split}/thermal"', "ir = []", "give ir, vi and at least one of"),
        ("size = [48", "drawn = true\nsize = [48", "drawn is for the data sets of this library"),
        ('name = "Yard"', "name = Yard", "no TOML"),
    ],
)
def test_a_file_that_is_no_row_is_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    file = tmp_path / "yard.toml"
    assert old in ROW
    file.write_text(ROW.replace(old, new, 1))
    with pytest.raises(InputError, match=f"yard.toml: {message}"):
        read_layout(file)
    with pytest.raises(InputError, match=r"none.toml: cannot be read \(No such file"):
        make_config(dataset=str(tmp_path / "none.toml"))


def test_folds_are_trained_and_scored_by_protocol(tmp_path: Path, real_data: Path) -> None:
    """The whole of the named folds where it is at hand, else that their absence is named."""
    from tdfusion.downstream.prepare import open_split

    config = make_downstream_config(
        dataset="MSRS", task="detection", root=str(real_data), protocol="MSRS-blocks", fold=1
    )
    with (
        warnings.catch_warnings(),
        pytest.raises(InputError, match=r"names: \d+[DN] and \d+ more of 241 are no pairs"),
    ):
        warnings.simplefilter("ignore")
        open_split(config, "train")
    whole = real_data.parent / "msrs"
    if not whole.is_dir():
        return
    config = make_downstream_config(
        dataset="MSRS", task="detection", root=str(whole), protocol="MSRS-blocks", fold=1
    )
    train, test = (set(open_split(config, split).names) for split in ("train", "test"))
    assert (len(train), len(test), len(train & test)) == (241, 120, 0)
