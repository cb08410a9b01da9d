"""What ``verify`` found in a data set: numbers per split, a table, and a verdict."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

_SHOWN = 10


@dataclass(frozen=True)
class SplitReport:
    """Findings in one split.

    Attributes:
        split: its name.
        expected: pairs in the complete split.
        pairs: complete pairs found by name.
        read: of these, pairs of which every file could be read and fits.
        unpaired: a sentence per image without a partner.
        unlabelled: a sentence per pair without a label file.
        ambiguous: a sentence per name that several files of a folder claim.
        missing: names of the paper's list without an image.
        unreadable: a sentence per pair with an unreadable, malformed or unfitting file.
        degenerate: a sentence per label file with boxes less than a pixel wide or high in the image.
        strays: files that belong to no pair.
        sizes: pairs per infrared image size (H, W).
        label_values: pixels per class id, or boxes per class id.
        boxes: boxes kept.
        boxes_outside: boxes that reach over the border; they are clipped when read.
        other_sizes: label files that name another image size than the image has.
    """

    split: str
    expected: int
    pairs: int
    read: int
    unpaired: tuple[str, ...] = ()
    unlabelled: tuple[str, ...] = ()
    ambiguous: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    unreadable: tuple[str, ...] = ()
    degenerate: tuple[str, ...] = ()
    strays: tuple[Path, ...] = ()
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    label_values: Counter[int] = field(default_factory=Counter)
    boxes: int = 0
    boxes_outside: int = 0
    other_sizes: int = 0

    @property
    def faults(self) -> tuple[str, ...]:
        """A sentence per thing that stops the split from being read as it is."""
        nothing = () if self.pairs else (f"{self.split}: not one complete pair",)
        lacking = tuple(f"{self.split}: no image {name} of the paper's list" for name in self.missing)
        return (
            *nothing,
            *self.ambiguous,
            *self.unpaired,
            *self.unlabelled,
            *self.unreadable,
            *self.degenerate,
            *lacking,
        )

    @property
    def remarks(self) -> tuple[str, ...]:
        """A sentence per thing worth knowing that does not stop the split from being read."""
        found = []
        if self.pairs != self.expected:
            found.append(f"{self.split}: {self.pairs} pairs, {self.expected} were published")
        if self.strays:
            found.append(
                f"{self.split}: {len(self.strays)} other files are ignored (first: {self.strays[0]})"
            )
        if self.boxes_outside:
            found.append(f"{self.split}: {self.boxes_outside} boxes reach over the border and are clipped")
        if self.other_sizes:
            found.append(f"{self.split}: {self.other_sizes} label files name another image size")
        return tuple(found)


@dataclass(frozen=True)
class Report:
    """Findings in a data set, made by `tdfusion.data.verify.verify`.

    Attributes:
        name, root, task: what was verified.
        classes: class names by id; empty for task ``"fusion"``.
        splits: findings per split.
    """

    name: str
    root: Path
    task: str
    classes: tuple[str, ...]
    splits: tuple[SplitReport, ...]

    @property
    def usable(self) -> bool:
        """True where every split can be opened and every pair of it read, without a box dropped."""
        return not any(s.faults for s in self.splits)

    @property
    def verdict(self) -> str:
        """``"complete"``, ``"usable"`` (but not just as published) or ``"unusable"``, and why."""
        if not self.usable:
            faults = sum(len(s.faults) for s in self.splits)
            return f"unusable: {faults} fault{'s' * (faults > 1)}"
        remarks = sum(len(s.remarks) for s in self.splits)
        return f"usable, with {remarks} remark{'s' * (remarks > 1)}" if remarks else "complete"

    def table(self) -> str:
        """The report as text: numbers per split, remarks, faults, and the verdict last."""
        rows = [("", *(s.split for s in self.splits))]
        rows += [
            (label, *(str(value(s)) for s in self.splits))
            for label, value in (
                ("pairs", lambda s: s.pairs),
                ("published pairs", lambda s: s.expected),
                ("read without fault", lambda s: s.read),
                ("unpaired images", lambda s: len(s.unpaired)),
                ("pairs without label", lambda s: len(s.unlabelled)),
                ("names with two files", lambda s: len(s.ambiguous)),
                ("names of the list missing", lambda s: len(s.missing)),
                ("unreadable or unfitting", lambda s: len(s.unreadable)),
                ("other files", lambda s: len(s.strays)),
            )
        ]
        if self.task == "detection":
            rows += [
                ("boxes", *(str(s.boxes) for s in self.splits)),
                ("boxes over the border", *(str(s.boxes_outside) for s in self.splits)),
                ("files with empty boxes", *(str(len(s.degenerate)) for s in self.splits)),
            ]
        rows += self._size_rows() + self._class_rows()
        width = max(len(row[0]) for row in rows)
        lines = [f"{self.name}, task {self.task}, in {self.root}", ""]
        lines += ["".join([f"{row[0]:<{width}}", *(f"{cell:>17}" for cell in row[1:])]) for row in rows]
        for title, sentences in (
            ("remarks", [r for s in self.splits for r in s.remarks]),
            ("faults", [f for s in self.splits for f in s.faults]),
        ):
            if sentences:
                lines += ["", f"{title}:", *(f"  {sentence}" for sentence in sentences[:_SHOWN])]
            if len(sentences) > _SHOWN:
                lines.append(f"  and {len(sentences) - _SHOWN} more")
        return "\n".join([*lines, "", f"verdict: {self.verdict}"])

    def _size_rows(self) -> list[tuple[str, ...]]:
        sizes = sorted({size for s in self.splits for size in s.sizes})
        if len(sizes) > _SHOWN:
            smallest, largest = (f(sizes, key=lambda hw: hw[0] * hw[1]) for f in (min, max))
            return [
                ("different sizes", *(str(len(s.sizes)) for s in self.splits)),
                (f"  {smallest[1]}x{smallest[0]} to {largest[1]}x{largest[0]}", *("" for _ in self.splits)),
            ]
        return [(f"size {w}x{h}", *(str(s.sizes[h, w]) for s in self.splits)) for h, w in sizes]

    def _class_rows(self) -> list[tuple[str, ...]]:
        """Share of each class in the pixels or in the boxes."""
        rows = []
        for i, name in enumerate(self.classes):
            shares = []
            for s in self.splits:
                total = s.label_values.total()
                shares.append(f"{100 * s.label_values[i] / total:.2f} %" if total else "-")
            rows.append((f"class {i} {name}", *shares))
        return rows
