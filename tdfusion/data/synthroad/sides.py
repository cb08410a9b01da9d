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

F = np.float32
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
    a = (canvas.columns - F(camera.u0)) * F(side / camera.f)
    square = a * a - F(4 * bend * offset)
    below = a + np.sqrt(np.maximum(square, F(0)))
    seen = (square >= 0) & (below > F(2 * offset / _FARTHEST))
    found = np.flatnonzero(seen)
    if not len(found):
        return None
    where = slice(int(found[0]), int(found[-1]) + 1)
    z = F(2 * offset) / np.maximum(below[where], F(2 * offset / _FARTHEST))
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
    scale = F(camera.f) / z
    height = np.array(tall, np.float32)[house]
    top = F(camera.v0) + (F(camera.height) - height) * scale
    base = F(camera.v0) + F(camera.height) * scale
    rows = slice(0, min(camera.size[0], int(np.ceil(base.max())) + 1))
    v = canvas.rows[rows, None]
    up = F(camera.height) - (v - F(camera.v0)) / scale  # (h, w) metres above the ground
    cover = ramp(F(0.5) + v - top) * ramp(F(0.5) + base - v)

    along = (z - np.array(edges, np.float32)[house]) / F(2.4)
    floor = (up - F(3.4)) / F(2.9)
    cell_x, cell_y = np.floor(along), np.floor(floor)
    x, y = np.abs(along - cell_x - F(0.5)), np.abs(floor - cell_y - F(0.5))
    per_metre = scale * F(plan.wall) / z  # pixels per metre along the wall
    window = ramp(F(0.5) + (F(0.24) - x) * F(2.4) * per_metre) * ramp(F(0.5) + (F(0.28) - y) * F(2.9) * scale)
    window *= (up > F(3.4)) & (up < height - F(1.4)) & (cell_y >= 0)
    pane = (cell_x * F(7) + house * F(29)).astype(np.int32) + (cell_y * F(13)).astype(np.int32)
    luck = chance[pane & 1023]
    roof = ramp(F(0.5) + (up - height + F(1.1)) * scale)
    eaves = ramp(F(0.5) + (up - height + F(1.35)) * scale) - roof
    sill = ramp(F(0.5) + (F(0.31) - x) * F(2.4) * per_metre) * ramp(F(0.5) + (F(0.31) - y) * F(2.9) * scale)
    sill *= (up > F(3.4)) & (up < height - F(1.4)) & (cell_y >= 0)

    block = canvas.buffer[:, rows, columns]
    tone = (F(0.97) + F(0.06) * noise(z * F(0.4), up * F(0.4))) * (1 + F(0.3) * eaves) * (1 + F(0.22) * sill)
    paint = np.array(plaster, np.float32)[house]  # (w, 3)
    tiles = np.array(roofs, np.float32)[house]
    lit = (luck < F(0.4)) * window * F(climate.lamps)
    shop = np.array(glows)[house] * (up > F(0.5)) * (up < F(2.9)) * F(0.35 * climate.lamps)
    for channel in range(3):
        value = paint[None, :, channel] * tone
        value += (tiles[None, :, channel] - value) * roof
        value += (F((0.05, 0.06, 0.08)[channel]) - value) * window
        block[channel] += (value - block[channel]) * cover
        glow = (lit * (F(0.25) + luck) + shop * F(0.5)) * F((1.0, 0.72, 0.38)[channel])
        glow += window * F(climate.sky_low[channel] * 0.25)
        block[GLOW][channel] += (glow - block[GLOW][channel]) * cover

    # Blobs and bars the size of people, up to 3.4 m: radiators, ducts and doors behind plain plaster.
    blob = noise(z * F(1.25), up * F(0.55) + F(17))
    patch = ramp((blob - F(0.5)) * F(4)) * F(1.9) - ramp((F(0.4) - blob) * F(4)) * F(0.9)
    patch += (noise(z * F(3.1), up * F(2.3)) - F(0.5)) * F(1.1)
    heat = np.array(heats, np.float32)[house] + F(climate.wall_heat) + F(climate.clutter) * patch
    heat = heat + (F(climate.clutter) * (F(3) * luck - F(1.5)) - heat) * window
    block[HEAT] += (heat - block[HEAT]) * cover
    block[EMISSIVITY] += (F(0.92) - block[EMISSIVITY]) * cover
    block[INVERSE_DEPTH] += (1 / z - block[INVERSE_DEPTH]) * cover
    for channel in (RETRO, UPWARD):
        block[channel] -= block[channel] * cover
    solid = cover > 0.5
    canvas.mask[rows, columns][solid] = BACKGROUND
    canvas.optimum[rows, columns][solid] = VISIBLE
    canvas.sunlit[rows, columns] += (F(0.75) - canvas.sunlit[rows, columns]) * cover


def draw_hedge(canvas: Canvas, plan: Plan, dice: Dice) -> None:
    """A hedge: leaves in all shades, nearly one temperature."""
    noise = Noise(dice)
    tall = dice.between(1.7, 3.2)
    found = _columns(canvas, plan.green * plan.hedge)
    if found is None:
        return
    columns, z = found
    camera, climate = canvas.camera, plan.climate
    scale = F(camera.f) / z
    base = F(camera.v0) + F(camera.height) * scale
    rows = slice(0, min(camera.size[0], int(np.ceil(base.max())) + 1))
    v = canvas.rows[rows, None]
    up = F(camera.height) - (v - F(camera.v0)) / scale
    height = F(tall) * (F(0.8) + F(0.4) * noise(z * F(0.3), F(3)))
    leaves = noise(z * F(3.0) + up * F(1.1), up * F(3.6) - z * F(0.8)) * F(0.45)
    leaves += noise(z * F(7.0) - up * F(2.6), up * F(8.0) + z * F(2.0)) * F(0.35)
    leaves += noise(z * F(15.0) + up * F(5.0), up * F(18.0) - z * F(4.0)) * F(0.2)
    cover = ramp(F(0.5) + (height + (leaves - F(0.5)) * F(0.5) - up) * scale) * ramp(F(0.5) + base - v)
    bush = noise(z * F(0.7), up * F(0.7))

    block = canvas.buffer[:, rows, columns]
    tone = F(0.12) + F(1.75) * ramp((leaves - F(0.28)) * F(2.3)) * (F(0.3) + F(1.0) * bush)
    tone *= F(0.55) + F(0.45) * ramp(up / height)
    cluster = noise(z * F(1.7) + F(31), up * F(1.9) + F(7))
    petals = noise(z * F(11.0) + up * F(4.0), up * F(12.0) - z * F(3.0) + F(5))
    bloom = ramp((cluster - F(0.53)) * F(9)) * ramp((petals - F(0.36)) * F(7))
    for channel in range(3):
        value = F(plan.leaf[channel]) * tone
        value += (F(plan.blossom[channel]) - value) * bloom
        block[channel] += (value - block[channel]) * cover
    heat = F(climate.leaf_heat) + F(0.9) * (bush - F(0.5))
    block[HEAT] += (heat - block[HEAT]) * cover
    block[EMISSIVITY] += (F(0.97) - block[EMISSIVITY]) * cover
    block[INVERSE_DEPTH] += (1 / z - block[INVERSE_DEPTH]) * cover
    block[GLOW] -= block[GLOW] * cover
    for channel in (RETRO, UPWARD):
        block[channel] -= block[channel] * cover
    solid = cover > 0.5
    canvas.mask[rows, columns][solid] = BACKGROUND
    canvas.optimum[rows, columns][solid] = INFRARED
    shade = ramp((bush - F(0.45)) * F(6)) * F(climate.dapple) + F(1 - climate.dapple)
    canvas.sunlit[rows, columns] += (shade - canvas.sunlit[rows, columns]) * cover
