"""What image a method gives of a pair: one source alone, a plain mix, fused files, or a trained F."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from tdfusion.data.images import read_gray, to_uint8
from tdfusion.data.pair import Pair
from tdfusion.data.synthroad.scenes import oracle_weights
from tdfusion.downstream.config import ALIASES
from tdfusion.errors import InputError
from tdfusion.evaluate.folders import BASELINES, fuse_baseline
from tdfusion.files import images_by_stem
from tdfusion.fusing import fuse
from tdfusion.models import FusionNet

_WEIGHT_SUFFIXES = (".safetensors", ".pth", ".pt")


class ImageSource(Protocol):
    """One method's images. ``name`` is what tables call it."""

    name: str

    def check(self, split: str, names: Sequence[str]) -> None:
        """Raise InputError where the image of a pair is missing; opens no image."""

    def __call__(self, split: str, pair: Pair) -> np.ndarray:
        """The image of a pair of a split, uint8 (H, W)."""


def open_source(text: str, *, stretch: bool = True, device: str = "cpu") -> ImageSource:
    """A source by its name or its path.

    Args:
        text: ``infrared`` (``ir``), ``visible`` (``vi``), ``mean``, ``max``; ``oracle``, which SynthRoad alone
            has; a folder of fused images named like the pairs (or with folders ``train`` and ``test`` of
            them); or a file of F's weights (``.safetensors`` of this project, ``.pth`` of the authors).
        stretch: F's images on the full range, as `tdfusion.fusing.fuse`.
        device: on which F runs.

    Raises:
        InputError: none of these, or the weights are not F's.
    """
    text = ALIASES.get(str(text), str(text))
    if text in BASELINES:
        return _Baseline(text)
    if text == "oracle":
        return _Oracle()
    path = Path(text)
    if path.is_dir():
        return _Folder(path)
    if path.suffix in _WEIGHT_SUFFIXES:
        return _Fused(path, stretch, device)
    raise InputError(
        f'source "{text}": choose {", ".join(BASELINES)}, oracle (SynthRoad), a folder of fused images, '
        "or a file of F's weights (.safetensors, .pth)"
    )


class _Baseline:
    def __init__(self, name: str) -> None:
        self.name = name

    def check(self, split: str, names: Sequence[str]) -> None:
        """Every pair has one."""

    def __call__(self, split: str, pair: Pair) -> np.ndarray:
        return fuse_baseline(self.name, to_uint8(pair.ir), to_uint8(pair.vi))


class _Oracle:
    """w_a I_a + w_b I_b with the weights of `oracle_weights`: what no method can know."""

    name = "oracle"

    def check(self, split: str, names: Sequence[str]) -> None:
        """Only the pair itself tells."""

    def __call__(self, split: str, pair: Pair) -> np.ndarray:
        if pair.optimum is None:
            raise InputError(f'{pair.name}: source "oracle" needs scenes with known truth; use SynthRoad')
        w_a = oracle_weights(pair.optimum)  # (1, H, W)
        return to_uint8(w_a * pair.ir + (1 - w_a) * pair.vi)


class _Folder:
    """Images matched by stem: in ``train`` and ``test`` below the folder, or all in it."""

    def __init__(self, root: Path) -> None:
        self.name = root.resolve().name
        self.root = root
        self._files: dict[str, dict[str, Path]] = {}

    def files(self, split: str) -> dict[str, Path]:
        if split not in self._files:
            below = self.root / split
            self._files[split] = images_by_stem(below if below.is_dir() else self.root)
        return self._files[split]

    def check(self, split: str, names: Sequence[str]) -> None:
        missing = [name for name in names if name not in self.files(split)]
        if missing:
            more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
            raise InputError(
                f"{self.root}: no image {missing[0]}{more} of the {split} pairs in it; "
                f"{len(names) - len(missing)} of {len(names)} have one"
            )

    def __call__(self, split: str, pair: Pair) -> np.ndarray:
        path = self.files(split)[pair.name]
        image = read_gray(path, "full")  # (1, H, W); not stretched: a result is judged as it is
        if tuple(image.shape[-2:]) != pair.size:
            raise InputError(
                f"{path}: {image.shape[-1]}x{image.shape[-2]} pixels, but its pair has "
                f"{pair.size[1]}x{pair.size[0]}; a fused image has the size of its sources"
            )
        return to_uint8(image)


class _Fused:
    """F's own images I_f in 8 bits.

    ``tdfusion fuse`` saves the same of gray pairs. Of colour pairs it saves I_f with the visible image's colour,
    clipped to what a screen can show, so that the gray value of its files may differ.
    """

    def __init__(self, path: Path, stretch: bool, device: str) -> None:
        self.F = FusionNet.from_file(path).to(device)
        self.name = path.parent.name if path.stem == "F" and path.parent.name else path.stem
        self.stretch = stretch

    def check(self, split: str, names: Sequence[str]) -> None:
        """F fuses any pair."""

    def __call__(self, split: str, pair: Pair) -> np.ndarray:
        with torch.no_grad():
            return to_uint8(fuse(self.F, pair.ir, pair.vi, self.stretch))
