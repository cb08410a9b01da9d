"""The book's drawings: made by their scripts, legible on both grounds, no label outside its picture."""

from __future__ import annotations

import re
from collections.abc import Callable
from xml.etree import ElementTree

import pytest
from draw_networks import IMAGES, adaptive_fusion, networks, restormer_block
from draw_workflow import workflow
from drawing import COLOURS, WIDTH, Drawing

each_drawing = pytest.mark.parametrize("draw", [workflow, networks, restormer_block, adaptive_fusion])


@each_drawing
def test_committed_picture_is_what_its_script_draws(draw: Callable[[], Drawing]) -> None:
    """Also that the numbers in it are those of the networks as they are now."""
    assert (IMAGES / f"{draw.__name__}.svg").read_text("utf-8") == draw().svg()


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """As WCAG 2 defines it."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("ground", ["#ffffff", "#121212"])
def test_every_colour_reads_on_both_grounds(ground: str) -> None:
    weak = {name: contrast(tone, ground) for name, tone in COLOURS.items() if contrast(tone, ground) < 3.8}
    assert not weak


@each_drawing
def test_no_label_leaves_its_picture(draw: Callable[[], Drawing]) -> None:
    picture = ElementTree.fromstring(draw().svg())
    height = float(picture.get("height"))
    for label in picture.iter("{http://www.w3.org/2000/svg}text"):
        words = re.sub(r"\s+", " ", "".join(label.itertext()))
        width = 0.62 * float(label.get("font-size")) * len(words)  # wider than the usual sans-serif letters
        x, y = float(label.get("x")), float(label.get("y"))
        left = x - {"start": 0, "middle": width / 2, "end": width}[label.get("text-anchor")]
        assert left >= 0 and left + width <= WIDTH, f"{words!r} spans {left:.0f} to {left + width:.0f}"
        assert 10 <= y <= height - 4, f"{words!r} at height {y}"
