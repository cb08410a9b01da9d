"""The traits that a reader moves, in step between Python and the browser, which refuse what is not there."""

from __future__ import annotations

from typing import Any

import traitlets

from tdfusion.errors import InputError


class Choice(traitlets.Any):
    """One of what the explorer has: a number below a count, or a name.

    Raises:
        InputError: another value is set; says what there is.
    """

    def __init__(self, default: Any) -> None:
        super().__init__(default)
        self.tag(sync=True, control=True)

    def validate(self, obj: Any, value: Any) -> Any:
        allowed = obj.choices()[self.name]
        if isinstance(value, bool) or value not in allowed:
            has = (
                f"0 to {allowed.stop - 1}"
                if isinstance(allowed, range)
                else ", ".join(repr(one) for one in allowed)
            )
            raise InputError(f"{self.name} = {value!r}: this explorer has {has}")
        return value


class Within(traitlets.Any):
    """A number between two others.

    Raises:
        InputError: another value is set.
    """

    def __init__(self, default: float, low: float, high: float) -> None:
        super().__init__(default)
        self.low, self.high = low, high
        self.tag(sync=True, control=True)

    def validate(self, obj: Any, value: Any) -> float:
        if (
            isinstance(value, bool)
            or not isinstance(value, (int, float))
            or not self.low <= value <= self.high
        ):
            raise InputError(f"{self.name} = {value!r}: expected a number from {self.low:g} to {self.high:g}")
        return value


class Switch(traitlets.Bool):
    """On or off."""

    def __init__(self, default: bool = False) -> None:
        super().__init__(default)
        self.tag(sync=True, control=True)


class Pixel(traitlets.Any):
    """A pixel of the scene on show, ``[x, y]`` from the upper left corner; [-1, -1] is its middle.

    Raises:
        InputError: it lies outside.
    """

    def __init__(self) -> None:
        super().__init__([-1, -1])
        self.tag(sync=True, control=True)

    def validate(self, obj: Any, value: Any) -> list[int]:
        height, width = obj.size
        try:
            x, y = (int(v) for v in value)
        except (TypeError, ValueError):
            raise InputError(f"{self.name} = {value!r}: expected two whole numbers, x and y") from None
        if [x, y] == [-1, -1]:
            return [width // 2, height // 2]
        if not (0 <= x < width and 0 <= y < height):
            raise InputError(f"{self.name} = {[x, y]}: outside the scene of {width}x{height} pixels")
        return [x, y]
