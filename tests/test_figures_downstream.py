"""Fig. 3's and Fig. 4's layouts draw what they are given."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgb
from matplotlib.patches import Rectangle

from tdfusion.data.synthroad.scenes import BOX_CLASSES, CLASSES, PALETTE
from tdfusion.errors import InputError
from tdfusion.figures.downstream import fig3_layout, fig4_layout

TRUTH = torch.zeros(20, 30, dtype=torch.int64)
TRUTH[5:10, 4:9] = 5
IMAGE = torch.rand(1, 20, 30)
PLACE = (2, 3, 12, 13)


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


def test_fig3_paints_classes_and_magnifies_the_same_place() -> None:
    columns = {"mean": IMAGE, "T on mean": TRUTH.clone(), "ground truth": TRUTH}
    figure = fig3_layout({"night": columns}, {"night": [PLACE]}, CLASSES, palette=PALETTE)
    images = [axis.images[0].get_array() for axis in figure.axes]
    assert [i.shape[:2] for i in images] == [(20, 30), (10, 10)] * 3
    np.testing.assert_allclose(images[4][6, 5], np.array(PALETTE[5]) / 255, atol=1e-6)
    np.testing.assert_array_equal(images[5], images[4][3:13, 2:12])
    assert [text.get_text() for text in figure.legends[0].texts] == ["background", "car"]
    figure.canvas.draw()
    lowest = min(axis.get_tightbbox().y0 for axis in figure.axes)
    assert figure.legends[0].get_window_extent().y1 <= lowest + 1  # below all panels


def test_fig4_draws_every_box_in_its_class_colour_with_its_confidence() -> None:
    found = torch.tensor([[1, 0.875, 3, 4, 10, 12], [0, 0.5, 15, 2, 20, 18]])
    true = torch.tensor([[1.0, 3, 4, 11, 12]])
    figure = fig4_layout(
        {"fog": {"max": (IMAGE, found), "truth": (IMAGE, true), "none": (IMAGE, torch.zeros(0, 6))}},
        BOX_CLASSES,
        palette=PALETTE,
    )
    drawn = [[p for p in axis.patches if isinstance(p, Rectangle)] for axis in figure.axes]
    assert [len(p) for p in drawn] == [2, 1, 0]
    first = drawn[0][0]
    assert (first.get_xy(), first.get_width(), first.get_height()) == ((2.5, 3.5), 7, 8)
    np.testing.assert_allclose(to_rgb(first.get_edgecolor()), np.array(PALETTE[1]) / 255, atol=1e-6)
    assert [t.get_text() for t in figure.axes[0].texts] == [".88", ".50"]
    assert len(figure.axes[1].texts) == 0
    assert [axis.get_title() for axis in figure.axes] == ["max", "truth", "none"]
    assert [text.get_text() for text in figure.legends[0].texts] == ["person", "car"]


def test_without_a_palette_every_class_has_a_colour_of_its_own() -> None:
    ids = torch.arange(15).repeat(2, 1)
    figure = fig3_layout({"all": {"ids": ids}}, {"all": [(0, 0, 15, 2)]}, [f"class {i}" for i in range(15)])
    assert len(np.unique(figure.axes[0].images[0].get_array()[0], axis=0)) == 15


@pytest.mark.parametrize(
    ("scenes", "message"),
    [
        ({}, "no scene"),
        ({"a": {"x": (IMAGE, torch.zeros(1, 4))}}, r'"x" of scene "a": boxes of shape \(1, 4\)'),
        ({"a": {"x": (IMAGE, torch.tensor([[6.0, 0, 0, 5, 5]]))}}, "a box of class 6, expected 0 to 5"),
        (
            {"a": {"x": (IMAGE, torch.zeros(0, 5))}, "b": {"y": (IMAGE, torch.zeros(0, 5))}},
            'scene "b" has columns y but "a" has x',
        ),
    ],
)
def test_fig4_refuses_what_it_cannot_draw(scenes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        fig4_layout(scenes, BOX_CLASSES)


def test_fig3_refuses_ids_without_a_class_and_short_palettes() -> None:
    with pytest.raises(InputError, match="class ids 0 to 5, expected 0 to 2"):
        fig3_layout({"a": {"x": TRUTH}}, {"a": [PLACE]}, CLASSES[:3])
    with pytest.raises(InputError, match="a palette of 2 colours for 9 classes"):
        fig3_layout({"a": {"x": TRUTH}}, {"a": [PLACE]}, CLASSES, palette=PALETTE[:2])
