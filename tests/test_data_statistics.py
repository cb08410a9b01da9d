"""The stored statistics of the data sets agree with the lists, with each other, and with the files at hand."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from studies.data_facts import of_list
from tdfusion.data.layouts import LAYOUTS
from tdfusion.results import facts, load

KNOWN = facts("data_statistics")
LISTS = [(name, split) for name in KNOWN["lists"] for split in ("train", "test")]


@pytest.mark.parametrize(("name", "split"), LISTS)
def test_counts_agree_with_the_split_and_with_the_other_script(name: str, split: str) -> None:
    stored = KNOWN["lists"][name][split]
    mistake = load("box_axis_mistake").query("data == @name + ' ' + @split and group == ''")
    other = mistake.set_index("metric")["value"]
    assert stored["images"] == LAYOUTS[name].split(split).count == other["images"]
    assert stored["boxes"] == other["boxes"]
    assert stored["boxes"] == sum(int(n) * count for n, count in stored["boxes_per_image"].items())
    assert stored["boxes"] == sum(sum(c["side_histogram"]) for c in stored["classes"].values())
    assert all(c["boxes"] == sum(c["side_histogram"]) for c in stored["classes"].values())


@pytest.mark.parametrize(("name", "split"), LISTS)
def test_lists_give_the_stored_numbers(name: str, split: str, real_data: Path) -> None:
    assert of_list(name, split, real_data / "splits") == KNOWN["lists"][name][split]


def test_brightness_is_that_of_the_files(real_data: Path) -> None:
    """Against the files' own levels, in the order of their names."""
    stored = KNOWN["pairs"]["TNO"]["all"]
    files = sorted((real_data / "tno" / "ir").iterdir())
    assert len(files) == stored["images"]
    for path, mean in zip(files, stored["mean_infrared"]):
        levels = Image.open(path).convert("L").histogram()
        assert mean == pytest.approx(sum(v * n for v, n in enumerate(levels)) / sum(levels) / 255, abs=1e-3)


def test_day_and_night_are_those_of_the_labels(real_data: Path) -> None:
    stored = KNOWN["pairs"]["MSRS"]["test"]
    labels = sorted((real_data / "msrs" / "detection_labels" / "test").iterdir())
    assert [path.stem[-1] == "D" for path in labels] == [c == "day" for c in stored["condition"]]
    rows = [row for path in labels for row in path.read_text().splitlines() if row.strip()]
    assert sum(c["boxes"] for c in stored["classes"].values()) == len(rows)
