"""What notebooks need to be run by papermill with confidence."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from tdfusion.errors import InputError


def check_parameters(namespace: Mapping[str, Any], *known: str) -> None:
    """Refuse a parameter that the notebook does not have.

    Papermill injects every ``-p NAME VALUE`` into the namespace and only warns where the notebook has no
    such parameter, so that a misspelt name silently leaves the default in force. Call this in the first
    cell after the parameters, before anything else is defined but imports.

    Args:
        namespace: ``globals()`` of the notebook.
        known: names of its parameters. Modules, functions and classes in the namespace are imports and
            are passed over.

    Raises:
        InputError: names that are neither; the nearest parameter is suggested.
    """
    plain = (str, int, float, bool, list, tuple, dict, type(None))
    for name, value in namespace.items():
        if name.startswith("_") or name in known or name in ("In", "Out") or not isinstance(value, plain):
            continue
        near = difflib.get_close_matches(name, known, n=1)
        hint = f'; did you mean "{near[0]}"?' if near else ""
        raise InputError(f'unknown parameter "{name}"{hint} (this notebook has {", ".join(known)})')
