"""The table of differences names settings that exist, and leaves none of the released column out."""

from __future__ import annotations

import csv
import dataclasses
import re

from conftest import ROOT

from tdfusion.config import VARIANTS, TrainConfig


def test_the_table_is_the_released_column() -> None:
    with (ROOT / "book" / "reproduce" / "differences.csv").open() as stream:
        named = {name for row in csv.DictReader(stream) for name in re.findall(r"`(\w+)`", row["Setting"])}
    known = {field.name for field in dataclasses.fields(TrainConfig)}
    assert named <= known
    assert set(VARIANTS["released"]) <= named
