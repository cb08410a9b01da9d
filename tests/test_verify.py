"""`verify` counts what is there, and says "unusable" exactly where reading fails."""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from replicas import Replica, save_image, save_text, write_replica

from tdfusion.commands.data import add_data_command
from tdfusion.data import open_dataset
from tdfusion.data.layouts import LAYOUTS, Split
from tdfusion.data.report import Report
from tdfusion.data.verify import verify
from tdfusion.errors import InputError


def published_as(monkeypatch: pytest.MonkeyPatch, name: str, pairs: int) -> None:
    """Let the layout say that ``pairs`` pairs a split were published, as many as a replica has."""
    layout = LAYOUTS[name]
    splits = tuple(Split(s.name, s.folder, pairs) for s in layout.splits)
    monkeypatch.setitem(LAYOUTS, name, replace(layout, splits=splits))


@pytest.fixture
def msrs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Replica:
    published_as(monkeypatch, "MSRS", 3)
    return write_replica(tmp_path, "MSRS", pairs=3)


def command(*words: str) -> int:
    parser = argparse.ArgumentParser()
    add_data_command(parser.add_subparsers(required=True))
    arguments = parser.parse_args(["data", *words])
    return arguments.func(arguments)


def test_complete_data_set_is_complete(msrs: Replica) -> None:
    report = verify("MSRS", msrs.root)
    assert report.verdict == "complete"
    assert [(s.split, s.pairs, s.read) for s in report.splits] == [("train", 3, 3), ("test", 3, 3)]
    assert all(s.sizes == {(40, 56): 3} for s in report.splits)


def test_label_values_are_counted_pixel_by_pixel(msrs: Replica) -> None:
    for found in verify("MSRS", msrs.root).splits:
        masks = np.stack([scene.mask for scene in msrs.scenes[found.split].values()])
        assert [found.label_values[i] for i in range(9)] == [(masks == i).sum() for i in range(9)]


def test_boxes_are_counted_class_by_class(msrs: Replica) -> None:
    for found in verify("MSRS", msrs.root, task="detection").splits:
        boxes = np.concatenate([scene.boxes for scene in msrs.scenes[found.split].values()])
        assert found.boxes == len(boxes)
        assert [found.label_values[i] for i in range(3)] == [(boxes[:, 0] == i).sum() for i in range(3)]


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def _rewrite_mask(path: Path) -> None:
    save_image(path, np.full((40, 56), 200, np.uint8))


def _shrink(path: Path) -> None:
    with Image.open(path) as image:
        smaller = np.asarray(image)[:-1]
    save_image(path, smaller)


DAMAGE: dict[str, tuple[str, str, Callable[[Path], object], str]] = {
    "truncated infrared": ("segmentation", "ir", _truncate, "unreadable"),
    "truncated visible": ("segmentation", "vi", _truncate, "unreadable"),
    "truncated mask": ("segmentation", "segmentation", _truncate, "unreadable"),
    "empty image": ("segmentation", "ir", lambda p: p.write_bytes(b""), "unreadable"),
    "two sizes": ("segmentation", "vi", _shrink, "unreadable"),
    "wrong ids": ("segmentation", "segmentation", _rewrite_mask, "unreadable"),
    "no infrared": ("segmentation", "ir", Path.unlink, "unpaired"),
    "no visible": ("segmentation", "vi", Path.unlink, "unpaired"),
    "no mask": ("segmentation", "segmentation", Path.unlink, "unlabelled"),
    "no boxes file": ("detection", "detection", Path.unlink, "unlabelled"),
    "two of a name": ("fusion", "ir", lambda p: shutil.copy(p, p.with_suffix(".bmp")), "ambiguous"),
    "not YOLO": ("detection", "detection", lambda p: p.write_text("car 1 2 3 4"), "unreadable"),
    "empty box": ("detection", "detection", lambda p: p.write_text("0 0.5 0.5 0 0.1"), "degenerate"),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_unusable_is_said_exactly_where_reading_fails(msrs: Replica, case: str) -> None:
    task, kind, damage, field = DAMAGE[case]
    assert verify("MSRS", msrs.root, task=task).usable
    path = msrs.scenes["test"]["00101N"].files[kind]
    damage(path)

    report = verify("MSRS", msrs.root, task=task)
    train, test = report.splits
    assert not report.usable
    assert not train.faults
    assert test.faults == getattr(test, field)
    assert len(test.faults) == 1
    assert "00101N" in test.faults[0]
    assert test.faults[0] in report.table()
    with warnings.catch_warnings(), pytest.raises((InputError, UserWarning)):
        warnings.simplefilter("error")
        list(open_dataset("MSRS", msrs.root, "test", task=task))


def test_what_can_be_read_but_is_not_as_published_is_a_remark(msrs: Replica) -> None:
    for kind in ("ir", "vi", "segmentation"):
        msrs.scenes["train"]["00001N"].files[kind].unlink()
    save_text(msrs.root / "train/ir/Thumbs.db", "x")
    save_image(msrs.root / "train/Segmentation_labels/stray.png", np.zeros((4, 4), np.uint8))
    report = verify("MSRS", msrs.root)
    assert report.verdict == "usable, with 2 remarks"
    assert [p.name for p in report.splits[0].strays] == ["stray.png", "Thumbs.db"]
    assert "train: 2 pairs, 3 were published" in report.table()
    assert len(open_dataset("MSRS", msrs.root)) == 2


def test_boxes_over_the_border_and_other_sizes_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replica = write_replica(tmp_path, "M3FD")
    scene = next(iter(replica.scenes["train"].values()))
    scene.files["detection"].write_text(
        "<annotation><size><width>1024</width><height>768</height></size><object><name>Car</name><bndbox>"
        "<xmin>-4</xmin><ymin>2</ymin><xmax>9</xmax><ymax>9</ymax></bndbox></object></annotation>"
    )
    found = verify("M3FD", replica.root, split="all").splits[0]
    assert (found.boxes_outside, found.other_sizes, found.boxes) == (1, 1, 11)
    assert len(found.remarks) == 3


def test_labels_of_another_split_are_no_strays(tmp_path: Path) -> None:
    replica = write_replica(tmp_path, "LLVIP")
    save_text(replica.root / "Annotations" / "999999.xml", "<annotation/>")
    found = verify("LLVIP", replica.root, split="published-train").splits[0]
    assert [p.name for p in found.strays] == ["999999.xml"]


def test_missing_names_of_the_list_make_it_unusable(tmp_path: Path) -> None:
    report = verify("M3FD", write_replica(tmp_path, "M3FD").root)
    assert [len(s.missing) for s in report.splits] == [3147, 1047]
    assert report.verdict == "unusable: 4194 faults"
    assert "and 4184 more" in report.table()


def test_images_of_16_bits_and_odd_names_are_fine(msrs: Replica) -> None:
    files = msrs.scenes["train"]["00000D"].files
    save_image(files["ir"], np.random.default_rng(0).integers(0, 65536, (40, 56), dtype=np.uint16))
    for kind in ("ir", "vi", "segmentation"):
        files[kind].rename(files[kind].with_name("by night 1.PNG"))
    assert verify("MSRS", msrs.root).verdict == "complete"


def test_a_drawn_data_set_has_no_file_to_verify() -> None:
    with pytest.raises(InputError, match="SynthRoad: its pairs are drawn"):
        verify("SynthRoad", "")


def test_a_missing_split_is_said_with_the_one_that_is_there(msrs: Replica) -> None:
    shutil.rmtree(msrs.root / "train")
    with pytest.raises(InputError, match=r"expected train/ir in it \(split 'test' is there\)"):
        verify("MSRS", msrs.root)
    assert verify("MSRS", msrs.root, split="test").usable


@pytest.mark.parametrize("name", [name for name, layout in LAYOUTS.items() if not layout.drawn])
def test_every_replica_is_usable(tmp_path: Path, name: str) -> None:
    root = write_replica(tmp_path, name).root
    split = {"M3FD": "all", "LLVIP": "published-test"}.get(name)
    assert verify(name, root, split=split).usable


def test_command_prints_table_and_verdict_and_exits_1_when_unusable(
    msrs: Replica, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("verify", "MSRS", "--root", str(msrs.root)) == 0
    shown = capsys.readouterr()
    assert shown.out.splitlines()[-1] == "verdict: complete"
    assert "class 2 person" in shown.out
    assert "MSRS test" in shown.err  # the progress bar
    msrs.scenes["test"]["00101N"].files["vi"].unlink()
    assert command("verify", "msrs", "--root", str(msrs.root)) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "verdict: unusable: 1 fault"
    assert command("verify", "MSRS", "--root", str(msrs.root), "--split", "train") == 0
    with pytest.raises(InputError, match="no such folder"):
        command("verify", "MSRS", "--root", str(msrs.root / "nowhere"))


def test_help_does_not_wait_for_torch() -> None:
    code = "import sys, tdfusion.commands.data; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_info_says_where_to_get_each_and_under_which_licence(capsys: pytest.CaptureFixture[str]) -> None:
    assert command("info") == 0
    shown = capsys.readouterr().out
    assert "SynthRoad" in shown
    for layout in LAYOUTS.values():
        assert layout.source in shown
        assert layout.licence in shown
        assert layout.drawn or layout.tree.splitlines()[-1] in shown
    assert command("info", "m3fd") == 0
    shown = capsys.readouterr().out
    assert "train 3150, test 1050, all 4200" in shown
    assert "MSRS" not in shown


def test_the_drawn_layout_is_the_published_one() -> None:
    assert LAYOUTS["MSRS"].tree.splitlines() == [
        "MSRS/",
        "  {train,test}/ir/   (images)",
        "  {train,test}/vi/   (images)",
        "  {train,test}/Segmentation_labels/   (.png)",
        "  detection_labels/{train,test}/   (.txt)",
    ]


# --- the real samples -----------------------------------------------------------------------------


def real_report(real_data: Path, name: str, **options: str) -> Report:
    return verify(name, real_data, **options)


def test_real_msrs_sample_is_verified(real_data: Path) -> None:
    report = real_report(real_data, "MSRS", task="detection")
    assert report.usable
    train, test = report.splits
    assert (train.pairs, test.pairs) == (4, 22)
    assert train.sizes == {(480, 640): 4}
    assert (train.boxes, test.boxes) == (20, 85)
    assert train.boxes_outside == test.boxes_outside == 0


def test_real_msrs_sample_has_no_masks_and_says_so(real_data: Path) -> None:
    with pytest.raises(InputError, match="there is enough for task 'detection' or 'fusion'"):
        verify("MSRS", real_data)


def test_real_llvip_sample_is_verified(real_data: Path) -> None:
    report = real_report(real_data, "LLVIP", split="published-test", task="fusion")
    assert report.usable
    assert report.splits[0].sizes == {(1024, 1280): 12}


def test_real_tno_sample_is_verified(real_data: Path) -> None:
    report = real_report(real_data, "TNO")
    assert report.usable
    assert (report.splits[0].pairs, report.splits[0].expected) == (13, 25)
