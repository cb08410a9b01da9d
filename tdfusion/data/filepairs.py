"""Two files, or two folders, as pairs that F can take: matched, read, scaled, of one size."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from tdfusion.data.geometry import Match, matched, resize_image
from tdfusion.data.images import as_gray, as_luma_and_chroma
from tdfusion.data.ranges import Levels, Range, Span, choose_span, count_notes, describe, join, levels
from tdfusion.data.stored import Stored, open_stored
from tdfusion.errors import InputError
from tdfusion.files import images_by_stem

Spans = tuple[Span | None, Span | None]  # of infrared and visible over a folder; None: each image its own


@dataclass(frozen=True)
class FilePair:
    """The two files of a pair, and where their fusion goes."""

    ir: Path
    vi: Path
    out: Path


class Planes(NamedTuple):
    """What is fused of a pair: gray infrared and luma (1, H, W), chroma (2, H, W) or None, all in [0, 1]."""

    ir: Tensor
    vi: Tensor
    chroma: Tensor | None


@dataclass(frozen=True)
class Reading:
    """How pairs are read.

    Attributes:
        ir_range, vi_range: which range of each image's values becomes 0 to 1, see `choose_span`.
        match: for one view at two resolutions (RoadScene): ``"ir"`` resizes the visible image to the
            infrared one, ``"vi"`` the other way round; ``"none"`` asks for equal sizes.
        page: of files that hold several pages, from 1.
    """

    ir_range: str | Range = "auto"
    vi_range: str | Range = "auto"
    match: Match = "none"
    page: int | None = None

    def __post_init__(self) -> None:
        for asked in (self.ir_range, self.vi_range):
            Range.parse(asked)

    def open(self, pair: FilePair) -> tuple[Stored, Stored]:
        """Both files as they are stored."""
        return open_stored(pair.ir, self.page), open_stored(pair.vi, self.page)


@dataclass
class Taken:
    """What was taken of each image read, for the sentences of `words`."""

    ir: list[tuple[Levels, Span]] = field(default_factory=list)
    vi: list[tuple[Levels, Span]] = field(default_factory=list)
    ir_notes: list[str] = field(default_factory=list)
    vi_notes: list[str] = field(default_factory=list)

    def note(self, ir: Stored, vi: Stored) -> None:
        """Keep what was done to read a pair."""
        self.ir_notes += ir.notes
        self.vi_notes += vi.notes
        if ir.colour:
            self.ir_notes.append(
                "in colour, of which the luma is taken (false colours do not rise with temperature)"
            )

    def words(self) -> list[str]:
        """Sentences on infrared and visible; 8-bit visible images in full go without saying."""
        plain = all(found.kind == "8-bit" and span.rule == "full" for found, span in self.vi)
        visible = [] if plain else describe("visible", self.vi)
        infrared = describe("infrared", self.ir) + count_notes("infrared", self.ir_notes)
        return infrared + visible + count_notes("visible", self.vi_notes)


def read_pair_files(
    pair: FilePair, reading: Reading | None = None, spans: Spans = (None, None), taken: Taken | None = None
) -> Planes:
    """Read one pair of files.

    Args:
        pair: the files.
        reading: how.
        spans: the ranges of a whole folder (`folder_spans`), where not each image has its own.
        taken: is told what was taken.

    Raises:
        InputError: an image is missing or unreadable, its range does not fit, or the sizes differ.
    """
    reading = reading or Reading()
    return planes(*reading.open(pair), reading, spans, taken)


def planes(
    ir: Stored, vi: Stored, reading: Reading, spans: Spans = (None, None), taken: Taken | None = None
) -> Planes:
    """Two stored images scaled and of one size.

    Raises:
        InputError: a range does not fit, or the sizes differ.
    """
    found = levels(ir), levels(vi)
    chosen = [
        span or choose_span(one, asked)
        for span, one, asked in zip(spans, found, (reading.ir_range, reading.vi_range))
    ]
    I_a = as_gray(ir, chosen[0])  # (1, H, W)
    I_b, chroma = as_luma_and_chroma(vi, chosen[1])  # (1, H, W), (2, H, W)
    I_a, I_b = matched(I_a, I_b, reading.match)
    chroma = None if chroma is None else resize_image(chroma, I_b.shape[-2:])
    if I_a.shape != I_b.shape:
        raise InputError(
            f"{ir.name} is {size_words(I_a)} but {vi.name} is {size_words(I_b)}; a pair must be registered and of one"
            " size (if both show the same view, match one to the other: --match ir or --match vi)"
        )
    if taken is not None:
        taken.note(ir, vi)
        taken.ir += [] if spans[0] else [(found[0], chosen[0])]
        taken.vi += [] if spans[1] else [(found[1], chosen[1])]
    return Planes(I_a, I_b, chroma)


def folder_spans(images: Iterable[tuple[Stored, Stored]], reading: Reading, taken: Taken) -> Spans:
    """One range for all infrared images and one for all visible ones; none where there is no image.

    Raises:
        InputError: they are of several kinds, or the range does not fit.
    """
    pairs = [(levels(ir), levels(vi)) for ir, vi in images]
    if not pairs:
        return None, None
    found = [join(role) for role in zip(*pairs)]
    spans = [choose_span(one, asked) for one, asked in zip(found, (reading.ir_range, reading.vi_range))]
    taken.ir.append((found[0], spans[0]))
    taken.vi.append((found[1], spans[1]))
    return spans[0], spans[1]


def match_pairs(ir: str | Path, vi: str | Path, out: str | Path) -> list[FilePair]:
    """Pair up two files, or the images of two folders by their stems; results go to ``out/STEM.png``.

    Raises:
        InputError: a path is missing, one is a file and the other a folder, ``out`` is a source's own folder,
            or an image has no partner; the message names it and counts the complete pairs.
    """
    ir, vi, out = Path(ir), Path(vi), Path(out)
    for path in (ir, vi):
        if not path.exists():
            raise InputError(f"{path}: no such file or folder")
    if ir.is_file() != vi.is_file():
        raise InputError(f"{ir} and {vi}: give two files or two folders")
    if out.is_file():
        raise InputError(f"{out}: is a file; --out names a folder")
    if ir.is_file():
        return [_safe(FilePair(ir, vi, out / f"{ir.stem}.png"))]
    files_ir, files_vi = images_by_stem(ir), images_by_stem(vi)
    common = sorted(files_ir.keys() & files_vi.keys())
    lonely = sorted(files_ir.keys() ^ files_vi.keys())
    if lonely:
        where, missing = (ir, vi) if lonely[0] in files_ir else (vi, ir)
        more = f" (and {len(lonely) - 1} more without a partner)" if len(lonely) > 1 else ""
        raise InputError(
            f"{where}: {lonely[0]} has no image of that name in {missing}{more}; {len(common)} pairs are complete"
        )
    return [_safe(FilePair(files_ir[stem], files_vi[stem], out / f"{stem}.png")) for stem in common]


def _safe(pair: FilePair) -> FilePair:
    """The pair, unless its result would take the place of a source."""
    for source in (pair.ir, pair.vi):
        if pair.out.exists() and pair.out.samefile(source):
            raise InputError(
                f"{pair.out}: the result would take the place of its source; choose another --out"
            )
    return pair


def size_words(image: Tensor) -> str:
    """``640x480`` of an image (..., 480, 640)."""
    return f"{image.shape[-1]}x{image.shape[-2]}"
