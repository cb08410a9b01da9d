"""Boxes, arrows and small formulas as SVG, for the book's drawings.

The drawings stand without a card on the page's own ground, light or dark, so every colour here is of middle
lightness: at least 3.8 to 1 against white and against the dark theme. A drawing is 440 units wide, so that
its letters are still read on a phone.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from xml.sax.saxutils import escape

from tdfusion.files import write_text

WIDTH = 440
COLOURS = {
    "F": "#168c70",
    "G": "#8e68d2",
    "T": "#c9518a",
    "a": "#c85f22",  # infrared, as in the book's logo
    "b": "#2c7fbd",  # visible
    "attention": "#a0701c",
    "gate": "#5b7a94",
    "ink": "#78838c",
}
SANS = "system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif"
SERIF = "'STIX Two Text', 'Times New Roman', 'Liberation Serif', 'DejaVu Serif', serif"
Point = tuple[float, float]


class Drawing:
    """One SVG picture; ``title`` is what a screen reader says where the page gives no other description."""

    def __init__(self, height: float, title: str) -> None:
        self.parts: list[str] = []
        self.head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:g}" width="{WIDTH}" '
            f'height="{height:g}" role="img" font-family="{SANS}" font-size="13">\n'
            f"<title>{escape(title)}</title>\n"
        )

    def text(
        self,
        at: Point,
        label: str,
        *,
        colour: str = "ink",
        size: float = 13,
        anchor: str = "middle",
        bold: bool = False,
    ) -> None:
        """A line of text; ``$I_f$`` inside it is a formula with its subscript."""
        weight = ' font-weight="600"' if bold else ""
        self.parts.append(
            f'<text x="{at[0]:g}" y="{at[1]:g}" text-anchor="{anchor}" font-size="{size:g}"{weight} '
            f'fill="{COLOURS.get(colour, colour)}">{_spans(label, size)}</text>'
        )

    def panel(self, corner: Point, size: Point, colour: str) -> None:
        """A tinted ground; the tint lets the page's own colour through."""
        self.parts.append(
            f'<rect x="{corner[0]:g}" y="{corner[1]:g}" width="{size[0]:g}" height="{size[1]:g}" rx="10" '
            f'fill="{COLOURS[colour]}" fill-opacity="0.1"/>'
        )

    def box(
        self, at: Point, size: Point, label: str, colour: str, *, kind: str = "filled", letters: float = 13
    ) -> None:
        """A box centred at a point. ``kind``: filled, outline, clone (dashed outline)."""
        (x, y), (w, h), tone = at, size, COLOURS[colour]
        fill = tone if kind == "filled" else "none"
        dashes = ' stroke-dasharray="5 3"' if kind == "clone" else ""
        self.parts.append(
            f'<rect x="{x - w / 2:g}" y="{y - h / 2:g}" width="{w:g}" height="{h:g}" rx="6" fill="{fill}" '
            f'stroke="{tone}" stroke-width="2"{dashes}/>'
        )
        lines = label.split("\n")
        step = 1.2 * letters
        for i, line in enumerate(lines):
            below = (i - (len(lines) - 1) / 2) * step + 0.35 * letters
            self.text((x, y + below), line, colour="#ffffff" if kind == "filled" else colour, size=letters)

    def round(self, at: Point, label: str, colour: str = "ink", radius: float = 9) -> None:
        """A small circle with a sign in it: a sum or a product."""
        x, y = at
        self.parts.append(
            f'<circle cx="{x:g}" cy="{y:g}" r="{radius:g}" fill="none" stroke="{COLOURS[colour]}" '
            f'stroke-width="1.5"/>'
        )
        self.text((x, y + 5), label, colour=colour, size=15)

    def frames(self, at: Point, letters: bool = True) -> None:
        """A pair of images: infrared in front of visible."""
        x, y = at
        for dx, dy, colour in ((9, -8, "b"), (-5, 7, "a")):
            self.parts.append(
                f'<rect x="{x + dx - 15:g}" y="{y + dy - 12:g}" width="30" height="24" rx="3" '
                f'fill="{COLOURS[colour]}"/>'
            )
        if letters:
            self.text((x - 5, y + 11), "$I_a$", colour="#ffffff", size=14)
            self.text((x + 14, y - 8), "$I_b$", colour="#ffffff", size=14)

    def arrow(self, *points: Point, colour: str = "ink", dashed: bool = False, head: bool = True) -> None:
        """A line through points with rounded corners and a head at its end."""
        tone = COLOURS[colour]
        *_, before, end = points
        length = math.dist(before, end)
        along = ((end[0] - before[0]) / length, (end[1] - before[1]) / length)
        stop = (end[0] - 7 * along[0], end[1] - 7 * along[1]) if head else end
        dashes = ' stroke-dasharray="5 4"' if dashed else ""
        self.parts.append(
            f'<path d="{_rounded([*points[:-1], stop])}" fill="none" stroke="{tone}" stroke-width="1.8"{dashes}/>'
        )
        if head:
            side = (-4.5 * along[1], 4.5 * along[0])
            back = (end[0] - 8.5 * along[0], end[1] - 8.5 * along[1])
            corners = [end, (back[0] + side[0], back[1] + side[1]), (back[0] - side[0], back[1] - side[1])]
            at = " ".join(f"{x:.5g},{y:.5g}" for x, y in corners)
            self.parts.append(f'<polygon points="{at}" fill="{tone}"/>')

    def svg(self) -> str:
        return self.head + "\n".join(self.parts) + "\n</svg>\n"

    def write(self, path: Path) -> None:
        write_text(path, self.svg())


def _spans(label: str, size: float) -> str:
    """Text with ``$...$`` formulas as SVG: italic letters, lowered subscripts, back on the line after them."""
    down = 0.22 * size
    spans, lowered = [], False

    def add(text: str, style: str = "", lower: bool = False) -> None:
        nonlocal lowered
        shift = down * (lower - lowered)
        lowered = lower
        spans.append(f'<tspan dy="{shift:g}"{style}>{escape(text)}</tspan>')

    def math_style(scale: float) -> str:
        return f' font-family="{SERIF}" font-size="{scale * size:g}" font-style="italic"'

    for i, piece in enumerate(label.split("$")):
        if i % 2 == 0:
            if piece:
                add(piece)
            continue
        for letters, subscript in re.findall(r"([^_]+)(?:_(\w))?", piece):
            add(letters, math_style(1.15))
            if subscript:
                add(subscript, math_style(0.85), lower=True)
    return "".join(spans)


def _rounded(points: list[Point], radius: float = 7) -> str:
    """An SVG path through points, its corners rounded."""
    path = [f"M{points[0][0]:g} {points[0][1]:g}"]
    for before, corner, after in zip(points, points[1:], points[2:]):
        into = min(radius, math.dist(before, corner) / 2, math.dist(corner, after) / 2)
        (x0, y0), (x1, y1) = (_toward(corner, before, into), _toward(corner, after, into))
        path.append(f"L{x0:g} {y0:g}Q{corner[0]:g} {corner[1]:g} {x1:g} {y1:g}")
    path.append(f"L{points[-1][0]:g} {points[-1][1]:g}")
    return "".join(path)


def _toward(start: Point, end: Point, by: float) -> Point:
    length = math.dist(start, end)
    return start[0] + by * (end[0] - start[0]) / length, start[1] + by * (end[1] - start[1]) / length
