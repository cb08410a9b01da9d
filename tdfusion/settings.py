"""How settings are checked: by pydantic, and refused in one sentence that names the setting."""

from __future__ import annotations

import dataclasses
import difflib
import functools
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from pydantic import ConfigDict, Field, ValidationError

from tdfusion.errors import InputError

Positive = Annotated[int, Field(gt=0)]
Count = Annotated[int, Field(ge=0)]
Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Size = tuple[Positive, Positive]
STRICT = ConfigDict(strict=True)


def in_words(settings: type) -> type:
    """Class decorator: what pydantic refuses becomes an `InputError` of one sentence that names the setting."""
    check = settings.__init__

    @functools.wraps(check)
    def __init__(self: object, **given: Any) -> None:
        check_names(given, (field.name for field in dataclasses.fields(settings)))
        try:
            check(self, **given)
        except ValidationError as error:
            raise _refusal(error) from None

    settings.__init__ = __init__
    return settings


def check_names(given: Iterable[str], known: Iterable[str]) -> None:
    """Raises:
    InputError: a setting that is not known; the nearest name is suggested.
    """
    known = list(known)
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f'; did you mean "{near[0]}"?' if near else f"; known: {', '.join(sorted(known))}"
            raise InputError(f'unknown setting "{name}"{hint}')


def _number(relation: str, limit: float | None) -> str:
    return f"a {'whole ' if isinstance(limit, int) else ''}number {relation} {limit or 0:g}"


def _refusal(error: ValidationError) -> InputError:
    first = error.errors()[0]
    kind, more = first["type"], first.get("ctx", {})
    if kind == "value_error":  # raised by a class's own check, in words already
        return InputError(str(more["error"]))
    expected = {
        "int_type": "a whole number",
        "float_type": "a number",
        "finite_number": "a finite number",
        "bool_type": "true or false",
        "string_type": "text",
        "tuple_type": "two whole numbers, height and width",
        "missing": "two whole numbers, height and width",
        "too_long": "two whole numbers, height and width",
        "greater_than": _number(">", more.get("gt")),
        "greater_than_equal": _number(">=", more.get("ge")),
        "literal_error": f"one of {more.get('expected')}",
    }.get(kind, first["msg"])
    return InputError(f"{first['loc'][0]} = {first['input']!r}: expected {expected}")


def without_none(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings that are given, lists (JSON and YAML have no tuples) as tuples."""
    given = {name: value for name, value in settings.items() if value is not None}
    return {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}
