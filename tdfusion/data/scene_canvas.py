"""What SynthRoad's scenes are drawn with: chance, a camera, noise, and a buffer of materials.

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
        self.objects: list[tuple[int, int]] = [(0, 0)]  # box class and pixels painted, by instance
        self.lights: list[tuple[float, float, float, float, tuple[float, float, float]]] = []
        self.columns = np.arange(width, dtype=np.float32) + np.float32(0.5)  # pixel centres
        self.rows = np.arange(height, dtype=np.float32) + np.float32(0.5)

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


class Brush:
    """Paints one object that stands at (lateral, z): shapes in metres from the middle of its foot.

    Args:
        label: class id, or None for an object that keeps the labels behind it.
        box: detection class, or None for an object that is not counted.
        optimum: id of `OPTIMUM`, or None to keep what is behind.
        hide_visible, hide_heat: share in [0, 1] of the reflectance or temperature that is taken from
            the scene beside the object (clothes in the colours of the hedge; a sheet of metal at the
            temperature of the wall), which hides it from that camera.
        beside: where that is, in metres to the right.
        heat_only: paint the temperature and nothing else.
    """

    def __init__(
        self,
        canvas: Canvas,
        lateral: float,
        z: float,
        *,
        label: int | None = None,
        box: int | None = None,
        optimum: int | None = None,
        hide_visible: float = 0.0,
        hide_heat: float = 0.0,
        beside: float = 1.0,
        heat_only: bool = False,
    ) -> None:
        self.canvas, self.z = canvas, z
        self.heat_only = heat_only
        self.scale = canvas.camera.f / z  # pixels per metre
        self.u, self.v = canvas.camera.project(lateral, 0.0, z)
        self.label, self.optimum = label, optimum
        self.hide = (np.float32(hide_visible), np.float32(hide_heat))
        self.beside = round(beside * self.scale)
        self.number = 0
        if box is not None:
            canvas.objects.append((box, 0))
            self.number = len(canvas.objects) - 1

    def light(self, x: float, y: float, power: float, rgb: tuple[float, float, float]) -> None:
        """A point of light that the visible camera may see: it blooms."""
        self.canvas.lights.append((self.u + x * self.scale, self.v - y * self.scale, self.z, power, rgb))

    def limbs(self, parts: Sequence[tuple], *, round_off: float = 0.35) -> None:
        """Tapered round bars, one after the other.

        Args:
            parts: rows (x0, y0, x1, y1, r0, r1, material): ends and radii at them. A ball has both
                ends in one place. An eighth entry is the inner radius of a ring.
            round_off: how much darker and cooler the rims are.
        """
        shape = np.array([part[:6] for part in parts], np.float64) * self.scale
        inner = np.array([part[7] if len(part) > 7 else 0.0 for part in parts]) * self.scale
        x0, y0, x1, y1, r0, r1 = shape.T
        x0, x1, y0, y1 = self.u + x0, self.u + x1, self.v - y0, self.v - y1
        r = np.maximum(r0, r1)
        where = self.canvas.window(
            min((x0 - r).min(), (x1 - r).min()),
            min((y0 - r).min(), (y1 - r).min()),
            max((x0 + r).max(), (x1 + r).max()),
            max((y0 + r).max(), (y1 + r).max()),
        )
        if where is None:
            return
        column = [array.astype(np.float32)[:, None, None] for array in (x0, y0, x1 - x0, y1 - y0, r0, r1)]
        ax, ay, dx, dy, ra, rb = column
        px = self.canvas.columns[where[1]][None, None, :] - ax
        py = self.canvas.rows[where[0]][None, :, None] - ay
        t = ramp((px * dx + py * dy) / np.maximum(dx * dx + dy * dy, np.float32(1e-6)))
        px, py = px - t * dx, py - t * dy
        distance = np.sqrt(px * px + py * py)
        radius = ra + (rb - ra) * t
        cover = ramp(radius - distance + np.float32(0.5))
        cover *= np.minimum(np.float32(1), radius + radius)
        hollow = inner > 0
        if hollow.any():
            rim = inner[hollow].astype(np.float32)[:, None, None]
            cover[hollow] *= ramp(distance[hollow] - rim + np.float32(0.5))
        dim = distance / np.maximum(radius, np.float32(1e-3))
        dim = 1 - np.float32(round_off) * np.minimum(dim * dim, np.float32(1))
        for part, share, light in zip(parts, cover, dim):
            self._paint(where, share, part[6], light)

    def polygon(self, corners: Sequence[tuple[float, float]], of: np.ndarray) -> None:
        """A filled convex polygon, corners (x, y) in metres from the foot, either way round."""
        self.polygon_px([(self.u + x * self.scale, self.v - y * self.scale) for x, y in corners], of)

    def polygon_px(self, corners: Sequence[tuple[float, float]], of: np.ndarray) -> None:
        """A filled convex polygon, corners in pixels."""
        points = np.array(corners, np.float64)
        where = self.canvas.window(*points.min(axis=0), *points.max(axis=0))
        if where is not None:
            self._paint(where, cover_polygon(self.canvas, where, points), of)

    def _paint(
        self, where: tuple[slice, slice], cover: np.ndarray, of: np.ndarray, light: np.ndarray | None = None
    ) -> None:
        value = of[:, None, None]
        if light is not None or self.hide[0] or self.hide[1]:
            value = np.repeat(value, cover.size, axis=1).reshape(CHANNELS, *cover.shape)
            if light is not None:
                value[: HEAT + 1] *= light
            if self.hide[0] or self.hide[1]:
                behind = self._beside(where)
                value[RGB] += self.hide[0] * (behind[RGB] - value[RGB])
                value[HEAT] += self.hide[1] * (behind[HEAT] - value[HEAT])
        self.fill(where, cover, value)

    def fill(self, where: tuple[slice, slice], cover: np.ndarray, value: np.ndarray) -> None:
        """Lay ``value`` (CHANNELS, h, w) or (CHANNELS, 1, 1) over a window, ``cover`` of each pixel."""
        canvas = self.canvas
        buffer = canvas.buffer[:, where[0], where[1]]
        if self.heat_only:
            buffer[HEAT] += (value[HEAT] - buffer[HEAT]) * cover
            return
        change = value - buffer
        change[INVERSE_DEPTH] = np.float32(1 / self.z) - buffer[INVERSE_DEPTH]
        change *= cover
        buffer += change
        if not self.hide[0]:
            sunlit = canvas.sunlit[where]
            sunlit += (1 - sunlit) * cover
        solid = cover > 0.5
        if self.label is not None:
            canvas.mask[where][solid] = self.label
            canvas.instance[where][solid] = self.number
        if self.optimum is not None:
            canvas.optimum[where][solid] = self.optimum

    def _beside(self, where: tuple[slice, slice]) -> np.ndarray:
        """The buffer beside the window, on the other side where the image ends."""
        columns, width = where[1], self.canvas.camera.size[1]
        for step in (self.beside, -self.beside):
            if columns.start + step >= 0 and columns.stop + step <= width:
                return self.canvas.buffer[:, where[0], columns.start + step : columns.stop + step]
        return self.canvas.buffer[:, where[0], columns]

    def finish(self) -> None:
        """Note how large the object is before others stand in front of it."""
        if self.number:
            box, _ = self.canvas.objects[self.number]
            self.canvas.objects[self.number] = (box, int((self.canvas.instance == self.number).sum()))


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
