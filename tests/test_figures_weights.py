"""Fig. 5's layout and its statistics: the right maps in the right place, means over the right pixels."""

from __future__ import annotations

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from scipy.ndimage import correlate

from tdfusion.data.pair import Pair
from tdfusion.data.synthroad.scenes import CLASSES, OPTIMUM, SynthRoad
from tdfusion.errors import InputError
from tdfusion.figures.weights import (
    fig5_layout,
    weight_contrast,
    weight_profiles,
    weight_statistics,
    written_weights,
)
from tdfusion.models import LossNet

matplotlib.use("Agg")


@pytest.fixture(autouse=True)
def _closed():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def pairs() -> list[Pair]:
    scenes = SynthRoad(split="test", length=6, size=(48, 64), seed=0)
    return [scenes[i] for i in (0, 4, 5)]


@pytest.fixture(scope="module")
def w(pairs) -> dict[str, list[torch.Tensor]]:
    generator = torch.Generator().manual_seed(1)
    return {model: [torch.rand(1, 48, 64, generator=generator) for _ in pairs] for model in ("SS", "OD")}


def stacked(images) -> np.ndarray:
    return np.stack([image.numpy().squeeze() for image in images]).astype(float)


def test_the_weights_are_the_first_output_of_G(pairs) -> None:
    torch.manual_seed(3)
    G = LossNet().eval()
    (_, found, _) = written_weights(G, pairs)
    with torch.no_grad():
        expected, other = G(pairs[1].ir[None], pairs[1].vi[None])
    assert torch.equal(found, expected[0])
    assert torch.allclose(1 - found, other[0], atol=1e-6)


def test_every_row_is_a_scene_and_every_column_what_it_says(pairs, w) -> None:
    axes = [
        axis for axis in fig5_layout(pairs, w["SS"], w["OD"]).axes if axis.get_subplotspec() and axis.images
    ]
    for row, pair in enumerate(pairs):
        ss, od = w["SS"][row][0].numpy(), w["OD"][row][0].numpy()
        expected = (pair.ir[0].numpy(), pair.vi[0].numpy(), ss, 1 - ss, od, 1 - od, np.abs(ss - od))
        for axis, image in zip(axes[7 * row : 7 * row + 7], expected):
            assert np.allclose(axis.images[0].get_array(), image)
            assert axis.images[0].get_clim() == (0, 1)
    titles = [axis.get_title() for axis in axes[:7]]
    assert titles[2:6] == ["$w_a^{SS}$", "$w_b^{SS}$", "$w_a^{OD}$", "$w_b^{OD}$"]


def test_a_stretched_scale_is_one_for_all_scenes(pairs, w) -> None:
    half = [m / 2 for m in w["SS"]]
    axes = [axis for axis in fig5_layout(pairs, half, w["OD"], stretch=True).axes if axis.images]
    highest = max(float(m.max()) for m in half)
    for row in range(3):
        assert axes[7 * row + 2].images[0].get_clim()[1] == pytest.approx(highest)
        assert axes[7 * row + 3].images[0].get_clim()[0] == pytest.approx(1 - highest)


@pytest.mark.parametrize(
    ("by", "names", "field"), [("class", CLASSES, "mask"), ("optimum", OPTIMUM, "optimum")]
)
def test_statistics_by_label(pairs, w, by, names, field) -> None:
    ids = np.stack([getattr(pair, field).numpy() for pair in pairs])
    rows = weight_statistics(pairs, w, by)
    assert [row.group for row in rows] == [name for i, name in enumerate(names) if (ids == i).any()]
    for row in rows:
        inside = ids == names.index(row.group)
        assert row.pixels == inside.sum()
        assert row.scenes == inside.any(axis=(1, 2)).sum()
        for model, maps in w.items():
            assert row.mean[model] == pytest.approx(stacked(maps)[inside].mean())
            per_scene = [m[i].mean() for m, i in zip(stacked(maps), inside) if i.any()]
            if len(per_scene) > 1:
                assert row.sd[model] == pytest.approx(np.std(per_scene, ddof=1))
            else:
                assert np.isnan(row.sd[model])
        gap = np.abs(stacked(w["SS"]) - stacked(w["OD"]))
        assert row.difference == pytest.approx(gap[inside].mean())
    assert sum(row.pixels for row in rows) == ids.size


def test_statistics_by_condition_take_it_from_the_name(pairs, w) -> None:
    rows = weight_statistics(pairs, w, "condition")
    found = {row.group: row.scenes for row in rows}
    names = [pair.name.split("-")[2] for pair in pairs]
    assert found == {name: names.count(name) for name in set(names)}


def strength(image: np.ndarray) -> np.ndarray:
    kernel = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], dtype=float)
    return sum(np.abs(correlate(image, k, mode="constant")) for k in (kernel, kernel.T))


@pytest.mark.parametrize("by", ["infrared brightness", "visible brightness", "edges"])
def test_statistics_by_quarters(pairs, w, by) -> None:
    ir, vi = stacked([p.ir for p in pairs]), stacked([p.vi for p in pairs])
    edges = np.stack([np.maximum(strength(a), strength(b)) for a, b in zip(ir, vi)])
    values = {"infrared brightness": ir, "visible brightness": vi, "edges": edges}[by]
    top = weight_statistics(pairs, w, by)[-1]
    assert top.group == "highest quarter"
    inside = values >= np.quantile(values, 0.75) - 1e-6
    assert top.pixels == pytest.approx(inside.sum(), abs=3)
    assert top.mean["SS"] == pytest.approx(stacked(w["SS"])[inside].mean(), abs=2e-3)


def test_constant_maps_give_their_value_in_every_group(pairs) -> None:
    flat = {"SS": [torch.full((1, 48, 64), 0.25)] * 3}
    for by in ("everywhere", "class", "edges"):
        for row in weight_statistics(pairs, flat, by):
            assert row.mean["SS"] == pytest.approx(0.25)
            assert np.isnan(row.difference)


def test_profiles_draw_the_means_of_the_rows(pairs, w) -> None:
    rows = weight_statistics(pairs, w, "class")
    (axis,) = weight_profiles({"class": rows}).axes
    drawn = {line.get_label(): line for line in axis.containers}
    for model in ("SS", "OD"):
        assert list(drawn[model][0].get_xdata()) == [row.mean[model] for row in rows]
    assert [tick.get_text() for tick in axis.get_yticklabels()] == [row.group for row in rows]


def test_a_contrast_is_paired_within_scenes(pairs, w) -> None:
    cars = [pair.mask == CLASSES.index("car") for pair in pairs]
    cars[2] = torch.zeros_like(cars[2])  # a scene without any says nothing
    found = weight_contrast(w["SS"], cars, [~mask for mask in cars])
    images, masks = stacked(w["SS"])[:2], np.stack([mask.numpy() for mask in cars[:2]])
    gaps = [image[mask].mean() - image[~mask].mean() for image, mask in zip(images, masks)]
    assert (found.mean, found.sd, found.scenes) == pytest.approx((np.mean(gaps), np.std(gaps, ddof=1), 2))
    with pytest.raises(InputError, match="nothing to compare"):
        weight_contrast(w["SS"], cars[2:], cars[:1])


def test_what_does_not_fit_is_named(pairs, w) -> None:
    bare = Pair(pairs[0].ir, pairs[0].vi, "mine")
    for make, said in (
        (lambda: fig5_layout([], [], []), "no scene to look at"),
        (lambda: fig5_layout(pairs, w["SS"][:2], w["OD"]), "SS has 2 maps for 3 scenes"),
        (lambda: fig5_layout([bare], [torch.rand(1, 9, 9)], [torch.rand(1, 48, 64)]), 'w_a of SS for "mine"'),
        (lambda: weight_statistics(pairs, w, "colour"), 'by = "colour": choose one of everywhere, condition'),
        (lambda: weight_statistics([bare], {"SS": w["SS"][:1]}, "class"), '"mine" has no mask'),
        (lambda: weight_profiles({}), "no statistics to draw"),
    ):
        with pytest.raises(InputError, match=said):
            make()
