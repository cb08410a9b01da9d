"""A trained F on the user's own pairs: files and folders, gray and colour, any size (Sec. 4.2)."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from tdfusion.data.filepairs import (
    FilePair,
    Match,
    Planes,
    Reading,
    Spans,
    Taken,
    folder_spans,
    match_pairs,
    read_pair_files,
    size_words,
)
from tdfusion.data.images import write_png, ycbcr_to_rgb
from tdfusion.data.ranges import Range
from tdfusion.data.registration import Misregistered
from tdfusion.data.stored import Stored
from tdfusion.errors import InputError
from tdfusion.models import FusionNet

__all__ = [
    "FilePair",
    "PairsFailed",
    "Planes",
    "Reading",
    "fuse",
    "fuse_files",
    "fuse_planes",
    "match_pairs",
    "read_pair_files",
    "stretch",
]

Ends = tuple[float, float]
Say = Callable[[str], object]
RangeOver = Literal["image", "folder"]

# Peak memory of F in float32 on a CPU, measured at 640x480 and 1920x1080: 3.4 to 4 kB a pixel.
_BYTES_PER_PIXEL = 3.5e3


def to_stderr(sentence: str) -> None:
    """Print a warning where it does not mix with results."""
    print(f"tdfusion: {sentence}", file=sys.stderr)


class PairsFailed(InputError):
    """Some pairs of a folder could not be fused; the others were.

    Attributes:
        failed: a sentence for each that names its file.
        written: the results that were written.
    """

    def __init__(self, failed: Sequence[str], written: Sequence[Path], pairs: int) -> None:
        more = f" (and {len(failed) - 1} more pairs)" if len(failed) > 1 else ""
        super().__init__(f"{failed[0]}{more}; {pairs - len(failed)} of {pairs} pairs are fused")
        self.failed, self.written = tuple(failed), list(written)


def stretch(I_f: Tensor) -> Tensor:
    """Min-max stretch of each image to [0, 1], as the released code saves its results. (B, 1, H, W).

    It changes contrast, and with it most fusion metrics; a constant image is left as it is.

    Example:
        >>> stretch(torch.tensor([0.25, 0.5, 0.75]).reshape(1, 1, 1, 3)).flatten().tolist()
        [0.0, 0.5, 1.0]
    """
    low, high = I_f.amin((1, 2, 3), keepdim=True), I_f.amax((1, 2, 3), keepdim=True)  # (B, 1, 1, 1)
    span = high - low
    return torch.where(span > 0, (I_f - low) / span.clamp_min(torch.finfo(I_f.dtype).tiny), I_f)


@torch.no_grad()
def fuse(F: nn.Module, ir: Tensor, vi: Tensor, minmax: bool | Ends = True) -> Tensor:
    """Fuse one gray pair: ir, vi (1, H, W) in [0, 1] -> I_f (1, H, W) in [0, 1], on the CPU.

    Args:
        F: a trained fusion network; its device is used, its mode is not changed.
        ir, vi: infrared image and luma of the visible image, of one size.
        minmax: stretch the result by its own ends, see `stretch`, or by (low, high), those of a sequence.

    Raises:
        InputError: the images differ in size, or need more memory than there is.

    Example:
        >>> from tdfusion.data.synthroad.scenes import SynthRoad
        >>> from tdfusion.models import FusionNet
        >>> pair = SynthRoad(length=1, size=(48, 64))[0]
        >>> I_f = fuse(FusionNet(width=8, blocks=1), pair.ir, pair.vi)  # not trained
        >>> I_f.shape, I_f.min().item(), I_f.max().item()
        (torch.Size([1, 48, 64]), 0.0, 1.0)
    """
    if ir.shape != vi.shape:
        raise InputError(
            f"infrared {size_words(ir)} and visible {size_words(vi)} differ in size; register them first"
        )
    device = next(F.parameters(), ir).device  # a rule without parameters is an F too
    _check_memory(F, ir, device)
    try:
        I_f = F(ir[None].to(device), vi[None].to(device))  # (1, 1, H, W)
    except RuntimeError as error:  # torch.OutOfMemoryError, and what the CPU's allocator raises
        if "memory" not in str(error):
            raise
        raise InputError(f"{size_words(ir)} pixels: memory ran out; make both images smaller") from error
    if isinstance(minmax, tuple):
        low, high = minmax
        return ((I_f - low) / (high - low)).clamp(0, 1)[0].cpu() if high > low else I_f[0].cpu()
    return (stretch(I_f) if minmax else I_f)[0].cpu()


def fuse_planes(F: nn.Module, pair: Planes, minmax: bool | Ends = True) -> Tensor:
    """`fuse` with the visible image's Cb and Cr put back: (1 or 3, H, W) in [0, 1]."""
    I_f = fuse(F, pair.ir, pair.vi, minmax)
    return I_f if pair.chroma is None else ycbcr_to_rgb(I_f, pair.chroma)


def fuse_files(
    F: nn.Module,
    pairs: Iterable[FilePair],
    *,
    minmax: bool = True,
    match: Match = "none",
    ir_range: str | Range = "auto",
    vi_range: str | Range = "auto",
    range_over: RangeOver = "image",
    page: int | None = None,
    overwrite: bool = False,
    strict: bool = False,
    progress: bool = True,
    say: Say = print,
    warn: Say | None = to_stderr,
) -> list[Path]:
    """Fuse pairs of files into 8-bit PNGs; a colour visible image gives a colour result.

    F sees the luma; Cb and Cr of the visible image are put back unchanged. Every file appears whole or
    not at all. A pair that cannot be fused does not hold up the others; it is named in the end. With
    ``overwrite=False`` files that exist are kept and skipped, so the same call resumes.

    Args:
        F: a trained fusion network.
        pairs: see `match_pairs`.
        minmax: stretch every result, see `stretch`.
        match, ir_range, vi_range, page: how images are read, see `Reading`.
        range_over: ``"folder"`` takes one range for all infrared images and one for all visible ones.
        overwrite: fuse again where the result exists.
        strict: stop at the first pair that cannot be fused.
        progress: a bar for more than one pair.
        say: is given the sentences that tell which range was taken.
        warn: is given a sentence on the pairs that look misregistered, see `misregistration`; None does not look.

    Returns:
        The files written, without those skipped.

    Raises:
        InputError: the one pair, or with ``strict`` the first, cannot be fused; or no result can be written.
        PairsFailed: some pairs of many could not be fused; raised after the others are done.
    """
    pairs, taken = list(pairs), Taken()
    reading = Reading(ir_range, vi_range, match, page)
    todo, spans = begin(pairs, reading, taken, range_over, overwrite=overwrite, progress=progress)
    return fuse_each(
        F, pairs, todo, reading, spans, taken, minmax, strict=strict, progress=progress, say=say, warn=warn
    )


def begin(
    pairs: Sequence[FilePair],
    reading: Reading,
    taken: Taken,
    range_over: RangeOver,
    *,
    overwrite: bool,
    progress: bool,
) -> tuple[list[FilePair], Spans]:
    """What is still to be done, after a try to write there, and the ranges of the whole folder where asked for."""
    todo = [pair for pair in pairs if overwrite or not pair.out.exists()]
    if not todo:
        return [], (None, None)
    check_writable(todo[0].out)
    if range_over == "image":
        return todo, (None, None)
    bar = tqdm(pairs, desc="ranges", unit="pair", disable=not progress or len(pairs) < 2, leave=False)
    return todo, folder_spans(readable(bar, reading), reading, taken)


def fuse_each(
    F: nn.Module,
    pairs: Sequence[FilePair],
    todo: Sequence[FilePair],
    reading: Reading,
    spans: Spans,
    taken: Taken,
    minmax: bool | Ends,
    *,
    strict: bool,
    progress: bool,
    say: Say,
    warn: Say | None,
) -> list[Path]:
    """The loop of `fuse_files` over what is still to be done, with ranges and stretch decided."""
    written: list[Path] = []
    failed: list[str] = []
    off = Misregistered()
    try:
        for pair in tqdm(todo, unit="pair", disable=not progress or len(pairs) < 2, dynamic_ncols=True):
            try:
                read = read_pair_files(pair, reading, spans, taken)
                image = _named(pair.ir, fuse_planes, F, read, minmax)
            except InputError as error:
                if strict or len(pairs) == 1:
                    done = f" ({len(pairs) - len(todo) + len(written)} of {len(pairs)} pairs are fused)"
                    raise InputError(f"{error}{done if len(pairs) > 1 else ''}") from error
                failed.append(str(error))
                continue
            try:
                write_png(pair.out, image)
            except OSError as error:
                raise unwritable(pair.out, error, f"{len(written)} results were written before it") from error
            written.append(pair.out)
            if warn:
                off.check(f"{pair.ir.name} with {pair.vi.name}", read.ir, read.vi)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"after {len(written)} of {len(todo)} pairs; the same call goes on with the rest"
        ) from None
    finally:
        if taken.ir:
            for sentence in taken.words():
                say(sentence)
        if warn:
            for sentence in off.words():
                warn(sentence)
    if failed:
        raise PairsFailed(failed, written, len(pairs))
    return written


def readable(pairs: Iterable[FilePair], reading: Reading) -> Iterator[tuple[Stored, Stored]]:
    """The pairs that can be read, as stored; those that cannot are named when their turn to be fused comes."""
    for pair in pairs:
        with suppress(InputError):
            yield reading.open(pair)


def check_writable(path: Path) -> None:
    """Try to write beside ``path``, before hours of work, without making its folder.

    Raises:
        InputError: that cannot be done.
    """
    folder = next(p for p in path.absolute().parents if p.exists())
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise unwritable(path, error, "nothing was fused") from error


def unwritable(path: Path, error: OSError, state: str) -> InputError:
    """What to say where a result cannot be written."""
    return InputError(f"{path}: cannot be written ({error.strerror or error}); {state}")


def _named(path: Path, function: Callable[..., Tensor], *arguments: object) -> Tensor:
    """Call, and name the file in what goes wrong."""
    try:
        return function(*arguments)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _check_memory(F: nn.Module, image: Tensor, device: torch.device) -> None:
    """Refuse what would make the system end the process: Linux grants memory that it does not have."""
    meminfo = Path("/proc/meminfo")
    if device.type != "cpu" or not isinstance(F, FusionNet) or not meminfo.exists():
        return
    free = next((int(x.split()[1]) * 1e3 for x in meminfo.read_text().splitlines() if "MemAvail" in x), 1e18)
    needed = _BYTES_PER_PIXEL * image[0].numel()
    if needed > free:
        raise InputError(
            f"{size_words(image)} pixels need about {needed / 1e9:.0f} GB of memory, and {free / 1e9:.0f} GB are "
            "free; make both images smaller (or --match the larger to the smaller)"
        )
