"""Every published layout reads back what was written, and every bad file is named."""

from __future__ import annotations

import gc
import shutil
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from replicas import Replica, save_image, save_text, voc_text, write_replica, yolo_text
from torch.utils.data import DataLoader

from tdfusion.data import collate, open_dataset
from tdfusion.data.kept import KeptSource
from tdfusion.errors import InputError

ALL = ["MSRS", "FMB", "M3FD", "LLVIP", "RoadScene", "TNO"]
LISTED = ("M3FD", "LLVIP")
JPEG = {"LLVIP": 3 / 255, "RoadScene": 3 / 255}  # what quality 100 may move on a smooth picture


@pytest.fixture
def msrs(tmp_path: Path) -> Replica:
    return write_replica(tmp_path, "MSRS", pairs=5)


def open_replica(name: str, root: Path, **options: object):
    """Open a replica; the names of the paper's lists that it lacks are not the test's subject."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return open_dataset(name, root, partial=name in LISTED, **options)


def luma(rgb: np.ndarray) -> np.ndarray:
    return rgb.astype(np.float64) @ [0.299, 0.587, 0.114] / 255


@pytest.mark.parametrize("name", ALL)
def test_published_layout_reads_back_what_was_written(tmp_path: Path, name: str) -> None:
    replica = write_replica(tmp_path, name)
    for split, scenes in replica.scenes.items():
        dataset = open_replica(name, replica.root, split=split)
        assert dataset.names == tuple(scenes)
        for pair in dataset:
            scene = scenes[pair.name]
            atol = JPEG.get(name, 1e-6)
            np.testing.assert_allclose(pair.ir[0], scene.ir / 255, atol=atol)
            assert pair.ir.dtype == pair.vi.dtype == torch.float32
            assert pair.ir.shape == pair.vi.shape
            if name == "TNO":
                np.testing.assert_allclose(pair.vi[0], scene.vi / 255, atol=atol)
                assert pair.chroma is None
            else:
                vi = scene.vi
                if name == "RoadScene":
                    vi = np.asarray(
                        Image.fromarray(vi).resize(scene.ir.shape[::-1], Image.Resampling.BILINEAR)
                    )
                np.testing.assert_allclose(pair.vi[0], luma(vi), atol=2 * atol)
                blue = (vi[..., 2] / 255 - luma(vi)) / 1.772 + 0.5
                np.testing.assert_allclose(pair.chroma[0], blue, atol=2 * atol)
            if dataset.task == "segmentation":
                assert np.array_equal(pair.mask, scene.mask)
                assert pair.mask.dtype == torch.int64
            if dataset.task == "detection":
                np.testing.assert_allclose(pair.boxes, scene.boxes, atol=1e-4)


def test_msrs_detection_reads_yolo_labels(msrs: Replica) -> None:
    dataset = open_dataset("MSRS", msrs.root, "test", task="detection")
    assert dataset.classes == ("person", "bicycle", "car")
    for pair in dataset:
        np.testing.assert_allclose(pair.boxes, msrs.scenes["test"][pair.name].boxes, atol=1e-4)
        assert pair.mask is None


@pytest.mark.parametrize("name", ALL)
def test_task_fusion_needs_no_labels(tmp_path: Path, name: str) -> None:
    replica = write_replica(tmp_path, name)
    for scenes in replica.scenes.values():
        for scene in scenes.values():
            for kind in ("segmentation", "detection"):
                if kind in scene.files:
                    scene.files[kind].unlink()
    for folder in ("Annotation", "Annotations", "detection_labels"):
        shutil.rmtree(replica.root / folder, ignore_errors=True)
    pair = open_replica(name, replica.root, task="fusion")[0]
    assert pair.mask is None
    assert pair.boxes is None


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("MSRS", "train/Segmentation_labels", "train/label"),
        ("MSRS", "train/ir", "train/IR"),
        ("FMB", "train/Infrared", "train/infrared"),
        ("M3FD", "Annotation", "annotations"),
        ("M3FD", "Vis", "vi"),
        ("LLVIP", "infrared", "Infrared"),
        ("RoadScene", "crop_HR_visible", "crop_LR_visible"),
    ],
)
def test_known_folder_names_are_accepted(tmp_path: Path, name: str, old: str, new: str) -> None:
    root = write_replica(tmp_path, name).root
    # By way of a third name, because some file systems do not tell upper case from lower.
    (root / old).rename(root / "moving")
    (root / "moving").rename(root / new)
    assert len(open_replica(name, root)) == 3


@pytest.mark.parametrize("folder", ["MSRS", "msrs", "MSRS-main"])
def test_root_may_be_the_folder_above(msrs: Replica, folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    above = msrs.root.parent
    msrs.root.rename(above / "moving")
    (above / "moving").rename(above / folder)
    assert len(open_dataset("msrs", above)) == 5
    monkeypatch.setenv("TDFUSION_DATA", str(above))
    assert len(open_dataset("Msrs")) == 5


def test_llvip_published_split_is_the_whole_folder(tmp_path: Path) -> None:
    replica = write_replica(tmp_path, "LLVIP")
    scene = next(iter(replica.scenes["train"].values()))
    for kind in ("ir", "vi", "detection"):
        shutil.copy(scene.files[kind], scene.files[kind].with_stem("010002"))
    assert "010002" not in open_replica("LLVIP", replica.root, split="train").names
    whole = open_dataset("LLVIP", replica.root, split="published-train")
    assert whole.names == ("010001", "010002", "010011", "010021")


def test_upper_case_suffixes_and_names_with_spaces_are_read(msrs: Replica) -> None:
    files = msrs.scenes["train"]["00000D"].files
    for kind in ("ir", "vi", "segmentation"):
        files[kind].rename(files[kind].with_name("a night scene.PNG"))
    assert open_dataset("MSRS", msrs.root).names[-1] == "a night scene"
    assert open_dataset("MSRS", msrs.root)[-1].mask is not None


def test_16_bit_infrared_keeps_its_levels(msrs: Replica) -> None:
    values = np.random.default_rng(0).integers(0, 65536, (40, 56), dtype=np.uint16)
    save_image(msrs.scenes["train"]["00000D"].files["ir"], values)
    np.testing.assert_allclose(open_dataset("MSRS", msrs.root)[0].ir[0], values / 65535, atol=1e-6)


def test_gray_visible_has_no_chroma(msrs: Replica) -> None:
    scene = msrs.scenes["train"]["00000D"]
    save_image(scene.files["vi"], scene.vi[..., 0])
    pair = open_dataset("MSRS", msrs.root)[0]
    assert pair.chroma is None
    np.testing.assert_allclose(pair.vi[0], scene.vi[..., 0] / 255, atol=1e-6)


def test_extra_files_are_no_pairs(msrs: Replica) -> None:
    for extra in ("train/ir/Thumbs.db", "train/vi/.DS_Store", "train/notes.txt"):
        save_text(msrs.root / extra, "x")
    assert len(open_dataset("MSRS", msrs.root)) == 5


def test_palette_mask_is_read_by_index(msrs: Replica) -> None:
    scene = msrs.scenes["train"]["00000D"]
    palette = Image.fromarray(scene.mask)
    palette.putpalette(list(np.random.default_rng(0).integers(0, 256, 768)))
    palette.save(scene.files["segmentation"])
    assert Image.open(scene.files["segmentation"]).mode == "P"
    assert np.array_equal(open_dataset("MSRS", msrs.root)[0].mask, scene.mask)


def test_label_files_without_objects_give_no_boxes(tmp_path: Path) -> None:
    msrs, m3fd = write_replica(tmp_path, "MSRS"), write_replica(tmp_path, "M3FD")
    next(iter(msrs.scenes["train"].values())).files["detection"].write_text("")
    next(iter(m3fd.scenes["train"].values())).files["detection"].write_text("<annotation></annotation>")
    for name, replica in (("MSRS", msrs), ("M3FD", m3fd)):
        boxes = open_replica(name, replica.root, task="detection")[0].boxes
        assert boxes.shape == (0, 5)


# --- what is wrong is named -----------------------------------------------------------------------


def test_truncated_png_is_named_and_the_others_are_counted(msrs: Replica) -> None:
    for stem in ("00001N", "00003N"):
        path = msrs.scenes["train"][stem].files["ir"]
        path.write_bytes(path.read_bytes()[:-200])
    dataset = open_dataset("MSRS", msrs.root)
    assert dataset[0].name == "00000D"
    with pytest.raises(
        InputError, match=r"00001N\.png: cannot be read.*3 of the other 4 pairs of MSRS train"
    ):
        dataset[1]


def test_empty_file_is_named(msrs: Replica) -> None:
    msrs.scenes["train"]["00002D"].files["vi"].write_bytes(b"")
    with pytest.raises(InputError, match=r"vi.00002D\.png.*4 of the other 4 pairs"):
        open_dataset("MSRS", msrs.root)[2]


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("vi", r"ir.00001N\.png: no visible image 00001N in .*vi; 4 other pairs of MSRS train are complete"),
        ("ir", r"vi.00001N\.png: no infrared image 00001N in .*ir; 4 other pairs"),
        ("segmentation", r"00001N\.png: no label 00001N\.png in .*Segmentation_labels; 4 other pairs"),
    ],
)
def test_missing_partner_stops_the_opening_unless_partial(msrs: Replica, kind: str, message: str) -> None:
    msrs.scenes["train"]["00001N"].files[kind].unlink()
    with pytest.raises(InputError, match=message):
        open_dataset("MSRS", msrs.root)
    with pytest.warns(UserWarning, match=message):
        dataset = open_dataset("MSRS", msrs.root, partial=True)
    assert dataset.names == ("00000D", "00002D", "00003N", "00004D")


def test_two_files_of_one_name_are_an_error(msrs: Replica) -> None:
    path = msrs.scenes["train"]["00000D"].files["ir"]
    shutil.copy(path, path.with_suffix(".bmp"))
    with pytest.raises(InputError, match=r"a second file named 00000D beside 00000D\.bmp"):
        open_dataset("MSRS", msrs.root)


def test_missing_names_of_the_paper_list_are_counted(tmp_path: Path) -> None:
    replica = write_replica(tmp_path, "M3FD")
    with pytest.raises(
        InputError, match=r"1047 of the 1050 names in the paper's list M3FD test.*3 other pairs"
    ):
        open_dataset("M3FD", replica.root, split="test")
    assert len(open_dataset("M3FD", replica.root, split="all")) == 6


def test_pair_of_two_sizes_is_an_error_except_in_roadscene(msrs: Replica) -> None:
    scene = msrs.scenes["train"]["00000D"]
    save_image(scene.files["vi"], scene.vi[:-2])
    with pytest.raises(InputError, match=r"38x56 pixels .* has 40x56; .*one size"):
        open_dataset("MSRS", msrs.root)[0]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.full((40, 56), 9, np.uint8), "class ids 9 are unknown, expected 0 to 8"),
        (np.full((40, 56), 255, np.uint8), "class ids 255 are unknown"),
        (np.zeros((40, 55), np.uint8), "40x55 pixels .* its pair has 40x56"),
        (np.tile(np.uint8([0, 40, 0]), (40, 56, 1)), "a colour picture, expected one channel of class ids"),
    ],
)
def test_wrong_mask_is_named(msrs: Replica, values: np.ndarray, message: str) -> None:
    save_image(msrs.scenes["train"]["00000D"].files["segmentation"], values)
    with pytest.raises(InputError, match=rf"00000D\.png: {message}.*4 of the other 4"):
        open_dataset("MSRS", msrs.root)[0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0 0.5 0.5 0.1\n", "expected five numbers 'class cx cy w h'"),
        ("0 0.5 0.5 0.1 x\n", "expected five numbers"),
        ("0 0.5 0.5 0.1 nan\n", "expected five numbers"),
        ("3 0.5 0.5 0.1 0.1\n", "class 3 is unknown, expected 0 person, 1 bicycle, 2 car"),
        ("0.5 0.5 0.5 0.1 0.1\n", r"class 0\.5 is unknown"),
        ("0 20 15 8 8\n", "the centre .* is outside the image; .* not pixels"),
    ],
)
def test_wrong_yolo_line_is_quoted(msrs: Replica, text: str, message: str) -> None:
    msrs.scenes["train"]["00000D"].files["detection"].write_text("1 0.5 0.5 0.2 0.2\n" + text)
    with pytest.raises(InputError, match=rf"00000D\.txt: line 2 \(.*\): {message}.*4 of the other 4"):
        open_dataset("MSRS", msrs.root, task="detection")[0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not readable as Pascal VOC XML"),
        ("<html></html>", "its root is <html>, expected <annotation>"),
        (
            "<annotation><object><name>Dog</name></object></annotation>",
            "object 1 is a 'Dog', expected one of",
        ),
        (
            "<annotation><object><name>Car</name><bndbox><xmin>3</xmin></bndbox></object></annotation>",
            r"object 1 \(Car\) has no <bndbox> with the numbers",
        ),
    ],
)
def test_wrong_xml_is_named(tmp_path: Path, text: str, message: str) -> None:
    replica = write_replica(tmp_path, "M3FD")
    next(iter(replica.scenes["train"].values())).files["detection"].write_text(text)
    with pytest.raises(InputError, match=rf"\.xml: {message}"):
        open_replica("M3FD", replica.root)[0]


@pytest.mark.parametrize("name", ["MSRS", "M3FD"])
def test_boxes_are_clipped_and_those_without_area_dropped_with_a_warning(tmp_path: Path, name: str) -> None:
    replica = write_replica(tmp_path, name)
    scene = next(iter(replica.scenes["train"].values()))
    boxes = np.array([[0, -6, 5, 20, 60], [1, 30, 10, 30.25, 20], [1, 10, 10, 20, 20]])
    classes = ("People", "Car", "Bus")
    text = yolo_text(boxes, (40, 56)) if name == "MSRS" else voc_text(boxes, classes, (40, 56))
    scene.files["detection"].write_text(text)
    dataset = open_replica(name, replica.root, task="detection")
    with pytest.warns(UserWarning, match=rf"{scene.files['detection'].name}: 1 of 3 boxes"):
        found = dataset[0].boxes
    np.testing.assert_allclose(found, [[0, 0, 5, 20, 40], [1, 10, 10, 20, 20]], atol=1e-4)
    assert dataset.source.dropped == {scene.files["detection"]: 1}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        dataset[0]  # once per file is enough


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "KAIST"}, "no data set 'KAIST'; choose one of SynthRoad, MSRS"),
        ({"root": None}, "pass root=.*TDFUSION_DATA"),
        ({"root": "nowhere"}, "nowhere: no such folder"),
        ({"name": "FMB"}, "no FMB in this folder; expected {train,test}/Infrared in it"),
        ({"split": "val"}, "MSRS has no split 'val'; it has train, test"),
        ({"task": "depth"}, "MSRS has no task 'depth'; it has segmentation, detection, fusion"),
        ({"length": 3}, "MSRS: length = 3 is for scenes that are drawn"),
        ({"augment": "rotate"}, "augment: rotate unknown, there are crop, flip"),
        ({"crop": 0}, "crop 0: expected one side"),
        ({"seed": -1}, "seed = -1"),
    ],
)
def test_wrong_arguments_are_explained(
    msrs: Replica, arguments: dict, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TDFUSION_DATA", raising=False)
    with pytest.raises(InputError, match=message):
        open_dataset(**{"name": "MSRS", "root": msrs.root, **arguments})


def test_missing_label_folder_says_what_there_is_enough_for(msrs: Replica) -> None:
    shutil.rmtree(msrs.root / "train/Segmentation_labels")
    with pytest.raises(InputError, match=r"no segmentation labels .* task 'detection' or 'fusion'"):
        open_dataset("MSRS", msrs.root)


# --- geometry, seeds and workers ------------------------------------------------------------------


def same(a: object, b: object) -> bool:
    return all(torch.equal(getattr(a, f), getattr(b, f)) for f in ("ir", "vi", "mask"))


def test_without_augmentation_the_crop_is_the_middle(msrs: Replica) -> None:
    whole, cut = open_dataset("MSRS", msrs.root), open_dataset("MSRS", msrs.root, crop=(20, 16))
    assert torch.equal(cut[0].ir, whole[0].ir[:, 10:30, 20:36])
    assert torch.equal(cut[0].mask, whole[0].mask[10:30, 20:36])


def test_resize_comes_before_the_crop(msrs: Replica) -> None:
    assert open_dataset("MSRS", msrs.root, size=(30, 44), crop=28)[0].size == (28, 28)
    with pytest.raises(InputError, match=r"00000D: 20x20 .*smaller than the crop of 28x28"):
        open_dataset("MSRS", msrs.root, size=20, crop=28)[0]


def test_augmentation_depends_on_seed_epoch_and_index_alone(msrs: Replica) -> None:
    one, two, other = (open_dataset("MSRS", msrs.root, crop=16, augment=True, seed=s) for s in (3, 3, 4))
    first = [one[i] for i in range(5)]
    assert all(same(one[i], two[i]) for i in reversed(range(5)))
    assert not all(same(a, b) for a, b in zip(first, other, strict=True))
    one.set_epoch(1)
    assert not all(same(a, b) for a, b in zip(first, one, strict=True))
    one.set_epoch(0)
    assert all(same(a, b) for a, b in zip(first, one, strict=True))


def test_pairs_of_one_epoch_are_cropped_in_different_places(msrs: Replica) -> None:
    scenes = list(msrs.scenes["train"].values())
    for scene in scenes[1:]:
        shutil.copy(scenes[0].files["ir"], scene.files["ir"])
    crops = [pair.ir for pair in open_dataset("MSRS", msrs.root, crop=16, augment="crop")]
    assert any(not torch.equal(crops[0], ir) for ir in crops[1:])


def test_augmentations_can_be_chosen(msrs: Replica) -> None:
    whole = open_dataset("MSRS", msrs.root)[0].ir
    flipped = open_dataset("MSRS", msrs.root, augment="flip")
    seen = set()
    for epoch in range(20):
        flipped.set_epoch(epoch)
        ir = flipped[0].ir
        assert torch.equal(ir, whole) or torch.equal(ir, whole.flip(-1))
        seen.add(torch.equal(ir, whole))
    assert seen == {True, False}


def test_workers_give_the_same_pairs_and_follow_the_epoch(msrs: Replica) -> None:
    dataset = open_dataset("MSRS", msrs.root, crop=16, augment=True)
    alone = DataLoader(dataset, batch_size=2, collate_fn=collate)
    shared = DataLoader(dataset, batch_size=2, collate_fn=collate, num_workers=2, persistent_workers=True)
    per_epoch = []
    for epoch in range(2):
        dataset.set_epoch(epoch)
        here, there = list(alone), list(shared)
        assert [b.names for b in here] == [b.names for b in there]
        assert all(torch.equal(a.ir, b.ir) and torch.equal(a.mask, b.mask) for a, b in zip(here, there))
        per_epoch.append(torch.cat([b.ir for b in here]))
    assert not torch.equal(*per_epoch)


def test_worker_errors_name_the_file(msrs: Replica, monkeypatch: pytest.MonkeyPatch) -> None:
    # After an error torch waits this long, 5 s by default, for a worker that never answers.
    monkeypatch.setattr(torch.utils.data._utils, "MP_STATUS_CHECK_INTERVAL", 0.2)
    path = msrs.scenes["train"]["00001N"].files["ir"]
    path.write_bytes(path.read_bytes()[:-200])
    loader = DataLoader(open_dataset("MSRS", msrs.root), collate_fn=collate, num_workers=1)
    with pytest.raises(InputError, match=r"00001N\.png: cannot be read"):
        list(loader)
    gc.collect()  # ends the worker while the short wait holds


def test_synthetic_scenes_open_by_the_same_function() -> None:
    dataset = open_dataset("synthroad", split="test", size=(64, 96), crop=48, augment=True, length=4, seed=2)
    assert len(dataset) == 4
    assert dataset.task == "segmentation"
    for pair, name in zip(dataset, dataset.names, strict=True):
        assert pair.name == name
        assert pair.size == pair.mask.shape == pair.optimum.shape == (48, 48)
        assert pair.mask.max() < len(dataset.classes)
    detection = open_dataset("SynthRoad", task="detection", length=3, size=64)
    assert all((pair.boxes[:, 0] < len(detection.classes)).all() for pair in detection)
    with pytest.raises(InputError, match="SynthRoad has no task 'depth'"):
        open_dataset("SynthRoad", task="depth")
    as_its_row_says = open_dataset("SynthRoad", split="test")
    assert (len(as_its_row_says), as_its_row_says.source.scenes.size) == (361, (480, 640))
    with pytest.raises(InputError, match="TNO: length = 3 is for scenes that are drawn"):
        open_dataset("TNO", length=3)


# --- the real samples -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "options", "count"),
    [
        ("MSRS", {"split": "train", "task": "detection"}, 4),
        ("MSRS", {"split": "test", "task": "detection"}, 22),
        ("LLVIP", {"split": "published-train", "task": "fusion"}, 32),
        ("LLVIP", {"split": "published-test", "task": "fusion"}, 12),
        ("RoadScene", {}, 166),
        ("TNO", {}, 13),
    ],
)
def test_real_samples_are_found_and_read(real_data: Path, name: str, options: dict, count: int) -> None:
    dataset = open_dataset(name, real_data, **options)
    assert len(dataset) == count
    for i in (0, count - 1):
        pair = dataset[i]
        assert pair.ir.shape == pair.vi.shape
        assert 0 <= min(pair.ir.min(), pair.vi.min()) <= max(pair.ir.max(), pair.vi.max()) <= 1


def test_real_msrs_boxes_are_counted_as_in_their_files(real_data: Path) -> None:
    lines = sum(
        len(p.read_text().split()) // 5 for p in (real_data / "msrs/detection_labels/test").glob("*.txt")
    )
    dataset = open_dataset("MSRS", real_data, "test", task="detection")
    assert sum(len(pair.boxes) for pair in dataset) == lines == 85


@pytest.mark.skipif(sys.platform == "win32", reason="links to folders need a privilege on this system")
def test_real_llvip_boxes_are_those_of_the_paper_list(real_data: Path, tmp_path: Path) -> None:
    # The samples come without their XML files: write them from the paper's list, and read them back.
    lists = {}
    for split in ("train", "test"):
        for line in (real_data / "splits" / f"LLVIP_{split}.txt").read_text().splitlines():
            name, *rows = line.split()
            boxes = np.array([[float(v) for v in row.split(",")] for row in rows])[:, [4, 0, 1, 2, 3]]
            lists[Path(name).stem] = boxes
    for folder in ("infrared", "visible"):
        (tmp_path / folder).symlink_to(real_data / "llvip" / folder, target_is_directory=True)
    for name, boxes in lists.items():
        save_text(tmp_path / "Annotations" / f"{name}.xml", voc_text(boxes, ("person",), (1024, 1280)))
    found = 0
    for split in ("train", "test"):
        dataset = open_replica("LLVIP", tmp_path, split=split)
        for pair in dataset:
            assert np.array_equal(pair.boxes, lists[pair.name])
            found += 1
    assert found == sum(
        (real_data / "llvip/infrared" / s / f"{n}.jpg").exists() for n in lists for s in ("train", "test")
    )


def test_pairs_read_ahead_are_those_read_when_asked_for():
    source = open_dataset("SynthRoad", length=5, size=(32, 48), seed=3).source
    ahead, asked = KeptSource(source), KeptSource(source)
    ahead.read_all(2, progress=False)
    ahead.source = None  # whatever is read from now on is in memory
    for one, other in zip((ahead[i] for i in range(5)), (asked[i] for i in range(5))):
        assert one.name == other.name
        for name in ("ir", "vi", "mask", "boxes"):
            assert torch.equal(getattr(one, name), getattr(other, name)), name
        assert one.mask.dtype == torch.int64


def test_reading_ahead_stops_where_memory_ends():
    source = open_dataset("SynthRoad", length=4, size=(32, 48), seed=3).source
    whole = KeptSource(source)[0]
    two = KeptSource(source, room=2.5 * (whole.ir.nbytes * 2 + whole.mask.nbytes / 8))
    two.read_all(1, progress=False)
    assert len(two._kept) == 2
    assert two[3].name == source.names[3]
