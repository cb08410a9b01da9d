"""The torchmetrics classes: the same values, additive over batches and processes, 0/0 counted."""

from __future__ import annotations

import math
import pickle
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor

import tdfusion.metrics
from tdfusion.errors import InputError
from tdfusion.metrics import METRICS, TABLE, UndefinedMetricWarning, measure, ssim
from tdfusion.metrics.modules import SINGLE, FusionMetrics

SumOfCorrelationsOfDifferences = SINGLE["SCD"]


def batch(count: int, seed: int, size: tuple[int, int] = (44, 48)) -> tuple[Tensor, Tensor, Tensor]:
    """Fused, infrared, visible (count, 1, *size) in [0, 1], not on 8-bit levels."""
    generator = torch.Generator().manual_seed(seed)
    I_a, I_b = torch.rand(2, count, 1, *size, generator=generator)
    return (0.3 * I_a + 0.7 * I_b), I_a, I_b


def by_hand(
    *batches: tuple[Tensor, Tensor, Tensor], convention: str = "paper", metrics: Sequence[str] = METRICS
) -> dict[str, float]:
    """Means over the saved 8-bit images, NaN left out."""
    rows = []
    for tensors in batches:
        levels = [np.rint(t[:, 0].double().numpy() * 255).astype(np.uint8) for t in tensors]
        rows += [measure(*images, convention, metrics=metrics).values for images in zip(*levels)]
    return {m: float(np.nanmean([row[m] for row in rows])) for m in metrics}


@pytest.mark.parametrize("convention", ["paper", "ivif_zoo"])
def test_means_over_batches(convention: str) -> None:
    metric = FusionMetrics(convention)
    first, second = batch(2, 0), batch(1, 1)
    metric.update(*first)
    metric.update(*second)
    computed = metric.compute()
    expected = by_hand(first, second, convention=convention)
    assert {m: computed[m].item() for m in METRICS} == pytest.approx(expected, abs=1e-12)
    assert computed["left_out"] == 0
    metric.reset()
    assert metric.count.sum() == 0


@pytest.mark.parametrize("name", SINGLE)
def test_single_metrics_agree_with_the_functions(name: str) -> None:
    metric, images = SINGLE[name](), batch(2, 3, (180, 176))
    assert metric(*images).item() == pytest.approx(by_hand(images, metrics=[name])[name], abs=1e-12)


def test_the_package_gives_the_classes_when_asked() -> None:
    for row in TABLE.values():
        single = getattr(tdfusion.metrics, row.class_name)
        assert single is SINGLE[row.name] is getattr(tdfusion.metrics.modules, row.class_name)
        assert row.name in single.__doc__
        assert type(pickle.loads(pickle.dumps(single("cddfuse")))) is single
    assert tdfusion.metrics.FusionMetrics is FusionMetrics
    with pytest.raises(AttributeError, match="has no attribute 'Sharpness'"):
        _ = tdfusion.metrics.Sharpness


def test_a_single_metric_takes_images_that_are_too_small_for_others() -> None:
    small = [images[..., :7, :7] for images in batch(1, 9)]
    metric = SINGLE["SSIM"]()
    metric.update(*small)
    assert metric.compute().item() == ssim(*(np.rint(s[0, 0].double().numpy() * 255) for s in small))


def test_two_processes_add_up() -> None:
    mine, theirs = batch(3, 4), batch(1, 5)
    other = FusionMetrics()
    other.update(*theirs)
    with_other = {"total": other.total, "count": other.count, "left_out": other.left_out}
    waiting = list(with_other.values())

    def gather(state: Tensor, group: object) -> list[Tensor]:
        """What torch.distributed would return on two processes: states come in the order they were added."""
        return [state, waiting.pop(0)]

    metric = FusionMetrics(dist_sync_fn=gather, distributed_available_fn=lambda: True)
    metric.update(*mine)
    computed = metric.compute()
    assert not waiting
    expected = by_hand(mine, theirs)  # over 4 images, not the mean of two means
    assert {m: computed[m].item() for m in METRICS} == pytest.approx(expected, abs=1e-12)
    assert metric.count.tolist() == [3] * 6  # the local state comes back after compute


def test_undefined_values_are_counted_and_left_out() -> None:
    I_f, I_a, I_b = batch(2, 6)
    I_f[0] = I_a[0]  # SCD is 0/0 on one of two
    six, one = FusionMetrics(), SumOfCorrelationsOfDifferences()
    for metric in (six, one):
        metric.update(I_f, I_a, I_b)
        assert metric.left_out.sum() == 1
    with pytest.warns(UndefinedMetricWarning, match="1 values of SCD"):
        assert six.compute()["left_out"] == 1
    with pytest.warns(UndefinedMetricWarning, match="1 values of SCD"):
        assert one.compute().item() == pytest.approx(by_hand((I_f[1:], I_a[1:], I_b[1:]))["SCD"])
    one.reset()
    one.update(I_a, I_a, I_b)
    with pytest.warns(UndefinedMetricWarning):
        assert math.isnan(one.compute().item())


def test_8_bit_range_and_planes() -> None:
    tensors = batch(1, 7)
    levels = [(255 * t[0, 0]).round() for t in tensors]  # (44, 48) in 0..255
    metric = FusionMetrics(value_range=255)
    metric.update(*levels)
    computed = metric.compute()
    assert {m: computed[m].item() for m in METRICS} == pytest.approx(by_hand(tensors), abs=1e-12)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda t: t * 255, "set value_range"),
        (lambda t: t - 0.5, "values from -"),
        (lambda t: t * math.nan, "nan"),
        (lambda t: t.expand(-1, 3, -1, -1), "luma"),
        (lambda t: t[:1], "batches of 1, 2, 2"),
        (lambda t: t[..., :40, :], "40x48"),
    ],
)
def test_bad_batches_are_refused(spoil: object, message: str) -> None:
    I_f, I_a, I_b = batch(2, 8)
    metric = FusionMetrics()
    with pytest.raises(InputError, match=message):
        metric.update(spoil(I_f), I_a, I_b)
    assert metric.count.sum() == 0
