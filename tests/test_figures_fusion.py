"""Fig. 2's layout: the right pixels in the right place, and mistakes refused."""

from __future__ import annotations

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.patches import Rectangle

from tdfusion.errors import InputError
from tdfusion.figures.fusion import fig2_layout

matplotlib.use("Agg")

COLUMNS = ("infrared", "visible", "mean")
BOXES = {"day": [(2, 3, 10, 9), (20, 5, 26, 15)], "night": [(0, 0, 40, 30)]}


@pytest.fixture
def scenes() -> dict[str, dict[str, torch.Tensor]]:
    return {name: {column: torch.rand(1, 30, 40) for column in COLUMNS} for name in BOXES}


@pytest.fixture(autouse=True)
def _closed():
    yield
    plt.close("all")


def drawn(figure) -> list[np.ndarray]:
    return [axis.images[0].get_array().data for axis in figure.axes]


def test_every_panel_is_followed_by_its_magnified_boxes(scenes) -> None:
    expected = []
    for name, images in scenes.items():
        for image in images.values():
            expected.append(image[0].numpy())
            expected += [image[0, y1:y2, x1:x2].numpy() for x1, y1, x2, y2 in BOXES[name]]
    found = drawn(fig2_layout(scenes, BOXES))
    assert len(found) == len(expected) == 3 * (1 + 2) + 3 * (1 + 1)
    for image, same in zip(found, expected):
        np.testing.assert_array_equal(image, same)


def test_gray_panels_share_one_scale(scenes) -> None:
    """A dark method must look dark: no panel is scaled to its own range."""
    assert {axis.images[0].get_clim() for axis in fig2_layout(scenes, BOXES).axes} == {(0, 1)}


def test_boxes_are_drawn_on_pixel_borders_in_the_colour_of_their_zoom(scenes) -> None:
    panel, *zooms = fig2_layout(scenes, BOXES).axes[:3]
    outlines = [patch for patch in panel.patches if isinstance(patch, Rectangle)]
    assert [patch.get_bbox().extents.tolist() for patch in outlines] == [
        [x1 - 0.5, y1 - 0.5, x2 - 0.5, y2 - 0.5] for x1, y1, x2, y2 in BOXES["day"]
    ]
    colours = [patch.get_edgecolor() for patch in outlines]
    assert colours == [zoom.spines["left"].get_edgecolor() for zoom in zooms]
    assert len(set(colours)) == 2


def test_titles_stand_above_the_first_row_and_names_beside_the_first_column(scenes) -> None:
    figure = fig2_layout(scenes, BOXES)
    assert [axis.get_title() for axis in figure.axes if axis.get_title()] == list(COLUMNS)
    assert [text.get_text() for text in figure.texts] == list(BOXES)


def test_a_box_is_magnified_alike_in_every_column(scenes) -> None:
    figure = fig2_layout(scenes, BOXES)
    figure.draw_without_rendering()
    widths = [axis.get_position().width for axis in figure.axes if axis.images[0].get_array().shape == (6, 8)]
    assert len(widths) == len(COLUMNS)
    np.testing.assert_allclose(widths, widths[0], rtol=0.02)


def test_colour_images_are_drawn_in_colour(scenes) -> None:
    scenes["day"]["visible"] = torch.rand(3, 30, 40)
    image = drawn(fig2_layout(scenes, BOXES))[3]
    np.testing.assert_array_equal(image, scenes["day"]["visible"].permute(1, 2, 0).numpy())


@pytest.mark.parametrize(
    ("box", "message"),
    [
        ((0, 0, 41, 30), "is not inside scene"),
        ((-1, 0, 4, 4), "is not inside scene"),
        ((5, 5, 5, 9), "x1 < x2"),
    ],
)
def test_a_box_outside_or_empty_is_refused(scenes, box, message: str) -> None:
    with pytest.raises(InputError, match=message):
        fig2_layout(scenes, BOXES | {"night": [box]})


def test_scenes_that_do_not_fit_together_are_refused(scenes) -> None:
    with pytest.raises(InputError, match="at least one"):
        fig2_layout({}, {})
    with pytest.raises(InputError, match='"night" has no box'):
        fig2_layout(scenes, {"day": BOXES["day"]})
    with pytest.raises(InputError, match='"mean" of scene "day" is 39x30, expected 40x30'):
        fig2_layout(scenes | {"day": scenes["day"] | {"mean": torch.rand(1, 30, 39)}}, BOXES)
    with pytest.raises(InputError, match='scene "night" has columns infrared'):
        fig2_layout(scenes | {"night": {"infrared": torch.rand(1, 30, 40)}}, BOXES)
