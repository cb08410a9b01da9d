"""Downstream scores against scikit-learn, torchmetrics and a second computation of average precision."""

from __future__ import annotations

import json
import math
import re

import numpy as np
import pytest
import torch
from sklearn.metrics import confusion_matrix as sklearn_confusion
from sklearn.metrics import jaccard_score, recall_score
from torchmetrics.classification import MulticlassAccuracy, MulticlassJaccardIndex
from transformers import SegformerConfig, SegformerForSemanticSegmentation

from tdfusion.downstream.protocols import SEGFORMERS
from tdfusion.downstream.scores import (
    confusion_matrix,
    detection_scores,
    read_scores,
    segmentation_scores,
    summary_rows,
)
from tdfusion.errors import InputError

ABOUT = {"dataset": "toy", "source": "mean", "seed": 0, "images": 2}
NAMES = ("background", "car", "person", "bicycle")


@pytest.fixture
def maps() -> tuple[np.ndarray, np.ndarray]:
    """Two label maps and guesses of them; no pixel is truly a bicycle (3), some are called one."""
    rng = np.random.default_rng(0)
    true = rng.choice(3, (2, 20, 30), p=[0.7, 0.2, 0.1])
    return np.where(rng.random(true.shape) < 0.6, true, rng.integers(0, 4, true.shape)), true


def test_confusion_is_scikit_learns(maps) -> None:
    guess, true = maps
    expected = sklearn_confusion(true.ravel(), guess.ravel(), labels=range(4))
    assert (confusion_matrix(guess, true, 4) == expected).all()
    per_image = sum(confusion_matrix(g, t, 4) for g, t in zip(*maps, strict=True))
    assert (per_image == expected).all()


def test_class_scores_are_scikit_learns_recall_and_jaccard(maps) -> None:
    guess, true = maps
    scores = segmentation_scores(confusion_matrix(guess, true, 4), NAMES, **ABOUT)
    recall = recall_score(true.ravel(), guess.ravel(), labels=range(4), average=None, zero_division=0)
    jaccard = jaccard_score(true.ravel(), guess.ravel(), labels=range(4), average=None)
    for index, one in enumerate(scores.classes[:3]):
        assert one.values["Acc"] == pytest.approx(recall[index])
        assert one.values["IoU"] == pytest.approx(jaccard[index])
        assert one.count == (true == index).sum()
    assert scores.values["mAcc"] == pytest.approx(recall[:3].mean())
    assert scores.values["mIoU"] == pytest.approx(jaccard[:3].mean())


def test_with_every_class_present_the_means_are_torchmetrics(maps) -> None:
    guess, true = maps
    true = true.copy()
    true[0, 0, :5] = 3
    scores = segmentation_scores(confusion_matrix(guess, true, 4), NAMES, **ABOUT)
    x, y = torch.from_numpy(guess), torch.from_numpy(true)
    assert scores.values["mIoU"] == pytest.approx(MulticlassJaccardIndex(4)(x, y).item(), abs=1e-6)
    assert scores.values["mAcc"] == pytest.approx(MulticlassAccuracy(4)(x, y).item(), abs=1e-6)
    assert scores.absent == ()


def test_an_absent_class_is_in_no_mean_and_is_named(maps) -> None:
    guess, true = maps
    scores = segmentation_scores(confusion_matrix(guess, true, 4), NAMES, **ABOUT)
    assert scores.absent == ("bicycle",)
    assert scores.said() == "means over 3 of 4 classes, 2 test images; absent from them: bicycle"
    assert math.isnan(scores.classes[3].values["IoU"])
    assert re.search(r"\| bicycle +\| +0 \| +- \| +- \|", scores.table())


def test_every_average_is_printed_and_the_protocol_is_named(maps) -> None:
    """Each against scikit-learn's scores of the classes, averaged here."""
    guess, true = maps
    confusion = confusion_matrix(guess, true, 4)
    iou = jaccard_score(true.ravel(), guess.ravel(), labels=range(4), average=None)
    expected = {
        "mean of 3": iou[:3].mean(),
        "mean of 4, absent 0": iou[:3].sum() / 4,
        "mean of 2, no background": iou[1:3].mean(),
        "mean of 3, no background, absent 0": iou[1:3].sum() / 3,
    }
    named = {
        "paper": "mean of 3",
        "foreground": "mean of 2, no background",
        "all-classes": "mean of 4, absent 0",
    }
    for protocol, mean in named.items():
        scores = segmentation_scores(confusion, NAMES, **ABOUT, protocol=protocol, background=0)
        averages = scores.averages()
        assert {name: values["mIoU"] for name, values in averages.items()} == pytest.approx(expected)
        assert scores.values == averages[mean]
        rows = scores.table().splitlines()
        assert rows[6].startswith(f"| protocol {protocol} ")
        assert [row.split("|")[1].strip() for row in rows[7:]] == list(expected)
    scores = detection_scores({0: [0.5] * 10}, [2, 0], ("person", "car"), **ABOUT, protocol="all-classes")
    assert scores.values["mAP50"] == 0.25
    assert {name: values["mAP50"] for name, values in scores.averages().items()} == {
        "mean of 1": 0.5, "mean of 2, absent 0": 0.25
    }  # fmt: skip


def test_scores_from_before_there_were_protocols_are_read(maps, tmp_path) -> None:
    guess, true = maps
    scores = segmentation_scores(confusion_matrix(guess, true, 4), NAMES, **ABOUT)
    scores.to_json(tmp_path / "scores.json")
    old = json.loads((tmp_path / "scores.json").read_text())
    for name in ("protocol", "background", "fold", "averages"):
        del old[name]
    (tmp_path / "scores.json").write_text(json.dumps(old))
    assert read_scores(tmp_path).values == scores.values


def test_the_sizes_of_segformer_are_those_of_its_paper() -> None:
    """Parameters in millions, with three channels and ADE20K's 150 classes, of its Table 2."""
    for name, millions in (("b0", 3.8), ("b3", 47.3)):
        with torch.device("meta"):
            network = SegformerForSemanticSegmentation(SegformerConfig(num_labels=150, **SEGFORMERS[name]))
        assert sum(p.numel() for p in network.parameters()) / 1e6 == pytest.approx(millions, abs=0.2)


def test_pixels_wrongly_given_to_an_absent_class_still_count(maps) -> None:
    guess, true = maps
    without = np.where(guess == 3, true, guess)  # as if those pixels had been right
    ours, better = (
        segmentation_scores(confusion_matrix(g, true, 4), NAMES, **ABOUT).values["mIoU"]
        for g in (guess, without)
    )
    assert ours < better


def test_detection_means_run_over_the_classes_with_objects() -> None:
    ap = {0: np.linspace(0.9, 0.0, 10), 2: np.full(10, 0.5)}
    scores = detection_scores(ap, [4, 3, 1, 0], NAMES, **ABOUT)
    assert scores.absent == ("bicycle",)
    assert scores.values["mAP50"] == pytest.approx((0.9 + 0 + 0.5) / 3)  # cars were never found
    assert scores.values["mAP75"] == pytest.approx((0.4 + 0 + 0.5) / 3)
    assert scores.values["mAP50-95"] == pytest.approx((0.45 + 0 + 0.5) / 3)


def test_scores_are_read_as_they_were_written(maps, tmp_path) -> None:
    guess, true = maps
    scores = segmentation_scores(confusion_matrix(guess, true, 4), NAMES, **ABOUT)
    scores.to_json(tmp_path / "scores.json")
    back = read_scores(tmp_path)
    assert repr(back) == repr(scores)  # NaN is not equal to itself
    scores.to_csv(tmp_path / "scores.csv")
    lines = (tmp_path / "scores.csv").read_text().splitlines()
    assert lines[0] == "dataset,task,source,seed,class,pixels,Acc,IoU"
    assert lines[-1] == "toy,segmentation,mean,0,bicycle,0,,"


def test_files_that_hold_no_scores_are_named(tmp_path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_scores(tmp_path)
    (tmp_path / "scores.json").write_text('{"format": "other"}')
    with pytest.raises(InputError, match="not the scores of tdfusion downstream"):
        read_scores(tmp_path)


def test_a_matrix_of_other_classes_is_refused() -> None:
    with pytest.raises(InputError, match=r"shape \(3, 3\) for 4 classes"):
        segmentation_scores(np.eye(3), NAMES, **ABOUT)


def test_a_source_is_summed_up_over_its_seeds() -> None:
    runs = [
        detection_scores({0: [ap] * 10}, [1], ("person",), **(ABOUT | {"seed": seed}))
        for seed, ap in enumerate((0.1, 0.2, 0.3))
    ]
    assert summary_rows(runs) == [("mean", "3", "20.0 ± 10.0", "20.0 ± 10.0", "20.0 ± 10.0")]
    assert summary_rows(runs[:1]) == [("mean", "1", "10.0", "10.0", "10.0")]
