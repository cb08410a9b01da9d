"""``NAME=VALUE`` on a command line."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from tdfusion.errors import InputError


def read_setting(text: str, option: str = "--set") -> tuple[str, Any]:
    """``alpha=0.1`` -> ("alpha", 0.1): a value is JSON, or several JSON values with commas, or else text.

    Whether there is such a setting, and whether the value is one of it, is for the configuration to say.

    Raises:
        InputError: no name, or no ``=``.
    """
    name, equals, value = text.partition("=")
    if not (equals and name):
        raise InputError(f"{option} {text}: expected NAME=VALUE")
    for written in (value, f"[{value}]" if "," in value else value):
        try:
            return name, json.loads(written)
        except json.JSONDecodeError:
            continue
    return name, value


def read_settings(texts: Iterable[str], option: str = "--set") -> dict[str, Any]:
    """All of them; ``engine.lr0=0.01`` is the entry ``lr0`` of the setting ``engine``.

    Raises:
        InputError: one is not NAME=VALUE, or a setting is given whole and by its entries.
    """
    settings: dict[str, Any] = {}
    for text in texts:
        name, value = read_setting(text, option)
        name, dot, entry = name.partition(".")
        if not dot:
            settings[name] = value
        elif isinstance(settings.setdefault(name, {}), dict):
            settings[name][entry] = value
        else:
            raise InputError(
                f"{option} {text}: {name} = {settings[name]!r} is given as well; give one of them"
            )
    return settings
