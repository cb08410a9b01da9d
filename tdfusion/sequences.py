"""A trained F on sequences: frames in folders or video files, with one range and one stretch for all frames.

Stretched one by one, the frames of a still scene would change brightness with their noise.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path

import numpy as np
from torch import nn
from tqdm.auto import tqdm

from tdfusion.data.filepairs import FilePair, Match, Reading, Spans, Taken, folder_spans, planes
from tdfusion.data.images import to_uint8
from tdfusion.data.ranges import Range
from tdfusion.data.registration import Misregistered
from tdfusion.data.stored import Stored
from tdfusion.data.video import VideoPair, VideoWriter
from tdfusion.errors import InputError
from tdfusion.fusing import (
    Ends,
    RangeOver,
    Say,
    begin,
    check_writable,
    fuse,
    fuse_each,
    fuse_planes,
    readable,
    to_stderr,
    unwritable,
)

SAMPLED = 16  # frames that the ends of the common stretch are measured on


def sampled(count: int) -> list[int]:
    """The frames that `stretch_ends` is measured on: all of up to 16, else 16 evenly spaced from first to last."""
    return np.unique(np.linspace(0, count - 1, min(count, SAMPLED)).round().astype(int)).tolist()


def stretch_ends(
    F: nn.Module, frames: Iterable[tuple[Stored, Stored]], reading: Reading, spans: Spans
) -> bool | Ends:
    """The least and the largest value of I_f over some frames: one min-max stretch for a whole sequence.

    Frames that do not fit together are left out; True (each its own) where that leaves none.
    """
    values: list[float] = []
    for ir, vi in frames:
        with suppress(InputError):
            frame = planes(ir, vi, reading, spans)
            I_f = fuse(F, frame.ir, frame.vi, minmax=False)  # (1, H, W)
            values += [float(I_f.min()), float(I_f.max())]
    return (min(values), max(values)) if values else True


def fuse_sequence(
    F: nn.Module,
    pairs: Iterable[FilePair],
    *,
    minmax: bool = True,
    match: Match = "none",
    ir_range: str | Range = "auto",
    vi_range: str | Range = "auto",
    range_over: RangeOver = "folder",
    page: int | None = None,
    overwrite: bool = False,
    strict: bool = False,
    progress: bool = True,
    say: Say = print,
    warn: Say | None = to_stderr,
) -> list[Path]:
    """Fuse the frames of a sequence that lie as files in two folders, into 8-bit PNGs.

    As `tdfusion.fusing.fuse_files`, but one range is taken for all frames, and all results are stretched by the same
    ends, measured on up to 16 frames before the first is written. Values beyond them are clipped. The ends depend
    on the sources alone, so that a call that resumes takes the same.

    Raises:
        InputError, PairsFailed: as `tdfusion.fusing.fuse_files`; also where the frames are of several kinds.
    """
    pairs, taken = list(pairs), Taken()
    reading = Reading(ir_range, vi_range, match, page)
    todo, spans = begin(pairs, reading, taken, range_over, overwrite=overwrite, progress=progress)
    ends: bool | Ends = minmax
    if todo and minmax:
        whole = [pairs[i] for i in sampled(len(pairs))]
        bar = tqdm(whole, desc="stretch", unit="pair", disable=not progress, leave=False)
        ends = stretch_ends(F, readable(bar, reading), reading, spans)
        _say_stretch(say, ends, len(whole), len(pairs))
    return fuse_each(
        F, pairs, todo, reading, spans, taken, ends, strict=strict, progress=progress, say=say, warn=warn
    )


def fuse_video(
    F: nn.Module,
    ir: str | Path,
    vi: str | Path,
    out: str | Path,
    *,
    minmax: bool = True,
    match: Match = "none",
    ir_range: str | Range = "auto",
    vi_range: str | Range = "auto",
    range_over: RangeOver = "folder",
    overwrite: bool = False,
    progress: bool = True,
    say: Say = print,
    warn: Say | None = to_stderr,
) -> Path | None:
    """Fuse two videos of the same moments into one, at their frame rate, in the visible video's colour.

    Ranges and stretch are common to all frames, as in `fuse_sequence`. The videos are decoded up to four times,
    a small part of what F takes.

    Args:
        out: ``.mp4`` (H.264) or ``.mkv`` (FFV1, lossless); the whole file appears, or none.
        F, minmax, match, ir_range, vi_range, range_over, overwrite, progress, say, warn: as `fuse_sequence`.

    Returns:
        ``out``, or None where it existed already and ``overwrite`` is False.

    Raises:
        InputError: a video is unreadable, the two differ in size, rate or number of frames, or a range does not fit.
    """
    out, pair = Path(out), VideoPair(Path(ir), Path(vi))
    reading, taken, off = Reading(ir_range, vi_range, match), Taken(), Misregistered()
    if out.exists() and any(out.samefile(source) for source in (pair.ir, pair.vi) if source.exists()):
        raise InputError(f"{out}: the result would take the place of its source; choose another --out")
    if out.exists() and not overwrite:
        return None
    writer = VideoWriter(out, pair.rate)
    check_writable(out)
    count = pair.check_counts()
    spans: Spans = (None, None)
    if range_over == "folder":
        frames = tqdm(pair, desc="ranges", unit="frame", total=count, disable=not progress, leave=False)
        spans = folder_spans(frames, reading, taken)
    ends: bool | Ends = minmax
    if minmax:
        chosen = sampled(count)
        bar = tqdm(_pick(pair, chosen), desc="stretch", total=len(chosen), disable=not progress, leave=False)
        ends = stretch_ends(F, bar, reading, spans)
        _say_stretch(say, ends, len(chosen), count)
    try:
        with writer:
            bar = tqdm(pair, unit="frame", total=count, disable=not progress, dynamic_ncols=True)
            for number, stored in enumerate(bar, 1):
                read = planes(*stored, reading, spans, taken)
                writer.add(to_uint8(fuse_planes(F, read, ends)))
                if warn:
                    off.check(f"frame {number}", read.ir, read.vi)
    except OSError as error:
        raise unwritable(out, error, "no video was written") from error
    for sentence in taken.words():
        say(sentence)
    if warn:
        for sentence in off.words():
            warn(sentence)
    return out


def _pick(pair: VideoPair, chosen: list[int]) -> Iterator[tuple[Stored, Stored]]:
    wanted = set(chosen)
    return (stored for i, stored in enumerate(islice(pair, chosen[-1] + 1)) if i in wanted)


def _say_stretch(say: Say, ends: bool | Ends, measured: int, frames: int) -> None:
    if isinstance(ends, tuple):
        say(
            f"result: all frames stretched from {ends[0]:.4g} to {ends[1]:.4g}, measured on {measured} of {frames}"
        )
