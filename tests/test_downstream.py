"""Retraining T on a method's images: sources, layouts, refusals, resuming, weights, nothing phoning home."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from replicas import Replica, save_image, save_text, write_replica
from safetensors.torch import load_file
from torch import Tensor
from transformers import SegformerConfig, SegformerForImageClassification, SegformerForSemanticSegmentation

from tdfusion.commands.main import main
from tdfusion.data.images import to_uint8
from tdfusion.data.readers import open_dataset
from tdfusion.data.synthroad.scenes import SynthRoad, oracle_weights
from tdfusion.downstream import make_downstream_config, open_source, read_scores, retrain
from tdfusion.downstream.config import DownstreamConfig
from tdfusion.downstream.prepare import open_split, prepare
from tdfusion.downstream.protocols import SEGFORMERS
from tdfusion.errors import InputError
from tdfusion.evaluate.folders import fuse_baseline
from tdfusion.fusing import fuse_files, match_pairs
from tdfusion.models import FusionNet
from tdfusion.weights import write_safetensors

LEFT = {"config.json", "provenance.json", "history.jsonl", "scores.json", "scores.csv", "T.safetensors"}
LAYOUTS = [
    ("MSRS", "segmentation"),
    ("FMB", "segmentation"),
    ("MSRS", "detection"),
    ("M3FD", "detection"),
    ("LLVIP", "detection"),
]


def config(task: str = "segmentation", **settings: object) -> DownstreamConfig:
    small = {"epochs": 1, "batch": 2, "train_pairs": 2, "test_pairs": 2}
    return make_downstream_config("smoke", task=task, **(small | settings))


def on(replica: Replica, task: str = "segmentation", **settings: object) -> DownstreamConfig:
    return config(task, dataset=replica.root.name, root=str(replica.root), **settings)


def weights_of(out: Path) -> dict[str, Tensor]:
    return load_file(out / "T.safetensors")


@pytest.fixture
def msrs(tmp_path: Path) -> Replica:
    return write_replica(tmp_path, "MSRS", pairs=2)


# --- the whole path


@pytest.mark.parametrize(("name", "task"), LAYOUTS)
def test_every_layout_goes_from_files_to_a_run_folder(tmp_path: Path, name: str, task: str) -> None:
    replica = write_replica(tmp_path, name, pairs=2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # names of the paper's lists that the replica lacks
        chosen = on(replica, task, source="max", partial=name in ("M3FD", "LLVIP"))
        scores = retrain(chosen, tmp_path / "run", progress=False)
    extra = {"T.json"} if task == "segmentation" else set()
    assert {p.name for p in (tmp_path / "run").iterdir()} == LEFT | extra
    assert repr(read_scores(tmp_path / "run")) == repr(scores)
    assert json.loads((tmp_path / "run" / "config.json").read_text())["source"] == "max"
    counts = {c.name: c.count for c in scores.classes}
    truth = replica.scenes["test"].values()
    if task == "segmentation":
        assert sum(counts.values()) == 2 * 64 * 64
    else:
        ids = np.concatenate([scene.boxes[:, 0] for scene in truth])
        assert list(counts.values()) == [int((ids == c).sum()) for c in range(len(counts))]


def test_prepared_boxes_are_those_of_the_labels(msrs: Replica, tmp_path: Path) -> None:
    """Read back by another hand: the published size is 40x56, T sees 64x96."""
    prepared = prepare(on(msrs, "detection", size=(64, 96)), tmp_path / "files", progress=False)
    for name, scene in msrs.scenes["test"].items():
        rows = np.loadtxt(prepared.label("test", name), ndmin=2)
        corners = np.stack([rows[:, 1] - rows[:, 3] / 2, rows[:, 2] - rows[:, 4] / 2], 1) * [56, 40]
        np.testing.assert_allclose(corners, scene.boxes[:, 1:3], atol=1e-3)
        np.testing.assert_array_equal(rows[:, 0], scene.boxes[:, 0])


def test_the_seed_decides_the_run(tmp_path: Path) -> None:
    runs = {}
    for out, seed in (("a", 0), ("b", 0), ("c", 1)):
        retrain(config(seed=seed), tmp_path / out, progress=False)
        runs[out] = weights_of(tmp_path / out)
    assert all(torch.equal(runs["a"][k], runs["b"][k]) for k in runs["a"])
    assert not all(torch.equal(runs["a"][k], runs["c"][k]) for k in runs["a"])


def test_the_process_is_left_as_it_was(tmp_path: Path) -> None:
    def state() -> tuple:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("YOLO_")}
        torch_state = (torch.get_num_threads(), torch.are_deterministic_algorithms_enabled())
        return (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist(),  # noqa: NPY002
                torch_state, environment)  # fmt: skip

    before = state()
    for task in ("segmentation", "detection"):
        retrain(config(task), tmp_path / task, progress=False)
        assert state() == before


def test_the_command_prints_what_it_writes(tmp_path: Path, capsys) -> None:
    out = tmp_path / "run"
    command = ["downstream", "--source", "vi", "--out", str(out), "--epochs", "1", "--train-pairs", "2"]
    assert main([*command, "--test-pairs", "1", "--set", "engine.learning_rate=0.001", "--predictions"]) == 0
    printed = capsys.readouterr().out
    assert "SynthRoad, segmentation on visible, seed 0: means over" in printed
    assert "protocol tiny: SegFormer-TINY from scratch on the training and the test split" in printed
    assert "(but the first 2 training pairs, the first 1 test pairs)" in printed
    assert read_scores(out).table() in printed
    written = json.loads((out / "config.json").read_text())
    assert written["engine"]["learning_rate"] == 0.001
    assert written["engine"]["weight_decay"] == 0.01  # the preset's others stay
    assert len(list((out / "predictions").glob("*.png"))) == 1
    assert main([*command]) == 2  # another run's folder


def test_real_pairs_with_published_labels(real_data: Path, tmp_path: Path) -> None:
    chosen = config("detection", dataset="MSRS", root=str(real_data / "msrs"), size=(96, 128), source="mean")
    scores = retrain(chosen, tmp_path / "run", progress=False)
    pairs = open_dataset("MSRS", real_data / "msrs", "test", "detection")
    boxes = torch.cat([pairs[i].boxes for i in range(2)])
    assert [c.count for c in scores.classes] == [int((boxes[:, 0] == c).sum()) for c in range(3)]
    assert scores.images == 2


# --- average precision, computed a second time


def test_the_engines_mean_average_precision_is_what_its_definition_gives(tmp_path, monkeypatch) -> None:
    """Made-up detections, near the truth and far from it, go through the engine; we match and integrate anew."""
    from tdfusion.tasks.detection import import_ultralytics

    import_ultralytics()
    from tdfusion.downstream.yolo import RecordingValidator

    draw = np.random.default_rng(0)
    seen: dict[str, dict] = {}
    preprocess = RecordingValidator.preprocess

    def keep(self, batch):
        seen["batch"] = preprocess(self, batch)
        return seen["batch"]

    def made_up(self, preds):
        batch, found = seen["batch"], []
        H, W = batch["img"].shape[2:]
        for index in range(len(batch["im_file"])):
            mine = (batch["batch_idx"] == index).numpy()
            cx, cy, w, h = (batch["bboxes"].numpy()[mine] * [W, H, W, H]).T
            truth = np.stack([cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2], 1)  # (n, 4)
            near = np.repeat(truth, 2, 0)
            near = near + draw.normal(0, 0.08, near.shape) * np.repeat(np.stack([w, h, w, h], 1), 2, 0)
            classes = np.repeat(batch["cls"].numpy()[mine, 0], 2)
            classes = np.where(draw.random(len(classes)) < 0.2, draw.integers(0, 6, len(classes)), classes)
            rows = [near, draw.random(len(near)), classes]
            boxes, conf, cls = (torch.tensor(np.asarray(r), dtype=torch.float32) for r in rows)
            order = conf.argsort(descending=True)
            found.append(
                {"bboxes": boxes[order], "conf": conf[order], "cls": cls[order], "extra": boxes[:, :0]}
            )
        return found

    monkeypatch.setattr(RecordingValidator, "preprocess", keep)
    monkeypatch.setattr(RecordingValidator, "postprocess", made_up)
    chosen = config("detection", test_pairs=12, predictions=True)
    scores = retrain(chosen, tmp_path / "run", progress=False)
    found = json.loads((tmp_path / "run" / "predictions.json").read_text())
    truth = {pair.name: pair.boxes.numpy() for pair in (open_split(chosen, "test")[i] for i in range(12))}
    for c, one in enumerate(scores.classes):
        for name, threshold in (("AP50", 0.5), ("AP75", 0.75)):
            if one.count:
                expected = average_precision(found, truth, c, threshold)
                assert one.values[name] == pytest.approx(expected, abs=1e-4), (one.name, name)
    assert 0.2 < scores.values["mAP75"] < scores.values["mAP50"] < 0.95


def average_precision(found: dict, truth: dict, c: int, threshold: float) -> float:
    """Most confident first, each takes the free true box it overlaps most, if by ``threshold``; area under the
    envelope of precision over recall, read at 101 recalls and joined by straight lines."""
    total = sum(int((boxes[:, 0] == c).sum()) for boxes in truth.values())
    rows = sorted(((r[1], name, r[2:]) for name in found for r in found[name] if r[0] == c), reverse=True)
    free = {name: [b[1:] for b in boxes if b[0] == c] for name, boxes in truth.items()}
    hits = []
    for _, name, box in rows:
        overlaps = [overlap(box, other) for other in free[name]]
        hits.append(bool(overlaps) and max(overlaps) >= threshold)
        if hits[-1]:
            free[name].pop(int(np.argmax(overlaps)))
    right = np.cumsum(hits)
    recall, precision = right / total, right / np.arange(1, len(hits) + 1)
    reached = recall[-1] if len(recall) else 0.0
    grid = np.linspace(0, 1, 101)
    points = (
        [(0.0, 1.0)] + [(r, precision[k:].max()) for k, r in enumerate(recall)] + [(reached, 0.0), (1.0, 0.0)]
    )
    curve = np.interp(grid, *zip(*points, strict=True))
    return float(np.sum((curve[1:] + curve[:-1]) / 2) / 100)


def overlap(one, other) -> float:
    w = min(one[2], other[2]) - max(one[0], other[0])
    h = min(one[3], other[3]) - max(one[1], other[1])
    both = max(w, 0) * max(h, 0)
    area = sum((b[2] - b[0]) * (b[3] - b[1]) for b in (one, other))
    return both / (area - both)


# --- interrupted and resumed


def test_an_interrupted_segmentation_ends_as_if_it_had_not_been(tmp_path: Path, monkeypatch) -> None:
    from tdfusion.downstream import segmentation

    chosen = config(epochs=4, train_pairs=6)
    retrain(chosen, tmp_path / "whole", progress=False)
    step_end = segmentation._Bar.on_step_end

    def stop(self, args, state, control, **kwargs):
        if state.global_step == 7:
            raise KeyboardInterrupt
        step_end(self, args, state, control, **kwargs)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(segmentation._Bar, "on_step_end", stop)
        retrain(chosen, tmp_path / "run", progress=False)
    assert not (tmp_path / "run" / "scores.json").exists()
    (tmp_path / "run" / "checkpoints" / "checkpoint-99").mkdir()  # as if cut short while it was written
    with pytest.raises(InputError, match=r"run: not empty \(resume goes on with it\)"):
        retrain(chosen, tmp_path / "run", progress=False)
    scores = retrain(chosen, tmp_path / "run", resume=True, progress=False)
    assert json.loads((tmp_path / "run" / "provenance.json").read_text())["resumed"] is True
    whole, resumed = weights_of(tmp_path / "whole"), weights_of(tmp_path / "run")
    assert all(torch.equal(whole[k], resumed[k]) for k in whole)
    assert repr(scores) == repr(read_scores(tmp_path / "whole"))


def test_an_interrupted_detection_goes_on_with_the_next_epoch(tmp_path: Path, monkeypatch) -> None:
    from tdfusion.tasks.detection import import_ultralytics

    import_ultralytics()
    from tdfusion.downstream.yolo import RetrainingTrainer

    chosen = config("detection", epochs=4)
    begun: list[int] = []
    model_train = RetrainingTrainer._model_train

    def stop(self):
        begun.append(self.epoch)
        if begun == [0, 1, 2]:
            raise KeyboardInterrupt
        model_train(self)

    monkeypatch.setattr(RetrainingTrainer, "_model_train", stop)
    with pytest.raises(KeyboardInterrupt):
        retrain(chosen, tmp_path / "run", progress=False)
    retrain(chosen, tmp_path / "run", resume=True, progress=False)
    assert begun == [0, 1, 2, 2, 3]
    history = [json.loads(line) for line in (tmp_path / "run" / "history.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in history] == [1, 2, 3, 4]


def test_a_run_never_overwrites_another(tmp_path: Path) -> None:
    retrain(config(), tmp_path / "run", progress=False)
    before = (tmp_path / "run" / "scores.json").read_bytes()
    with pytest.raises(InputError, match="a run never overwrites another, name a new folder"):
        retrain(config(), tmp_path / "run", progress=False)
    with pytest.raises(InputError, match="this run has finished"):
        retrain(config(), tmp_path / "run", resume=True, progress=False)
    with pytest.raises(InputError, match=r"a resumed run keeps its settings .seed = 0 there, 1 here"):
        retrain(config(seed=1), tmp_path / "run", resume=True, progress=False)
    with pytest.raises(InputError, match="no run to resume"):
        retrain(config(), tmp_path / "none", resume=True, progress=False)
    assert (tmp_path / "run" / "scores.json").read_bytes() == before
    save_text(tmp_path / "mine" / "thesis.txt", "x")
    with pytest.raises(InputError, match="mine: not empty; a run never overwrites another"):
        retrain(config(), tmp_path / "mine", progress=False)


# --- sources


def test_baselines_are_those_of_the_fusion_scores(msrs: Replica) -> None:
    pair = open_dataset("MSRS", msrs.root, "test")[0]
    for text, name in (("ir", "infrared"), ("vi", "visible"), ("mean", "mean"), ("max", "max")):
        source = open_source(text)
        assert source.name == name
        expected = fuse_baseline(name, to_uint8(pair.ir), to_uint8(pair.vi))
        assert (source("test", pair) == expected).all()


def test_the_oracle_takes_every_pixel_from_where_it_should() -> None:
    pair = SynthRoad("test", 3, (64, 64))[2]
    infrared = oracle_weights(pair.optimum)[0] == 1
    expected = np.where(infrared, to_uint8(pair.ir), to_uint8(pair.vi))
    assert (open_source("oracle")("test", pair) == expected).all()


def test_weights_of_F_give_what_its_fused_files_give(msrs: Replica, tmp_path: Path) -> None:
    F = FusionNet()
    write_safetensors(tmp_path / "ours" / "F.safetensors", F)
    images = {}
    for split in ("train", "test"):
        for scene in msrs.scenes[split].values():
            save_image(scene.files["vi"], scene.vi[..., 1])  # gray: a colour result is clipped to RGB
        folder = msrs.root / split
        fuse_files(F, match_pairs(folder / "ir", folder / "vi", tmp_path / "fused" / split), progress=False)
    for text in (tmp_path / "ours" / "F.safetensors", tmp_path / "fused"):
        prepared = prepare(on(msrs, source=str(text), size=(40, 56)), tmp_path / text.name, progress=False)
        images[prepared.source] = [
            np.asarray(Image.open(prepared.image(s, n))) for s in prepared.names for n in prepared.names[s]
        ]
    assert images.keys() == {"ours", "fused"}
    np.testing.assert_array_equal(images["ours"], images["fused"])


# --- refused before training


def refused(chosen: DownstreamConfig, out: Path, message: str) -> None:
    with pytest.raises(InputError, match=message):
        retrain(chosen, out, progress=False)
    assert not (out / "checkpoints").exists()


def test_a_label_of_no_class_is_named(msrs: Replica, tmp_path: Path) -> None:
    name, scene = list(msrs.scenes["test"].items())[1]
    save_image(scene.files["segmentation"], np.full((40, 56), 9, np.uint8))
    refused(on(msrs), tmp_path / "a", f"{name}.png: class ids 9 are unknown, expected 0 to 8")
    save_text(scene.files["detection"], "3 0.5 0.5 0.1 0.1\n")
    refused(on(msrs, "detection"), tmp_path / "b", f"{name}.txt: line 1 .*class 3 is unknown")


def test_a_label_of_no_class_in_given_pairs_is_named(tmp_path: Path) -> None:
    chosen = config()
    pairs = {s: [open_split(chosen, s)[i] for i in range(2)] for s in ("train", "test")}
    pairs["test"][1] = replace(pairs["test"][1], mask=pairs["test"][1].mask + 5)
    with pytest.raises(InputError, match=f"{pairs['test'][1].name}: class 9"):
        retrain(chosen, tmp_path / "a", pairs=pairs, progress=False)
    pairs["test"][1] = replace(pairs["test"][1], mask=None)
    with pytest.raises(InputError, match="no mask, which segmentation is trained on"):
        retrain(chosen, tmp_path / "b", pairs=pairs, progress=False)


@pytest.mark.parametrize("task", ["segmentation", "detection"])
def test_an_image_without_a_label_is_named(msrs: Replica, tmp_path: Path, task: str) -> None:
    name, scene = next(iter(msrs.scenes["train"].items()))
    scene.files[task].unlink()
    refused(on(msrs, task), tmp_path / "run", f"{name}.png: no label {name}")


def test_a_folder_that_lacks_an_image_or_has_another_size_is_named(msrs: Replica, tmp_path: Path) -> None:
    for scene in msrs.scenes["train"].values():
        save_image(tmp_path / "fused" / scene.files["ir"].name, scene.ir)
    chosen = on(msrs, source=str(tmp_path / "fused"))
    first, second = msrs.scenes["test"]
    refused(chosen, tmp_path / "a", rf"fused: no image {first} \(and 1 more\) of the test pairs")
    for name in (first, second):
        save_image(tmp_path / "fused" / f"{name}.png", np.zeros((20, 28), np.uint8))
    refused(chosen, tmp_path / "b", f"{first}.png: 28x20 pixels, but its pair has 56x40")


def test_weights_of_other_classes_are_named(msrs: Replica, tmp_path: Path) -> None:
    for task in ("segmentation", "detection"):
        retrain(config(task), tmp_path / task, progress=False)  # 9 and 6 classes
    T = str(tmp_path / "segmentation" / "T.safetensors")
    fmb = write_replica(tmp_path, "FMB", pairs=2)
    refused(on(fmb, weights=T), tmp_path / "a", "T.safetensors: weights for 9 classes, .* has 15")
    T = str(tmp_path / "detection" / "T.safetensors")
    refused(
        on(msrs, "detection", weights=T), tmp_path / "b", "T.safetensors: weights for 6 classes, .* has 3"
    )
    network = SegformerForSemanticSegmentation(SegformerConfig(num_labels=4, **SEGFORMERS["tiny"]))
    network.save_pretrained(tmp_path / "four")
    refused(config(weights=str(tmp_path / "four")), tmp_path / "c", "four: weights for 4 classes")
    refused(config(weights=str(tmp_path / "none.safetensors")), tmp_path / "d", "no such weight file")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"source": "oracel"}, 'source "oracel": choose infrared, visible, mean, max, oracle'),
        ({"engine": {"learning_rat": 1.0}}, "learning_rat is none of transformers' TrainingArguments"),
        ({"engine": {"seed": 3}}, "seed is none of transformers' TrainingArguments, or is set by tdfusion"),
        ({"network": {"hidden_sizes": [7, 7, 7, 7]}}, "no SegFormer can be built"),
        ({"task": "detection", "engine": {"lr1": 0.1}}, "lr1 is no setting of ultralytics"),
        ({"task": "detection", "engine": {"amp": True}}, "would download a network"),
        ({"task": "detection", "size": (32, 32)}, "at least 64 px"),
    ],
)
def test_settings_that_cannot_be_are_named(tmp_path: Path, settings: dict, message: str) -> None:
    refused(config(**settings), tmp_path / "run", message)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"task": "pose"}, 'task = "pose"'),
        ({"dataset": "COCO"}, "no data set 'COCO'; choose one of SynthRoad"),
        ({"dataset": "TNO"}, "TNO has no labels for segmentation; choose one of SynthRoad, MSRS, FMB"),
        ({"protocol": "mine"}, 'no protocol "mine"; choose one of paper'),
        ({"fold": 1}, "fold = 1: protocol tiny has no folds"),
        ({"protocol": "MSRS-blocks"}, "its folds are of MSRS, not of SynthRoad"),
        ({"protocol": "MSRS-blocks", "dataset": "MSRS", "fold": 3}, "has folds 0 to 2; score each"),
        ({"epochs": 0}, "epochs = 0: expected a whole number > 0"),
        ({"seed": -1}, "seed = -1"),
        ({"epoch": 3}, 'unknown setting "epoch"; did you mean "epochs"'),
        ({"task": "detection", "network": {"depths": [1]}}, "detection has YOLOv8n as it is"),
    ],
)
def test_configurations_that_cannot_be_are_named(settings: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_downstream_config("smoke", **settings)
    with pytest.raises(InputError, match='unknown preset "huge"'):
        make_downstream_config("huge")


def test_the_oracle_needs_known_truth(msrs: Replica, tmp_path: Path) -> None:
    refused(on(msrs, source="oracle"), tmp_path / "run", 'source "oracle" needs scenes with known truth')


# --- weights to start from


def test_an_encoder_of_three_channels_sees_gray_as_three_equal_ones(tmp_path: Path) -> None:
    from tdfusion.downstream.segmentation import build

    torch.manual_seed(5)
    classifier = SegformerForImageClassification(
        SegformerConfig(num_labels=1000, **SEGFORMERS["tiny"])
    ).eval()
    classifier.save_pretrained(tmp_path / "imagenet")
    T = build(config(weights=str(tmp_path / "imagenet")), 9).eval()
    gray = torch.rand(2, 1, 64, 64)
    with torch.no_grad():
        ours = T.network.segformer(gray).last_hidden_state
        theirs = classifier.segformer(gray.repeat(1, 3, 1, 1)).last_hidden_state
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


# --- nothing phones home

IN_A_FRESH_PROCESS = """
import os, socket, sys

def refuse(*arguments, **named):
    os.write(2, f"reached out: {arguments}".encode())
    os._exit(3)  # an exception could be swallowed

for name in ("connect", "connect_ex", "sendto"):
    setattr(socket.socket, name, refuse)
for name in ("getaddrinfo", "gethostbyname", "create_connection"):
    setattr(socket, name, refuse)

import torch
torch.set_num_threads(1)
from tdfusion.downstream import make_downstream_config, retrain
for task in ("segmentation", "detection"):
    retrain(make_downstream_config("smoke", task=task, train_pairs=2, test_pairs=1), f"run-{task}", progress=False)
"""


def test_offline_silent_and_nothing_left_elsewhere(tmp_path: Path) -> None:
    home, scratch, here = (tmp_path / name for name in ("home", "scratch", "here"))
    for folder in (home, scratch, here):
        folder.mkdir()
    drop = ("YOLO_", "ULTRALYTICS_", "XDG_", "PYTEST", "HF_")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(drop)} | {
        "HOME": str(home),
        "TMPDIR": str(scratch),
        "PYTHONPATH": str(Path(__file__).parents[1]),
        "MPLCONFIGDIR": str(home),
    }
    done = subprocess.run(
        [sys.executable, "-c", IN_A_FRESH_PROCESS], cwd=here, env=environment, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "")
    assert sorted(p.name for p in here.iterdir()) == ["run-detection", "run-segmentation"]
    assert [p.name for p in (*home.rglob("*"), *scratch.rglob("*")) if p.is_file()] == []
