"""SynthRoad: procedural infrared / visible road scenes with known truth, drawn on the fly.

Made for this book. A scene is drawn once into a buffer of materials (reflectance, temperature,
emissivity, depth) and then seen by two cameras: the visible one sees reflectance times illumination,
the infrared one sees temperature and emissivity. See `SynthRoad` for what a pair carries.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from tdfusion.data.images import rgb_to_ycbcr
from tdfusion.data.layouts import SYNTHROAD
from tdfusion.data.pair import Pair
from tdfusion.data.synthroad.labels import BOX_CLASSES, CLASSES, INFRARED, OPTIMUM, PALETTE, VISIBLE
from tdfusion.data.synthroad.render import render
from tdfusion.errors import InputError
from tdfusion.extras import extra

__all__ = [
    "BOX_CLASSES",
    "CLASSES",
    "CONDITIONS",
    "OPTIMUM",
    "PALETTE",
    "SPLITS",
    "SynthRoad",
    "oracle_weights",
    "right_signs",
]

SPLITS = ("train", "test")
CONDITIONS = ("day", "night", "fog")
_SHARES = (0.4, 0.4, 0.2)
_MIN_SIDE, _MAX_SIDE = 32, 640


def oracle_weights(optimum: Tensor) -> Tensor:
    """Infrared weight w_a of the per-pixel oracle: 1 where infrared carries, 0 where visible does.

    Where either or both would do, the weight is that of the nearest pixel with a preference, so that the
    mix has no seam where it needs none; it is 1/2 if no pixel has one.

    Args:
        optimum: int64 (H, W), ids of `OPTIMUM`.

    Returns:
        w_a, float32 (1, H, W) in {0, 1/2, 1}; w_b is ``1 - w_a``.
    """
    infrared = (optimum == INFRARED).numpy()
    open_to_both = ~(infrared | (optimum == VISIBLE).numpy())
    if open_to_both.all():
        return torch.full((1, *optimum.shape), 0.5)
    with extra("train", "SynthRoad's best weights"):
        from scipy.ndimage import distance_transform_edt

    rows, columns = distance_transform_edt(open_to_both, return_distances=False, return_indices=True)
    return torch.from_numpy(infrared[rows, columns]).float()[None]  # (1, H, W)


def right_signs(push: Tensor, optimum: Tensor) -> float:
    """Share of the pixels whose w_a is pushed towards the image that carries their class.

    Up where infrared carries, down where visible does; the mean of both shares, so that a push of one sign
    everywhere is worth 1/2. Pixels that are not pushed at all do not count, nor those without a preference.

    Args:
        push: how w_a is asked to move, any shape.
        optimum: ids of `OPTIMUM`, of the same shape.

    Returns:
        0 to 1, and 1/2 by chance; not a number where one of the two kinds is missing.
    """
    up = push[(optimum == INFRARED) & (push != 0)] > 0
    down = push[(optimum == VISIBLE) & (push != 0)] < 0
    return ((up.float().mean() + down.float().mean()) / 2).item()


class SynthRoad(Dataset[Pair]):
    """Procedural road scenes by day, at night and in fog; scene ``i`` depends on (seed, split, i) alone.

    A scene is drawn when it is asked for, from three random streams (condition, street, sensors) of its
    own, so order, length and workers change nothing. Images are stored as a camera would store them, in
    8 bits, and the same seed gives the same levels on every machine. Another size shows the same street.

    On the **verge** infrared carries the classes: leaves and blossom are of one temperature, and walkers,
    animals, riders and parked cars wear their colours; stone figures mislead the visible image. On the
    **road** and before the **houses** visible carries them: markings, signs, cones and bystanders are as
    warm as what is behind them, among patches, sealed cracks and vents that mislead infrared. Cars and
    riders on the road show in both. Where glare or fog has taken the visible image, ``optimum`` says
    infrared.

    A box encloses the pixels that an object still shows. An object has one if these are at least 12, at
    least 30 % of what it showed before others stood before it, and at least 3 pixels wide and high.

    Args:
        split: ``"train"`` or ``"test"``: separate random streams.
        length: number of scenes; None: as many as the data set's row says (`tdfusion.data.layouts`).
        size: (H, W) in pixels, each side 32 to 640.
        seed: non-negative; another seed gives other scenes.

    Source: made for this book. Items are `Pair` with every field set, named like
    ``train-00012-night``.

    Raises:
        InputError: an unknown split, a length below 1, a size or seed out of range.

    Example:
        >>> pair = SynthRoad("test", length=8, size=(96, 128))[3]
        >>> pair.name, pair.ir.shape
        ('test-00003-fog', torch.Size([1, 96, 128]))
        >>> from tdfusion.data.synthroad.labels import OPTIMUM
        >>> [OPTIMUM[code] for code in pair.optimum.unique()]
        ['either', 'infrared', 'visible', 'both']
    """

    def __init__(
        self,
        split: str = "train",
        length: int | None = None,
        size: tuple[int, int] = (128, 128),
        seed: int = 0,
    ) -> None:
        if split not in SPLITS:
            raise InputError(f"split {split!r}: SynthRoad has {' and '.join(SPLITS)}")
        length = SYNTHROAD.split(split).count if length is None else length
        if length < 1:
            raise InputError(f"length = {length}: SynthRoad needs at least 1 scene")
        if len(size) != 2 or not all(_MIN_SIDE <= side <= _MAX_SIDE for side in size):
            raise InputError(f"size = {tuple(size)}: give (H, W), each {_MIN_SIDE} to {_MAX_SIDE} pixels")
        if seed < 0:
            raise InputError(f"seed = {seed}: give 0 or a positive integer")
        self.split, self.length, self.seed = split, int(length), int(seed)
        self.size = (int(size[0]), int(size[1]))

    def __len__(self) -> int:
        return self.length

    def _stream(self, index: int, part: int) -> np.random.Generator:
        if not 0 <= index < self.length:
            raise IndexError(f"scene {index} of {self.length}")
        entropy = [self.seed, SPLITS.index(self.split), index, part]
        return np.random.Generator(np.random.PCG64(np.random.SeedSequence(entropy)))

    def condition(self, index: int) -> str:
        """``"day"``, ``"night"`` or ``"fog"``, without drawing the scene."""
        u = self._stream(index, 0).random()
        return CONDITIONS[int(np.searchsorted(np.cumsum(_SHARES)[:-1], u, side="right"))]

    def __getitem__(self, index: int) -> Pair:
        condition = self.condition(index)
        seen = render(self._stream(index, 1), self._stream(index, 2), condition, self.size)
        rgb = torch.from_numpy(seen.rgb).permute(2, 0, 1).float() / 255.0  # (3, H, W)
        ycbcr = rgb_to_ycbcr(rgb).clamp(0, 1)
        return Pair(
            ir=torch.from_numpy(seen.ir)[None].float() / 255.0,  # (1, H, W)
            vi=ycbcr[:1],
            name=f"{self.split}-{index:05d}-{condition}",
            chroma=ycbcr[1:],
            mask=torch.from_numpy(seen.mask.astype(np.int64)),
            boxes=torch.from_numpy(seen.boxes),
            optimum=torch.from_numpy(seen.optimum.astype(np.int64)),
        )
