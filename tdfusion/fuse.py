"""A trained F on the user's own pairs: files and folders, gray and colour, any size (Sec. 4.2)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from tdfusion.data.geometry import resize_image
from tdfusion.data.images import read_gray, read_visible, write_png, ycbcr_to_rgb
from tdfusion.errors import InputError
from tdfusion.files import images_by_stem


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
def fuse(F: nn.Module, ir: Tensor, vi: Tensor, minmax: bool = True) -> Tensor:
    """Fuse one gray pair: ir, vi (1, H, W) in [0, 1] -> I_f (1, H, W) in [0, 1], on the CPU.

    Args:
        F: a trained fusion network; its device is used, its mode is not changed.
        ir, vi: infrared image and luma of the visible image, of one size.
        minmax: stretch the result, see `stretch`.

    Raises:
        InputError: the images differ in size.

    Example:
        >>> from tdfusion.data.synthroad.scenes import SynthRoad
        >>> from tdfusion.models import FusionNet
        >>> pair = SynthRoad(length=1, size=(48, 64))[0]
        >>> I_f = fuse(FusionNet(width=8, blocks=1), pair.ir, pair.vi)  # not trained
        >>> I_f.shape, I_f.min().item(), I_f.max().item()
        (torch.Size([1, 48, 64]), 0.0, 1.0)
    """
    if ir.shape != vi.shape:
        raise InputError(f"infrared {_size(ir)} and visible {_size(vi)} differ in size; register them first")
    device = next(F.parameters()).device
    I_f = F(ir[None].to(device), vi[None].to(device))  # (1, 1, H, W)
    return (stretch(I_f) if minmax else I_f)[0].cpu()


Match = Literal["none", "ir", "vi"]


@dataclass(frozen=True)
class FilePair:
    """The two files of a pair, and where their fusion goes."""

    ir: Path
    vi: Path
    out: Path


def match_pairs(ir: str | Path, vi: str | Path, out: str | Path) -> list[FilePair]:
    """Pair up two files, or the images of two folders by their stems; results go to ``out/STEM.png``.

    Raises:
        InputError: a path is missing, one is a file and the other a folder, or an image has no partner;
            the message names it and counts the complete pairs.
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
        return [FilePair(ir, vi, out / f"{ir.stem}.png")]
    files_ir, files_vi = images_by_stem(ir), images_by_stem(vi)
    common = sorted(files_ir.keys() & files_vi.keys())
    lonely = sorted(files_ir.keys() ^ files_vi.keys())
    if lonely:
        where, missing = (ir, vi) if lonely[0] in files_ir else (vi, ir)
        more = f" (and {len(lonely) - 1} more without a partner)" if len(lonely) > 1 else ""
        raise InputError(
            f"{where}: {lonely[0]} has no image of that name in {missing}{more}; {len(common)} pairs are complete"
        )
    return [FilePair(files_ir[stem], files_vi[stem], out / f"{stem}.png") for stem in common]


def fuse_files(
    F: nn.Module,
    pairs: Iterable[FilePair],
    *,
    minmax: bool = True,
    match: Match = "none",
    overwrite: bool = False,
    progress: bool = True,
) -> list[Path]:
    """Fuse pairs of files into 8-bit PNGs; a colour visible image gives a colour result.

    F sees the luma; Cb and Cr of the visible image are put back unchanged. Every file appears whole or
    not at all. Work done before an error stays; with ``overwrite=False`` files that exist are kept and
    skipped, so the same call resumes after the cause is mended.

    Args:
        F: a trained fusion network.
        pairs: see `match_pairs`.
        minmax: stretch every result, see `stretch`.
        match: for one view at two resolutions (RoadScene): ``"ir"`` resizes the visible image to the
            infrared one, ``"vi"`` the other way round; ``"none"`` asks for equal sizes.
        overwrite: fuse again where the result exists.
        progress: a bar for more than one pair.

    Returns:
        The files written, without those skipped.

    Raises:
        InputError: an image is missing, unreadable, or of another size than its partner; says how many
            pairs were done before.
    """
    pairs = list(pairs)
    written: list[Path] = []
    for pair in tqdm(pairs, unit="pair", disable=not progress or len(pairs) < 2, dynamic_ncols=True):
        if pair.out.exists() and not overwrite:
            continue
        try:
            ir, vi, chroma = _read(pair, match)
        except InputError as error:
            done = f" ({len(written)} of {len(pairs)} pairs fused before it)" if len(pairs) > 1 else ""
            raise InputError(f"{error}{done}") from error
        I_f = fuse(F, ir, vi, minmax)
        write_png(pair.out, I_f if chroma is None else ycbcr_to_rgb(I_f, chroma))
        written.append(pair.out)
    return written


def _read(pair: FilePair, match: Match) -> tuple[Tensor, Tensor, Tensor | None]:
    """Infrared (1, H, W), luma (1, H, W) and chroma (2, H, W) or None, of one size."""
    ir = read_gray(pair.ir)
    vi, chroma = read_visible(pair.vi)
    if match == "ir":
        vi = resize_image(vi, ir.shape[-2:])
        chroma = None if chroma is None else resize_image(chroma, ir.shape[-2:])
    elif match == "vi":
        ir = resize_image(ir, vi.shape[-2:])
    if ir.shape != vi.shape:
        raise InputError(
            f"{pair.ir} is {_size(ir)} but {pair.vi} is {_size(vi)}; a pair must be registered and of one size"
            " (if both show the same view, match one to the other: --match ir or --match vi)"
        )
    return ir, vi, chroma


def _size(image: Tensor) -> str:
    return f"{image.shape[-1]}x{image.shape[-2]}"
