"""The judge in memory: its class weights by hand, and that it sees what images show and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tdfusion.data.pair import Batch
from tdfusion.downstream.judge import judge
from tdfusion.tasks.dense import class_weights, standardised
from tdfusion.tasks.segmentation import SegmentationTask

CLASSES = ("ground", "thing")


class Threshold(nn.Module):
    """T with one number to learn: brighter than that is a thing."""

    def __init__(self, classes: int, weight: Tensor) -> None:
        super().__init__()
        self.level = nn.Parameter(torch.tensor(0.0))
        self.weight = weight

    def logits(self, I_f: Tensor) -> Tensor:
        score = 20 * (I_f - self.level)  # (B, 1, H, W)
        return torch.cat([-score, score], 1)

    def forward(self, I_f: Tensor, batch: Batch) -> Tensor:
        return nn.functional.cross_entropy(self.logits(I_f), batch.mask, self.weight)

    def predict(self, I_f: Tensor) -> Tensor:
        with torch.no_grad():
            return self.logits(I_f).argmax(1)


def scenes(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Things are bright squares, each in its own place; two thirds of an image are ground."""
    draw = np.random.default_rng(seed)
    images, masks = torch.full((count, 1, 16, 16), 0.3), torch.zeros(count, 16, 16, dtype=torch.int64)
    for i in range(count):
        y, x = draw.integers(0, 8, 2)
        images[i, 0, y : y + 8, x : x + 8], masks[i, y : y + 8, x : x + 8] = 0.7, 1
    return images, masks


def test_the_judge_learns_what_the_images_show_and_scores_the_test_images() -> None:
    train, test = scenes(24, 0), scenes(10, 1)
    right = judge(train, test, CLASSES, seed=0, steps=80, rate=0.05, make_task=Threshold)
    assert right.values["mIoU"] == 1 and right.images == 10
    blank = judge(
        (torch.full_like(train[0], 0.5), train[1]), (torch.full_like(test[0], 0.5), test[1]), CLASSES,
        seed=0, steps=80, rate=0.05, make_task=Threshold,
    )  # fmt: skip
    thing = (test[1] == 1).float().mean().item()  # one class everywhere: its share, and nothing of the other
    assert blank.values["mIoU"] in (pytest.approx(thing / 2), pytest.approx((1 - thing) / 2))


def test_a_mirrored_training_image_keeps_its_mask() -> None:
    """Where labels did not turn with the images, the left half and the right half could not be told apart."""
    images = torch.zeros(8, 1, 16, 16)
    images[..., :8] = 1.0
    masks = (images[:, 0] > 0.5).long()
    found = judge((images, masks), (images, masks), CLASSES, seed=3, steps=60, rate=0.05, make_task=Threshold)
    assert found.values["mIoU"] == 1


def test_the_same_seed_is_the_same_judge() -> None:
    train, test = scenes(8, 0), scenes(4, 1)
    images = [(x.repeat_interleave(4, -1).repeat_interleave(4, -2), m.repeat_interleave(4, -1).repeat_interleave(4, -2))
              for x, m in (train, test)]  # fmt: skip
    found = [judge(*images, CLASSES, seed=seed, steps=3).confusion for seed in (5, 5, 6)]
    assert found[0] == found[1] != found[2]


def test_class_weights_by_hand() -> None:
    """Shares 0.899 and 0.101 (and 0): 1 / sqrt(share + 0.001), divided by their mean."""
    counts = torch.tensor([899, 101, 0])
    raw = np.array([1 / np.sqrt(0.9), 1 / np.sqrt(0.102), 1 / np.sqrt(0.001)])
    torch.testing.assert_close(
        class_weights(counts).double(), torch.tensor(raw / raw.mean()), rtol=1e-6, atol=0
    )


def test_standardised_images_have_lost_brightness_and_contrast() -> None:
    images = torch.rand(3, 1, 8, 8)
    seen = standardised(images)
    torch.testing.assert_close(seen.mean((1, 2, 3)), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(seen, standardised(0.2 + 0.5 * images), atol=1e-3, rtol=0)
    two = torch.cat([images, 0.1 * images.flip(-1)], 1)  # a faint channel is not drowned by the other
    torch.testing.assert_close(standardised(two)[:, :1], seen)
    torch.testing.assert_close(standardised(two)[:, 1:], seen.flip(-1), atol=1e-3, rtol=0)


def test_the_weights_of_a_task_are_in_its_loss_and_not_in_its_file() -> None:
    torch.manual_seed(0)
    small = {"hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 1, 1], "decoder_hidden_size": 16}
    weight = torch.tensor([1.0, 5.0])
    T = SegmentationTask(2, weight, **small).eval()
    I_f, mask = torch.rand(2, 1, 32, 32), torch.randint(0, 2, (2, 32, 32))
    expected = nn.functional.cross_entropy(T.logits(I_f), mask, weight)
    torch.testing.assert_close(T(I_f, Batch(I_f, I_f, ("a", "b"), mask=mask)), expected)
    assert not torch.equal(expected, nn.functional.cross_entropy(T.logits(I_f), mask))
    assert SegmentationTask(2, **small).state_dict().keys() == T.state_dict().keys()
