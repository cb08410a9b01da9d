"""One parser of NAME=VALUE for every command."""

from __future__ import annotations

import pytest

from tdfusion.commands.settings import read_setting, read_settings
from tdfusion.errors import InputError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("alpha=0.1", ("alpha", 0.1)),
        ("M=50", ("M", 50)),
        ("swap=true", ("swap", True)),
        ("N=null", ("N", None)),
        ("w=half", ("w", "half")),
        ('w="1"', ("w", "1")),
        ("crop=[64, 96]", ("crop", [64, 96])),
        ("crop=64,96", ("crop", [64, 96])),
        ("betas=0.9,0.99", ("betas", [0.9, 0.99])),
        ("name=a,b=c", ("name", "a,b=c")),
        ("text=", ("text", "")),
    ],
)
def test_a_value_is_json_or_text(text: str, expected: tuple[str, object]) -> None:
    assert read_setting(text) == expected


def test_entries_of_a_setting_are_gathered() -> None:
    texts = ["engine.lr0=0.01", "epochs=3", "engine.optimizer=SGD"]
    assert read_settings(texts) == {"engine": {"lr0": 0.01, "optimizer": "SGD"}, "epochs": 3}


@pytest.mark.parametrize("text", ["alpha", "=3"])
def test_what_is_no_setting_is_named(text: str) -> None:
    with pytest.raises(InputError, match=f"--set {text}: expected NAME=VALUE"):
        read_setting(text)
    with pytest.raises(InputError, match="engine = 3 is given as well"):
        read_settings(["engine=3", "engine.lr0=1"])
