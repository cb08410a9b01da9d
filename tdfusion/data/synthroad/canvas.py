"""What SynthRoad's scenes are drawn on: chance, a camera, noise, and a buffer of materials.

Pixels must not depend on the machine. So arrays are float32 and pass only through additions,
multiplications, divisions, square roots, comparisons and table look-ups, which IEEE 754 fixes to the
last bit; no exponential, power, trigonometric function, dot product or sum over pixels touches them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

T = TypeVar("T")

# Channels of the buffer. Colours are linear reflectances; temperature is in kelvin above the air.
RGB = slice(0, 3)
HEAT, EMISSIVITY = 3, 4
GLOW = slice(5, 8)  # light the surface sends out by itself; 1 is white at the camera's exposure
INVERSE_DEPTH, RETRO, UPWARD = 8, 9, 10  # 1/m; share of retroreflection; 1 for level ground
CHANNELS = 11

FOCAL = 1.0  # focal length in image heights, for a 4:3 image
FAR = 120.0  # metres; the ground ends here
NOISE_SIDE = 64


class Dice:
    """Chance for a scene: uniform doubles of one PCG64 stream, nothing else."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng

    def between(self, low: float, high: float) -> float:
        """Uniform in [low, high)."""
        return low + (high - low) * self._rng.random()

    def count(self, low: int, high: int) -> int:
        """Uniform integer from low to high, both included."""
        return low + int(self._rng.random() * (high - low + 1))

    def chance(self, p: float) -> bool:
        """True with probability p."""
        return self._rng.random() < p

    def pick(self, options: Sequence[T]) -> T:
        """One of the options, all equally likely."""
        return options[int(self._rng.random() * len(options))]

    def table(self, *shape: int) -> np.ndarray:
        """float32 uniform in [0, 1)."""
        return self._rng.random(shape).astype(np.float32)

    def fork(self) -> Dice:
        """An independent stream, so that what one object draws leaves the next one alone."""
        return Dice(np.random.Generator(np.random.PCG64(int(self._rng.random() * 2**53))))


class Noise:
    """Value noise: random values on a 64 x 64 lattice, smoothly interpolated, repeating."""

    def __init__(self, dice: Dice) -> None:
        self._table = dice.table(NOISE_SIDE * NOISE_SIDE)

    def __call__(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Noise in [0, 1] at (x, y), broadcast against each other; the lattice step is 1."""
        x0, y0 = np.floor(x), np.floor(y)
        tx, ty = x - x0, y - y0
        tx, ty = tx * tx * (3 - 2 * tx), ty * ty * (3 - 2 * ty)
        left = x0.astype(np.int32) & (NOISE_SIDE - 1)
        right = (left + 1) & (NOISE_SIDE - 1)
        top = (y0.astype(np.int32) & (NOISE_SIDE - 1)) * NOISE_SIDE
        below = (top + NOISE_SIDE) & (NOISE_SIDE * NOISE_SIDE - 1)
        table = self._table
        a, b = table[top + left], table[below + left]
        a += (table[top + right] - a) * tx
        b += (table[below + right] - b) * tx
        b -= a
        b *= ty
        a += b
        return a


def ramp(value: np.ndarray) -> np.ndarray:
    """Clip to [0, 1]."""
    return np.minimum(np.maximum(value, np.float32(0)), np.float32(1))


def material(
    rgb: Sequence[float],
    heat: float = 0.0,
    emissivity: float = 0.95,
    glow: Sequence[float] = (0.0, 0.0, 0.0),
    retro: float = 0.0,
) -> np.ndarray:
    """The channels of one material, float32 (CHANNELS,), without depth."""
    return np.array([*rgb, heat, emissivity, *glow, 0.0, retro, 0.0], np.float32)


@dataclass(frozen=True)
class Camera:
    """A pinhole camera over a level, gently bent road.

    Road coordinates: ``lateral`` metres to the right of the road's axis, ``up`` metres above it, ``z``
    metres ahead. The same camera at another image size shows the same scene; another aspect ratio shows
    more or less of its margins.
    """

    size: tuple[int, int]
    horizon: float  # image heights from the top
    shift: float  # of the vanishing point from the middle, in focal lengths
    height: float  # m
    lateral: float  # m right of the road's axis
    bend: float  # the axis lies ``bend * z**2`` to the right, 1/m

    @property
    def f(self) -> float:
        """Focal length in pixels."""
        return FOCAL * math.sqrt(0.75 * self.size[0] * self.size[1])

    @property
    def u0(self) -> float:
        """Column of the vanishing point, in pixels."""
        return self.size[1] / 2 + self.shift * self.f

    @property
    def v0(self) -> float:
        """Row of the horizon, in pixels."""
        return self.size[0] * self.horizon

    def project(self, lateral: float, up: float, z: float) -> tuple[float, float]:
        """Column and row of a point, in pixels."""
        scale = self.f / z
        return (
            self.u0 + (lateral - self.lateral + self.bend * z * z) * scale,
            self.v0 + (self.height - up) * scale,
        )


class Canvas:
    """The buffer of materials with the truth beside it, painted from far to near."""

    def __init__(self, camera: Camera) -> None:
        self.camera = camera
        height, width = camera.size
        self.buffer = np.zeros((CHANNELS, height, width), np.float32)
        self.mask = np.zeros((height, width), np.uint8)
        self.optimum = np.zeros((height, width), np.uint8)
        self.instance = np.zeros((height, width), np.int16)
        self.sunlit = np.ones((height, width), np.float32)  # 0 in the shade
        self.scenery = self.buffer[: HEAT + 1]  # colours and heat before things stand in front
        self.objects: list[tuple[int, int]] = [(0, 0)]  # box class and pixels painted, by instance
        self.lights: list[tuple[float, float, float, float, tuple[float, float, float]]] = []
        self.columns = np.arange(width, dtype=np.float32) + np.float32(0.5)  # pixel centres
        self.rows = np.arange(height, dtype=np.float32) + np.float32(0.5)

    def keep_scenery(self) -> None:
        """Remember the empty street, for things that hide in it."""
        self.scenery = self.buffer[: HEAT + 1].copy()

    def window(self, left: float, top: float, right: float, bottom: float) -> tuple[slice, slice] | None:
        """Rows and columns of a rectangle and a pixel around it, or None if it is out of the image."""
        height, width = self.camera.size
        y0, y1 = max(0, math.floor(top) - 1), min(height, math.ceil(bottom) + 1)
        x0, x1 = max(0, math.floor(left) - 1), min(width, math.ceil(right) + 1)
        return (slice(y0, y1), slice(x0, x1)) if y0 < y1 and x0 < x1 else None

    def shade(self, u: float, v: float, across: float, along: float, strength: float) -> None:
        """Darken an ellipse of the ground, in pixels: a contact shadow."""
        where = self.window(u - across, v - along, u + across, v + along)
        if where is None:
            return
        y = (self.rows[where[0]] - np.float32(v)) / np.float32(along)
        x = (self.columns[where[1]] - np.float32(u)) / np.float32(across)
        depth = ramp(1 - (x * x)[None] - (y * y)[:, None])
        self.sunlit[where] *= 1 - np.float32(strength) * depth


def cover_polygon(canvas: Canvas, where: tuple[slice, slice], points: np.ndarray) -> np.ndarray:
    """Share of each pixel of the window that a convex polygon covers, about, float32 in [0, 1]."""
    ahead = np.roll(points, -1, axis=0)
    edge = ahead - points
    area = (points[:, 0] * ahead[:, 1] - ahead[:, 0] * points[:, 1]).sum()
    length = np.maximum(np.sqrt((edge * edge).sum(axis=1)), 1e-9) * (1.0 if area > 0 else -1.0)
    nx, ny = -edge[:, 1] / length, edge[:, 0] / length  # inward normals
    offset = -(points[:, 0] * nx + points[:, 1] * ny)
    nx, ny, offset = (a.astype(np.float32)[:, None, None] for a in (nx, ny, offset))
    inside = canvas.columns[where[1]][None, None, :] * nx + canvas.rows[where[0]][None, :, None] * ny + offset
    return ramp(1 - ramp(np.float32(0.5) - inside).sum(axis=0))
