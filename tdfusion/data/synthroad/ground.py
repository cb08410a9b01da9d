"""Sky, skyline, road, markings, verge and pavement of a SynthRoad scene.

The road is smooth in the visible image and cluttered in infrared (repairs, sealed cracks, tyre tracks,
manholes, puddles, shadows that have gone); the verge is the reverse.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tdfusion.data.synthroad.canvas import (
    EMISSIVITY,
    FAR,
    GLOW,
    HEAT,
    INVERSE_DEPTH,
    RETRO,
    RGB,
    UPWARD,
    Canvas,
    Dice,
    Noise,
    cover_polygon,
    ramp,
)
from tdfusion.data.synthroad.labels import INFRARED, MARKING, ROAD, VISIBLE
from tdfusion.data.synthroad.plan import Plan

f32 = np.float32
_WHITE, _YELLOW = (0.47, 0.47, 0.45), (0.52, 0.36, 0.06)


def draw_sky(canvas: Canvas, plan: Plan, dice: Dice) -> None:
    """Sky with clouds, and a far skyline that meets the ground."""
    camera, climate = canvas.camera, plan.climate
    noise = Noise(dice)
    a = ((canvas.columns - f32(camera.u0)) / f32(camera.f))[None]  # (1, W)
    rows = min(_first_ground_row(canvas) + 1, camera.size[0])
    up = ((f32(camera.v0) - canvas.rows[:rows]) / f32(camera.f))[:, None]  # (rows, 1)
    high = ramp(up * f32(2.2))
    cloud = noise(a * f32(3) / (up + f32(0.25)), f32(2.2) / (up + f32(0.25))) * f32(0.65)
    cloud += noise(a * f32(9) / (up + f32(0.25)), f32(6.0) / (up + f32(0.25))) * f32(0.35)
    cloud += (noise(a * f32(26) / (up + f32(0.25)), f32(17.0) / (up + f32(0.25))) - f32(0.5)) * f32(0.16)
    cloud = ramp((cloud - f32(1 - climate.cloud)) * f32(3)) * ramp(up * f32(8) + f32(0.2))
    sky = canvas.buffer[:, :rows]
    for channel in range(3):
        low, top, lit = climate.sky_low[channel], climate.sky_top[channel], climate.cloud_rgb[channel]
        clear = f32(low) + f32(top - low) * high
        sky[GLOW][channel] = clear + (f32(lit) - clear) * cloud
    clear = f32(climate.sky_heat_low) + f32(climate.sky_heat_top - climate.sky_heat_low) * high
    sky[HEAT] = clear + (f32(climate.sky_heat_low * 0.7) - clear) * cloud
    sky[EMISSIVITY] = 1.0

    # Two ridges of far woods, the nearer one darker.
    for depth, tall, pitch, rgb in (
        (100.0, 0.055, 5.0, (0.07, 0.10, 0.09)),
        (60.0, 0.04, 9.0, (0.04, 0.065, 0.04)),
    ):
        ridge = noise(a * f32(pitch), f32(depth)) * f32(0.6) + noise(
            a * f32(pitch * 6), f32(depth + 9)
        ) * f32(0.4)
        cover = ramp(f32(0.5) + ((f32(0.25) + ridge) * f32(tall) - up) * f32(camera.f))
        leaves = f32(0.7) + f32(0.6) * noise(a * f32(90), up * f32(90))
        for channel in range(3):
            sky[channel] += (f32(rgb[channel]) * leaves - sky[channel]) * cover
        sky[HEAT] += (f32(-0.8) - sky[HEAT]) * cover
        sky[GLOW] -= sky[GLOW] * cover
        sky[INVERSE_DEPTH] += (f32(1 / depth) - sky[INVERSE_DEPTH]) * cover


@dataclass(frozen=True)
class _Ground:
    """The ground's pixels: everything below the horizon."""

    canvas: Canvas
    top: int
    z: np.ndarray  # (h, 1) metres ahead
    v: np.ndarray  # (h, 1) pixel rows
    lateral: np.ndarray  # (h, W) road coordinates
    scale: np.ndarray  # (h, 1) pixels per metre across
    blur: np.ndarray  # (h, 1) metres per pixel along

    def strip(self, middle: float, half: float) -> np.ndarray:
        """Cover of a band along the road, (h, W)."""
        cover = ramp(f32(0.5) + (f32(half) - np.abs(self.lateral - f32(middle))) * self.scale)
        return cover * np.minimum(f32(1), f32(2 * half) * self.scale)

    def beyond(self, side: float, edge: float) -> np.ndarray:
        """Cover of all that lies outside ``edge`` metres on one side."""
        return ramp(f32(0.5) + (self.lateral * f32(side) - f32(edge)) * self.scale)

    def span(self, near: float, far: float) -> np.ndarray:
        """Cover of the rows between two distances, (h, 1)."""
        camera = self.canvas.camera
        low, high = (f32(camera.v0 + camera.height * camera.f / z) for z in (near, far))
        return ramp(ramp(f32(0.5) + self.v - high) - ramp(f32(0.5) + self.v - low))

    def disc(self, lateral: float, z: float, radius: float) -> np.ndarray:
        """Cover of a round patch, soft at the rim."""
        x, y = (self.lateral - f32(lateral)) / f32(radius), (self.z - f32(z)) / f32(radius)
        return ramp((1 - x * x - y * y) * f32(4))

    def fade(self, cell: float) -> np.ndarray:
        """How much of a texture with this lattice step (m) a pixel still resolves, (h, 1)."""
        return ramp(f32(2) - f32(2 / cell) * self.blur)


def _first_ground_row(canvas: Canvas) -> int:
    camera = canvas.camera
    return min(max(math.floor(camera.v0 + camera.height * camera.f / FAR), 0), camera.size[0] - 1)


def _ground(canvas: Canvas) -> _Ground:
    camera = canvas.camera
    top = _first_ground_row(canvas)
    v = canvas.rows[top:, None]
    z = np.minimum(f32(camera.height * camera.f) / np.maximum(v - f32(camera.v0), f32(1e-3)), f32(FAR))
    lateral = (canvas.columns - f32(camera.u0))[None] * (z / f32(camera.f))
    lateral += f32(camera.lateral) - f32(camera.bend) * z * z
    return _Ground(canvas, top, z, v, lateral, f32(camera.f) / z, z * z / f32(camera.f * camera.height))


def draw_ground(canvas: Canvas, plan: Plan, dice: Dice) -> None:
    """Road, verge, pavement, and everything flat on them."""
    ground = _ground(canvas)
    fine, coarse = Noise(dice), Noise(dice)
    z, lateral = ground.z, ground.lateral
    climate, green, half = plan.climate, plan.green, plan.half_width
    broad = coarse(lateral * f32(0.8), z * f32(0.4))  # 1.2 m across, 2.5 m along
    middle = fine(lateral * f32(2.6), z * f32(1.3))
    broad += (f32(0.5) - broad) * (1 - ground.fade(2.5))
    middle += (f32(0.5) - middle) * (1 - ground.fade(0.8))
    small = fine(lateral * f32(7.0), z * f32(5.0))
    small += (f32(0.5) - small) * (1 - ground.fade(0.2))

    road = ground.strip(0.0, half)
    verge = ground.beyond(green, half + 0.22)
    block = canvas.buffer[:, ground.top :]
    grey = f32(plan.asphalt) * (f32(0.97) + f32(0.04) * middle + f32(0.05) * small)
    slab = f32(plan.paving) * (f32(0.96) + f32(0.06) * broad)
    kerb = ramp(ground.strip(half + 0.12, 0.12) + ground.strip(-half - 0.12, 0.12))
    blades = f32(0.25) + f32(1.5) * ramp((f32(0.45) * middle + f32(0.55) * small - f32(0.3)) * f32(2.2))
    blades *= f32(0.45) + f32(1.1) * broad
    bloom = ramp((f32(0.5) * broad + f32(0.5) * middle - f32(0.55)) * f32(10)) * ramp(
        (small - f32(0.38)) * f32(6)
    )
    for channel in range(3):
        value = slab * f32((1.0, 0.97, 0.9)[channel])
        meadow = f32(plan.grass[channel]) * blades
        meadow += (f32(0.7 * plan.blossom[channel]) - meadow) * bloom
        value += (meadow - value) * verge
        value += (f32(0.36) - value) * kerb
        value += (grey * f32((1.0, 1.0, 1.04)[channel]) - value) * road
        block[channel] = value

    clutter = f32(climate.clutter) * ((broad - f32(0.5)) * f32(1.5) + (middle - f32(0.5)) * f32(1.3))
    heat = f32(climate.paving_heat) + clutter
    heat += (f32(climate.verge_heat) + f32(0.8) * (broad - f32(0.5)) - heat) * verge
    heat += (f32(climate.road_heat) + clutter - heat) * road
    block[HEAT] = heat
    block[EMISSIVITY] = 0.95
    block[GLOW] = 0.0
    block[INVERSE_DEPTH] = 1 / z
    block[UPWARD] = 1.0
    block[RETRO] = 0.0

    drivable = road > 0.5
    canvas.mask[ground.top :][drivable] = ROAD
    canvas.optimum[ground.top :] = np.where(verge > 0.5, INFRARED, VISIBLE)
    dapple = ramp((f32(0.6) * broad + f32(0.4) * middle - f32(0.42)) * f32(9))
    canvas.sunlit[ground.top :] *= 1 - verge * (1 - dapple) * f32(climate.dapple)

    _heat_clutter(ground, plan, dice, road)
    _draw_markings(ground, plan, dice, f32(0.72) + f32(0.4) * middle)


def _heat_clutter(ground: _Ground, plan: Plan, dice: Dice, road: np.ndarray) -> None:
    """What asphalt shows in infrared only: shapes as large and as straight as markings."""
    block = ground.canvas.buffer[:, ground.top :]
    half, strong = plan.half_width, plan.climate.clutter
    extra = np.zeros_like(road)

    def add(cover: np.ndarray, heat: float) -> None:
        nonlocal extra
        extra += (f32(heat) - extra) * cover

    for _ in range(dice.count(2, 4)):  # repaired rectangles
        near = dice.between(3.0, 16.0)
        cover = ground.span(near, near + dice.between(1.0, 5.0)) * ground.strip(
            dice.between(-half, half), dice.between(0.3, 1.1)
        )
        add(cover, strong * dice.pick((-1.0, 1.0)) * dice.between(0.5, 1.0))
    for side in (-1.0, 1.0):  # tyre tracks
        for wheel in (-0.75, 0.75):
            add(ground.strip(side * half / 2 + wheel, 0.16) * f32(0.6), strong * 0.6)
    for _ in range(dice.count(8, 13)):  # sealed cracks and lane lines that were milled off
        near, long = dice.between(2.5, 14.0), dice.between(1.5, 5.0)
        middle, thick = dice.between(-half, half), dice.between(0.07, 0.13)
        add(ground.span(near, near + long) * ground.strip(middle, thick), strong * dice.between(1.2, 2.0))
    for _ in range(dice.count(4, 7)):  # and across the road, like stop lines and crossings
        near, deep = dice.between(3.0, 14.0), dice.between(0.2, 0.6)
        middle, wide = dice.between(-half, half), dice.between(0.3, 1.3)
        heat = strong * dice.between(1.0, 1.8) * dice.pick((-1.0, 1.0, 1.0))
        add(ground.span(near, near + deep) * ground.strip(middle, wide), heat)
    extra *= road
    for _ in range(dice.count(1, 3)):  # manholes and warm drains, on the pavement too
        lateral = dice.between(-0.9 * half, half + 1.5) * -plan.green
        spot = ground.disc(lateral, dice.between(4.0, 14.0), dice.between(0.28, 0.45))
        extra += (f32(strong * 2.0) - extra) * spot
        block[RGB] *= 1 - spot * f32(0.12)
    puddle = ground.disc(dice.between(-half, half), dice.between(5.0, 12.0), dice.between(0.5, 1.2)) * road
    extra += (f32(-strong * 1.3) - extra) * puddle
    block[HEAT] += extra


def _draw_markings(ground: _Ground, plan: Plan, dice: Dice, wear: np.ndarray) -> None:
    """White and yellow paint: as warm as the asphalt under it."""
    canvas, half, drive = ground.canvas, plan.half_width, plan.drive
    cover = np.zeros_like(ground.lateral)

    def lay(part: np.ndarray) -> None:
        np.maximum(cover, part, out=cover)

    dashes = np.zeros_like(ground.z)
    first = dice.between(0.0, 5.0)
    for number in range(12):
        near = first + 5.0 * number - 4.0
        if near > -2.5:
            dashes += ground.span(max(near, 0.3), near + 3.0)
    crossing = dice.between(6.0, 13.0) if dice.chance(0.45) else None
    centre = dashes * ground.strip(0.0, 0.10)
    edges = ground.strip(half - 0.3, 0.08) + ground.strip(0.3 - half, 0.08)
    if crossing is not None:
        gap = 1 - ground.span(crossing - 1.4, crossing + 3.4)
        centre, edges = centre * gap, edges * gap
        bars = np.zeros_like(cover)
        for number in range(int(half / 0.5)):
            bars += ground.strip(-half + 0.5 + number * 1.0, 0.25)
        lay(bars * ground.span(crossing, crossing + 2.6))
        lay(ground.strip(drive * half / 2, half / 2 - 0.3) * ground.span(crossing - 1.3, crossing - 0.9))
    lay(centre)
    lay(edges)
    if dice.chance(0.7):
        near = dice.between(4.0, 7.0) if crossing is None else max(crossing - 6.0, 3.2)
        for piece in _arrow(drive * half / 2, near, dice.pick((-1.0, 0.0, 1.0))):
            points = np.array([canvas.camera.project(x, 0.0, z) for x, z in piece])
            where = canvas.window(*points.min(axis=0), *points.max(axis=0))
            if where is not None and where[0].start >= ground.top:
                rows = slice(where[0].start - ground.top, where[0].stop - ground.top)
                part = cover_polygon(canvas, where, points)
                np.maximum(cover[rows, where[1]], part, out=cover[rows, where[1]])

    paint = cover * np.minimum(wear, f32(1))
    block = canvas.buffer[:, ground.top :]
    yellow = _YELLOW if dice.chance(0.25) else _WHITE
    middle = ground.strip(0.0, 0.2)
    for channel in range(3):
        colour = f32(_WHITE[channel]) + f32(yellow[channel] - _WHITE[channel]) * middle
        block[channel] += (colour - block[channel]) * paint
    block[RETRO] += paint * f32(0.1)
    canvas.mask[ground.top :][cover > 0.5] = MARKING


def _arrow(lateral: float, near: float, turn: float) -> list[list[tuple[float, float]]]:
    """Convex pieces of a lane arrow, corners (lateral, z)."""
    x, long = lateral, 3.2
    shaft = [(x - 0.11, near), (x + 0.11, near), (x + 0.11, near + long * 0.6), (x - 0.11, near + long * 0.6)]
    if turn == 0.0:
        tip = near + long
        return [shaft, [(x - 0.38, near + long * 0.58), (x + 0.38, near + long * 0.58), (x, tip)]]
    corner, arm = near + long * 0.55, x + turn * 0.5
    return [
        shaft,
        [
            (x - turn * 0.11, corner),
            (x - turn * 0.11, corner + 0.7),
            (arm, corner + 1.0),
            (arm, corner + 0.3),
        ],
        [(arm, corner - 0.4), (arm, corner + 1.7), (x + turn * 1.0, corner + 0.65)],
    ]
