"""The brush that paints SynthRoad's objects: limbs, polygons and patches, in metres from an object's foot."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tdfusion.data.synthroad.canvas import (
    CHANNELS,
    GLOW,
    HEAT,
    INVERSE_DEPTH,
    RETRO,
    RGB,
    Canvas,
    cover_polygon,
    ramp,
)


class Brush:
    """Paints one object that stands at (lateral, z): shapes in metres from the middle of its foot.

    Args:
        label: class id, or None for an object that keeps the labels behind it.
        box: detection class, or None for an object that is not counted.
        optimum: id of `OPTIMUM`, or None to keep what is behind.
        hide_visible, hide_heat: share in [0, 1] of the reflectance or temperature that is taken from
            the empty street (clothes in the colours of the hedge; sheet metal as warm as what is near
            it), which hides the object from that camera.
        beside: how far to the right of each pixel that is taken from, in metres.
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
        beside: float = 0.0,
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

    def shadow(self, wide: float, deep: float, tall: float = 0.0, sun: float = 0.0) -> None:
        """Darken the ground under the object and, with a sun, beside it.

        Args:
            wide, deep: half axes of the foot, m.
            tall: height of the object, m.
            sun: 0 without; else the side that the shadow falls to, -1 or 1, in shares of the height.
        """
        shade, s = self.canvas.shade, self.scale
        shade(self.u, self.v, wide * s, deep * s, 0.75)
        if sun:
            reach = 0.5 * tall * sun
            shade(self.u + reach * s, self.v, (abs(reach) + wide) * s, 0.8 * deep * s, 0.6)

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
                street = self._street(where)
                value[RGB] += self.hide[0] * (street[RGB] - value[RGB])
                value[GLOW] *= 1 - self.hide[0]
                value[RETRO] *= 1 - self.hide[0]
                value[HEAT] += self.hide[1] * (street[HEAT] - value[HEAT])
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

    def _street(self, where: tuple[slice, slice]) -> np.ndarray:
        """The empty street beside the window, or straight behind it where the image ends."""
        columns, width = where[1], self.canvas.camera.size[1]
        start, stop = columns.start + self.beside, columns.stop + self.beside
        if start < 0 or stop > width:
            start, stop = columns.start, columns.stop
        return self.canvas.scenery[:, where[0], start:stop]

    def finish(self) -> None:
        """Note how large the object is before others stand in front of it."""
        if self.number:
            box, _ = self.canvas.objects[self.number]
            self.canvas.objects[self.number] = (box, int((self.canvas.instance == self.number).sum()))
