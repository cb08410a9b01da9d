"""From stored numbers to [0, 1]: which range of a file's values becomes black to white.

A radiometric camera stores temperatures (centikelvin, kelvin, degrees Celsius) or 14-bit counts, which use
a sliver of their type's range. Divided by the type's largest value they would come out flat. `choose_span`
is the one place that decides.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np

from tdfusion.data.stored import Stored
from tdfusion.errors import InputError

RANGES = ("auto", "full", "minmax", "percentile")
PERCENTILES = (0.5, 99.5)
STRETCHED = 0.5  # a deep file whose percentiles span more than this share of its type counts as stretched
# Values that registration, cameras and GIS tools write where there is nothing.
FILLS = (0, 65535, -9999, -10000, -32767, -32768)
_RULES = {
    "minmax": "stretched from the least to the largest value",
    "percentile": f"stretched by percentiles {PERCENTILES[0]:g} to {PERCENTILES[1]:g}",
    "given": "stretched by the range given",
}


@dataclass(frozen=True)
class Range:
    """A range as it was asked for: one of `RANGES`, or ``"given"`` with its ends in the file's own units."""

    name: str = "auto"
    low: float = 0.0
    high: float = 0.0

    @classmethod
    def parse(cls, text: str | Range) -> Range:
        """``auto``, ``full``, ``minmax``, ``percentile``, or two numbers as ``29000,31000``.

        Raises:
            InputError: anything else, or the numbers are not in rising order.
        """
        if isinstance(text, Range) or text in RANGES:
            return text if isinstance(text, Range) else cls(text)
        try:
            low, high = (float(end) for end in text.split(","))
        except ValueError as error:
            raise InputError(
                f'range "{text}": expected {", ".join(RANGES)}, or LOW,HIGH in the file\'s own units'
            ) from error
        if not (np.isfinite([low, high]).all() and low < high):
            raise InputError(f'range "{text}": LOW must be less than HIGH, and both finite')
        return cls("given", low, high)


@dataclass(frozen=True)
class Levels:
    """Which values one image holds, or many together.

    Attributes:
        name: the file, or the first of them, for messages.
        kind, top: as in `Stored`.
        low, high: the smallest and the largest value.
        robust: the 0.5th and the 99.5th percentile (numpy's linear kind) without `FILLS`; of many images the
            lowest and the highest, so that none is cut more than it would be alone.
        images: how many.
    """

    name: str
    kind: str
    top: float
    low: float
    high: float
    robust: tuple[float, float]
    images: int = 1

    def __or__(self, other: Levels) -> Levels:
        if (self.kind, self.top) != (other.kind, other.top):
            raise InputError(
                f"{self.name} is {self.kind} but {other.name} is {other.kind}; one range over all of them needs "
                "one kind of file: convert them, or fuse without --sequence and with --range-over image"
            )
        ends = (min(self.robust[0], other.robust[0]), max(self.robust[1], other.robust[1]))
        low, high = min(self.low, other.low), max(self.high, other.high)
        return Levels(self.name, self.kind, self.top, low, high, ends, self.images + other.images)


@dataclass(frozen=True)
class Span:
    """What was taken: ``low`` becomes 0 and ``high`` becomes 1, by ``rule`` (`RANGES` or ``"given"``)."""

    low: float
    high: float
    rule: str


def levels(stored: Stored) -> Levels:
    """The values of one image.

    Pixels at one of `FILLS` (borders that registration left, dead pixels) stay out of the percentiles where
    they lie further from all other values than those span.
    """
    values = stored.values
    low, high = float(values.min()), float(values.max())
    robust = np.percentile(values, PERCENTILES)
    if stored.kind != "8-bit" and (low in FILLS or high in FILLS):
        rest = values[~np.isin(values, FILLS)]
        if rest.size:
            ends = np.percentile(rest, PERCENTILES)
            gaps = [ends[0] - low if low in FILLS else 0.0, high - ends[1] if high in FILLS else 0.0]
            robust = ends if max(gaps) > ends[1] - ends[0] > 0 else robust
    ends = (float(robust[0]), float(robust[1]))
    return Levels(stored.name, stored.kind, stored.top, low, high, ends)


def choose_span(found: Levels, asked: str | Range = "auto") -> Span:
    """The range that an image, or a sequence, is scaled by.

    ``auto``: 8 bits are taken in full. A deeper file is taken in full where its values lie within its type's
    range (floats: 0 to 1) and its percentiles span more than half of it, as those of a stretched image do;
    any other file is stretched by its percentiles. 14 bits in 16, centikelvin, kelvin and Celsius are such others.
    Where both percentiles are one value, ``percentile`` falls back to ``minmax``.

    Raises:
        InputError: ``full`` for values beyond the type's range, or a given range that no value lies in.
    """
    asked = Range.parse(asked)
    within = found.low >= 0 and found.high <= found.top
    rule = asked.name
    if rule == "auto":
        stretched = within and found.robust[1] - found.robust[0] > STRETCHED * found.top
        rule = "full" if found.kind == "8-bit" or stretched else "percentile"
    if rule == "percentile" and found.robust[0] == found.robust[1]:
        rule = "minmax"
    if rule == "given":
        if asked.high < found.robust[0] or asked.low > found.robust[1]:
            raise InputError(
                f"{found.name}: its values {_numbers(found.low, found.high)} lie outside the range "
                f"{asked.low:.6g},{asked.high:.6g} that was given; give it in the "
                "file's own units (--ir-range, --vi-range)"
            )
        return Span(asked.low, asked.high, rule)
    if rule == "full":
        if not within:
            raise InputError(
                f"{found.name}: {found.kind} values {_numbers(found.low, found.high)} are not within 0 to "
                f"{found.top:g}, so the range cannot be full; choose minmax, percentile or "
                "LOW,HIGH (--ir-range, --vi-range)"
            )
        return Span(0.0, found.top, rule)
    return Span(found.low, found.high, rule) if rule == "minmax" else Span(*found.robust, rule)


def span_of(stored: Stored, asked: str | Range = "auto") -> Span:
    """`choose_span` of one image; 8-bit files at full range are not looked through."""
    if stored.kind == "8-bit" and Range.parse(asked).name in ("auto", "full"):
        return Span(0.0, stored.top, "full")
    return choose_span(levels(stored), asked)


def join(many: Iterable[Levels]) -> Levels:
    """The values of many images together.

    Raises:
        InputError: they are of several kinds.
    """
    return reduce(Levels.__or__, many)


def scale(values: np.ndarray, span: Span) -> np.ndarray:
    """float32 in [0, 1]: ``(values - low) / (high - low)``, clipped. A constant image gives 0."""
    if span.low == span.high:
        return np.zeros(values.shape, np.float32)
    wide = values.dtype.kind in "iu" and values.dtype.itemsize > 2  # float32 cannot hold all of these
    numbers = values.astype(np.float64 if wide else np.float32)
    return ((numbers - span.low) / (span.high - span.low)).clip(0, 1).astype(np.float32)


def describe(role: str, taken: Sequence[tuple[Levels, Span]]) -> list[str]:
    """What was taken of every image (or of a sequence, in one entry): a sentence per kind of file and rule."""
    groups: dict[tuple[str, float, str], list[tuple[Levels, Span]]] = {}
    for found, span in taken:
        groups.setdefault((found.kind, found.top, span.rule), []).append((found, span))
    images = sum(found.images for found, _ in taken)
    option = "--ir-range" if role == "infrared" else "--vi-range"
    sentences = []
    for (kind, top, rule), members in groups.items():
        found = join(found for found, _ in members)
        spans = [span for _, span in members]
        part = f"{images}" if found.images == images else f"{found.images} of {images}"
        count = "" if images == 1 else f"{part} images, "
        if found.low == found.high:
            how = "constant, so there is nothing to stretch"
        elif rule == "full":
            how = "taken as they are" if found.images > 1 else "taken as it is"
            if found.robust[1] - found.robust[0] < top / 8:
                how += f" (low contrast; {option} percentile stretches it)"
        else:
            each = "each " if len(members) > 1 and rule != "given" else ""
            how = f"{each}{_RULES[rule]}: {_ends(s.low for s in spans)} to {_ends(s.high for s in spans)}"
        within = f" of 0 to {top:g}" if found.low >= 0 and found.high <= top else ""
        sentences.append(f"{role}: {count}{kind}, {_numbers(found.low, found.high)}{within} used; {how}")
    return sentences


def count_notes(role: str, notes: Iterable[str]) -> list[str]:
    """``Stored.notes`` of many images, each once with the number of images that it holds for."""
    counts = Counter(notes).items()
    return [f"{role}: {note}" + (f" ({count} images)" if count > 1 else "") for note, count in counts]


def _ends(values: Iterable[float]) -> str:
    """One number, or the least and the largest of many."""
    ends = list(values)
    low, high = f"{min(ends):.6g}", f"{max(ends):.6g}"
    return low if low == high else f"({low} ... {high})"


def _numbers(low: float, high: float) -> str:
    return f"{low:.6g} to {high:.6g}"
