"""The two sides of a SynthRoad street: a row of houses, and a hedge.

Both are planes along the road, so their distance depends on the image column alone. The houses are plain
in the visible image and patchy in infrared; the hedge is the reverse.
"""

from __future__ import annotations

import numpy as np

from tdfusion.data.synthroad.canvas import (
    EMISSIVITY,
    GLOW,
    HEAT,
    INVERSE_DEPTH,
    RETRO,
    UPWARD,
    Canvas,
    Dice,
    Noise,
    ramp,
)
from tdfusion.data.synthroad.labels import BACKGROUND, INFRARED, VISIBLE
from tdfusion.data.synthroad.plan import Plan

f32 = np.float32
_FARTHEST = 75.0
_PLASTER = (
    (0.46, 0.42, 0.34),
    (0.40, 0.30, 0.22),
    (0.50, 0.48, 0.44),
    (0.36, 0.38, 0.40),
    (0.44, 0.33, 0.30),
    (0.47, 0.44, 0.28),
)
_TILES = ((0.17, 0.065, 0.04), (0.075, 0.08, 0.09), (0.12, 0.075, 0.055))


def _columns(canvas: Canvas, lateral: float) -> tuple[slice, np.ndarray] | None:
    """Columns that see the plane at ``lateral``, and how far ahead they meet it (w,)."""
    camera = canvas.camera
    side = 1.0 if lateral > camera.lateral else -1.0
    offset, bend = abs(lateral - camera.lateral), side * camera.bend
    a = (canvas.columns - f32(camera.u0)) * f32(side / camera.f)
    square = a * a - f32(4 * bend * offset)
    below = a + np.sqrt(np.maximum(square, f32(0)))
    seen = (square >= 0) & (below > f32(2 * offset / _FARTHEST))
    found = np.flatnonzero(seen)
    if not len(found):
        return None
    where = slice(int(found[0]), int(found[-1]) + 1)
    z = f32(2 * offset) / np.maximum(below[where], f32(2 * offset / _FARTHEST))
    return where, z


def draw_houses(canvas: Canvas, plan: Plan, dice: Dice) -> None:
    """A row of plastered houses: windows above, plain walls below, warm patches in infrared."""
    edges, tall, plaster, roofs, heats, glows = [1.0], [], [], [], [], []
    while edges[-1] < _FARTHEST + 20:
        edges.append(edges[-1] + dice.between(6.0, 13.0))
        tall.append(dice.between(5.5, 12.0))
        plaster.append(dice.pick(_PLASTER))
        roofs.append(dice.pick(_TILES))
        heats.append(dice.between(-1.0, 1.5))
        glows.append(dice.chance(0.3))
    noise, chance = Noise(dice), dice.table(1024)
    found = _columns(canvas, -plan.green * plan.wall)
    if found is None:
        return
    columns, z = found
    camera, climate = canvas.camera, plan.climate
    house = np.minimum(np.searchsorted(np.array(edges, np.float32), z, side="right") - 1, len(tall) - 1)
    house = np.maximum(house, 0)
    scale = f32(camera.f) / z
    height = np.array(tall, np.float32)[house]
    top = f32(camera.v0) + (f32(camera.height) - height) * scale
    base = f32(camera.v0) + f32(camera.height) * scale
    rows = slice(0, min(camera.size[0], int(np.ceil(base.max())) + 1))
    v = canvas.rows[rows, None]
    up = f32(camera.height) - (v - f32(camera.v0)) / scale  # (h, w) metres above the ground
    cover = ramp(f32(0.5) + v - top) * ramp(f32(0.5) + base - v)

    along = (z - np.array(edges, np.float32)[house]) / f32(2.4)
    floor = (up - f32(3.4)) / f32(2.9)
    cell_x, cell_y = np.floor(along), np.floor(floor)
    x, y = np.abs(along - cell_x - f32(0.5)), np.abs(floor - cell_y - f32(0.5))
    per_metre = scale * f32(plan.wall) / z  # pixels per metre along the wall
    window = ramp(f32(0.5) + (f32(0.24) - x) * f32(2.4) * per_metre) * ramp(
        f32(0.5) + (f32(0.28) - y) * f32(2.9) * scale
    )
    window *= (up > f32(3.4)) & (up < height - f32(1.4)) & (cell_y >= 0)
    pane = (cell_x * f32(7) + house * f32(29)).astype(np.int32) + (cell_y * f32(13)).astype(np.int32)
    luck = chance[pane & 1023]
    roof = ramp(f32(0.5) + (up - height + f32(1.1)) * scale)
    eaves = ramp(f32(0.5) + (up - height + f32(1.35)) * scale) - roof
    sill = ramp(f32(0.5) + (f32(0.31) - x) * f32(2.4) * per_metre) * ramp(
        f32(0.5) + (f32(0.31) - y) * f32(2.9) * scale
    )
    sill *= (up > f32(3.4)) & (up < height - f32(1.4)) & (cell_y >= 0)

    block = canvas.buffer[:, rows, columns]
    tone = (
        (f32(0.97) + f32(0.06) * noise(z * f32(0.4), up * f32(0.4)))
        * (1 + f32(0.3) * eaves)
        * (1 + f32(0.22) * sill)
    )
    paint = np.array(plaster, np.float32)[house]  # (w, 3)
    tiles = np.array(roofs, np.float32)[house]
    lit = (luck < f32(0.4)) * window * f32(climate.lamps)
    shop = np.array(glows)[house] * (up > f32(0.5)) * (up < f32(2.9)) * f32(0.35 * climate.lamps)
    for channel in range(3):
        value = paint[None, :, channel] * tone
        value += (tiles[None, :, channel] - value) * roof
        value += (f32((0.05, 0.06, 0.08)[channel]) - value) * window
        block[channel] += (value - block[channel]) * cover
        glow = (lit * (f32(0.25) + luck) + shop * f32(0.5)) * f32((1.0, 0.72, 0.38)[channel])
        glow += window * f32(climate.sky_low[channel] * 0.25)
        block[GLOW][channel] += (glow - block[GLOW][channel]) * cover

    # Blobs and bars the size of people, up to 3.4 m: radiators, ducts and doors behind plain plaster.
    blob = noise(z * f32(1.25), up * f32(0.55) + f32(17))
    patch = ramp((blob - f32(0.5)) * f32(4)) * f32(1.9) - ramp((f32(0.4) - blob) * f32(4)) * f32(0.9)
    patch += (noise(z * f32(3.1), up * f32(2.3)) - f32(0.5)) * f32(1.1)
    heat = np.array(heats, np.float32)[house] + f32(climate.wall_heat) + f32(climate.clutter) * patch
    heat = heat + (f32(climate.clutter) * (f32(3) * luck - f32(1.5)) - heat) * window
    block[HEAT] += (heat - block[HEAT]) * cover
    block[EMISSIVITY] += (f32(0.92) - block[EMISSIVITY]) * cover
    block[INVERSE_DEPTH] += (1 / z - block[INVERSE_DEPTH]) * cover
    for channel in (RETRO, UPWARD):
        block[channel] -= block[channel] * cover
    solid = cover > 0.5
    canvas.mask[rows, columns][solid] = BACKGROUND
    canvas.optimum[rows, columns][solid] = VISIBLE
    canvas.sunlit[rows, columns] += (f32(0.75) - canvas.sunlit[rows, columns]) * cover


def draw_hedge(canvas: Canvas, plan: Plan, dice: Dice) -> None:
    """A hedge: leaves in all shades, nearly one temperature."""
    noise = Noise(dice)
    tall = dice.between(1.7, 3.2)
    found = _columns(canvas, plan.green * plan.hedge)
    if found is None:
        return
    columns, z = found
    camera, climate = canvas.camera, plan.climate
    scale = f32(camera.f) / z
    base = f32(camera.v0) + f32(camera.height) * scale
    rows = slice(0, min(camera.size[0], int(np.ceil(base.max())) + 1))
    v = canvas.rows[rows, None]
    up = f32(camera.height) - (v - f32(camera.v0)) / scale
    height = f32(tall) * (f32(0.8) + f32(0.4) * noise(z * f32(0.3), f32(3)))
    leaves = noise(z * f32(3.0) + up * f32(1.1), up * f32(3.6) - z * f32(0.8)) * f32(0.45)
    leaves += noise(z * f32(7.0) - up * f32(2.6), up * f32(8.0) + z * f32(2.0)) * f32(0.35)
    leaves += noise(z * f32(15.0) + up * f32(5.0), up * f32(18.0) - z * f32(4.0)) * f32(0.2)
    cover = ramp(f32(0.5) + (height + (leaves - f32(0.5)) * f32(0.5) - up) * scale) * ramp(
        f32(0.5) + base - v
    )
    bush = noise(z * f32(0.7), up * f32(0.7))

    block = canvas.buffer[:, rows, columns]
    tone = f32(0.12) + f32(1.75) * ramp((leaves - f32(0.28)) * f32(2.3)) * (f32(0.3) + f32(1.0) * bush)
    tone *= f32(0.55) + f32(0.45) * ramp(up / height)
    cluster = noise(z * f32(1.7) + f32(31), up * f32(1.9) + f32(7))
    petals = noise(z * f32(11.0) + up * f32(4.0), up * f32(12.0) - z * f32(3.0) + f32(5))
    bloom = ramp((cluster - f32(0.53)) * f32(9)) * ramp((petals - f32(0.36)) * f32(7))
    for channel in range(3):
        value = f32(plan.leaf[channel]) * tone
        value += (f32(plan.blossom[channel]) - value) * bloom
        block[channel] += (value - block[channel]) * cover
    heat = f32(climate.leaf_heat) + f32(0.9) * (bush - f32(0.5))
    block[HEAT] += (heat - block[HEAT]) * cover
    block[EMISSIVITY] += (f32(0.97) - block[EMISSIVITY]) * cover
    block[INVERSE_DEPTH] += (1 / z - block[INVERSE_DEPTH]) * cover
    block[GLOW] -= block[GLOW] * cover
    for channel in (RETRO, UPWARD):
        block[channel] -= block[channel] * cover
    solid = cover > 0.5
    canvas.mask[rows, columns][solid] = BACKGROUND
    canvas.optimum[rows, columns][solid] = INFRARED
    shade = ramp((bush - f32(0.45)) * f32(6)) * f32(climate.dapple) + f32(1 - climate.dapple)
    canvas.sunlit[rows, columns] += (shade - canvas.sunlit[rows, columns]) * cover
