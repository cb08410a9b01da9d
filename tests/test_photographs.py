"""The study of photographs: every pair is scored once, by networks that have not seen its block."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from studies import photographs
from studies.photographs_arms import ARMS, CLASSES, FOLDS, TEACHER, jobs, needs
from tdfusion.data.splits import named_folds
from tdfusion.downstream.judge import train_judge
from tdfusion.errors import InputError
from tdfusion.tasks.unet import UNetTask

FOLD = named_folds(FOLDS).fold
SIZE = (16, 16)


@pytest.fixture
def pairs(tmp_path, monkeypatch) -> photographs.Photographs:
    """The names of MSRS; every image has one value of its own, so that it can be told from the others."""
    names = tuple(sorted(FOLD))
    value = torch.arange(len(names)) / len(names)
    images = value[:, None, None, None].expand(-1, 1, *SIZE).clone()
    mask = torch.zeros(len(names), *SIZE, dtype=torch.int64)
    mask[:, :4, :4], mask[:, 8:, 8:], mask[:, 8:, :8] = 1, 2, 3
    made = photographs.Photographs(names, images, 1 - images, mask)
    monkeypatch.setattr(photographs, "load", lambda size, root: made)
    monkeypatch.setattr(photographs, "SCRATCH", tmp_path)
    return made


class AllRight(nn.Module):
    """A judge that says what is true, and keeps what it was asked."""

    def __init__(self, mask: Tensor) -> None:
        super().__init__()
        self.mask = mask

    def predict(self, images: Tensor) -> Tensor:
        return self.mask[: len(images)]


def test_every_pair_is_scored_once_by_a_judge_that_has_not_seen_its_fold(pairs, monkeypatch) -> None:
    seen: list[set[str]] = []

    def train(given: tuple[Tensor, Tensor], classes: int, **_: Any) -> AllRight:
        seen.append({pairs.names[round(float(x) * len(pairs))] for x in given[0][:, 0, 0, 0]})
        return AllRight(pairs.mask)

    monkeypatch.setattr(photographs, "train_judge", train)
    found = photographs.run_job("96x128: infrared", 30)
    for fold, names in enumerate(seen):
        assert names == {name for name, k in FOLD.items() if k != fold}
    table = np.array(found["confusion"])
    assert table.sum() == len(pairs) * SIZE[0] * SIZE[1] and found["judged"][""][0] == 1
    assert table.sum(0).tolist() == np.diag(np.diag(table.sum(0))).tolist()
    assert found["ends"].count("D") + found["ends"].count("N") == len(table)


@pytest.mark.parametrize("name", ["half", "image step", "half + L_t"])
def test_an_F_is_trained_without_the_fold_that_is_scored(pairs, monkeypatch, name) -> None:
    small = {"L": 1, "M": 1, "N": 2, "crop": 16, "batch": 2}
    monkeypatch.setattr(photographs, "SCALE", photographs.SCALE | small)
    asked: list[int] = []
    whole = photographs.Photographs.__getitem__
    monkeypatch.setattr(
        photographs.Photographs,
        "__getitem__",
        lambda self, index: (asked.append(index), whole(self, index))[1],
    )
    F = photographs.train_F(name, 32, 1, pairs)
    assert asked and all(FOLD[pairs.names[index]] != 1 for index in asked)
    assert F(pairs.ir[:1], pairs.vi[:1]).shape == (1, 1, *SIZE)


def test_the_taught_arm_follows_the_teacher_of_its_fold(pairs, monkeypatch) -> None:
    monkeypatch.setattr(
        photographs, "SCALE", photographs.SCALE | {"L": 1, "M": 1, "N": 2, "crop": 16, "batch": 2}
    )
    mix = photographs.train_F(TEACHER, 32, 0, pairs)
    assert photographs.teacher_file(pairs, 32, 0).is_file()
    w_a, w_b = mix.G(pairs.ir[:1], pairs.vi[:1])
    torch.testing.assert_close(mix(pairs.ir[:1], pairs.vi[:1]), w_a * pairs.ir[:1] + w_b * pairs.vi[:1])
    assert photographs.train_F("taught", 32, 0, pairs) is not mix
    with pytest.raises(InputError, match="fold 2"):  # its teacher is not there
        photographs.train_F("taught", 32, 2, pairs)
    assert (
        needs("96x128: taught") == f"96x128: {TEACHER}"
        and needs("96x128: half") == needs("96x128: mean") == ""
    )


def test_rows_by_day_by_night_and_without_each_block() -> None:
    draw = np.random.default_rng(0)
    confusion = draw.integers(1, 50, (5, 4, 4))
    run = {"arm": "96x128: mean", "seed": 30, "confusion": confusion.tolist(), "ends": list("DDDNN")}
    rows = list(photographs.rows(run))
    day = confusion[:3].sum(0)
    inside = [day[k, k] / (day[k].sum() + day[:, k].sum() - day[k, k]) for k in range(4)]
    of_day = {row.get("group", ""): row["values"] for row in rows if row["task"] == "day"}
    assert of_day[""]["mIoU"] == pytest.approx(np.mean(inside))
    assert [of_day[name]["IoU"] for name in CLASSES] == pytest.approx(inside)
    assert sum("without" in name for name in of_day) == 3
    left = confusion[[0, 2]].sum(0)
    assert of_day["without block 1"]["mIoU"] == pytest.approx(
        np.mean([left[k, k] / (left[k].sum() + left[:, k].sum() - left[k, k]) for k in range(4)])
    )


def test_a_class_that_is_not_there_is_in_no_mean() -> None:
    table = np.diag([10, 5, 0, 0])
    table[0, 3] = 2  # predicted, and never there
    assert photographs.scores_of(table, 0).values["mIoU"] == pytest.approx((10 / 12 + 1) / 2)


def test_the_smaller_box_lies_above_the_larger() -> None:
    small, large = [0, 2, 2, 4, 4], [2, 0, 0, 8, 8]
    for boxes in ([small, large], [large, small]):
        mask = photographs.filled(torch.tensor(boxes, dtype=torch.float32), (8, 10))
        assert mask[3, 3] == 1 and mask[6, 6] == 3 and mask[0, 9] == 0
    assert photographs.filled(torch.zeros(0, 5), (4, 4)).sum() == 0


def test_a_judge_sees_windows_of_the_size_that_is_asked_for() -> None:
    sizes = []

    class Watching(UNetTask):
        def forward(self, I_f: Tensor, batch: Any) -> Tensor:
            sizes.append((*I_f.shape[-2:], *batch.mask.shape[-2:]))
            places.append(float(I_f.min()))
            assert torch.equal(batch.mask, (I_f[:, 0] > 0.5).long())  # the mask has the same window
            return super().forward(I_f, batch)

    places: list[float] = []
    ramp = torch.linspace(0, 1, 40 * 48).view(1, 1, 40, 48).repeat(6, 1, 1, 1)
    mask = (ramp[:, 0] > 0.5).long()
    make = lambda classes, weight: Watching(classes, weight, standardise=True, channels=1)  # noqa: E731
    train_judge((ramp, mask), 2, seed=0, steps=6, batch=2, crop=(16, 32), make_task=make)
    assert set(sizes) == {(16, 32, 16, 32)} and len(set(places)) > 1


def test_the_jobs_of_a_size_wait_for_part_a(monkeypatch) -> None:
    from studies import photographs_arms

    assert not any(name.endswith(tuple(ARMS)) for name, _ in jobs()) or photographs_arms.CHOSEN
    monkeypatch.setattr(photographs_arms, "CHOSEN", "192x256")
    assert ("192x256: taught", 33) in jobs() and ("96x128: taught", 33) not in jobs()
