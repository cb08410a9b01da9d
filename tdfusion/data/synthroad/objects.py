"""Signs, cones, trees, lamps and other standing things of SynthRoad."""

from __future__ import annotations

import numpy as np

from tdfusion.data.synthroad.brush import Brush
from tdfusion.data.synthroad.canvas import Canvas, Noise, material, ramp
from tdfusion.data.synthroad.labels import BACKGROUND, BOX_CLASSES, CONE, INFRARED, SIGN, VISIBLE
from tdfusion.data.synthroad.plan import Plan, Thing

f32 = np.float32
# Seven bars of a digit, 0.44 wide and 0.72 high, and which of them each digit shows.
_SEGMENTS = (
    (0.0, 0.24, 0.44, 0.36),
    (0.32, 0.0, 0.44, 0.36),
    (0.32, -0.36, 0.44, 0.0),
    (0.0, -0.36, 0.44, -0.24),
    (0.0, -0.36, 0.12, 0.0),
    (0.0, 0.0, 0.12, 0.36),
    (0.0, -0.06, 0.44, 0.06),
)
_DIGITS = {
    "0": (0, 1, 2, 3, 4, 5),
    "2": (0, 1, 6, 4, 3),
    "3": (0, 1, 6, 2, 3),
    "5": (0, 5, 6, 2, 3),
    "8": (0, 1, 2, 3, 4, 5, 6),
}


def draw_sign(canvas: Canvas, plan: Plan, thing: Thing) -> None:
    """A traffic sign: painted sheet metal at the temperature of what is behind it."""
    dice = thing.dice
    hide = dice.between(0.9, 0.97)
    pole = Brush(canvas, thing.lateral, thing.z, label=BACKGROUND, hide_heat=hide)
    panel = Brush(
        canvas,
        thing.lateral,
        thing.z,
        label=SIGN,
        box=BOX_CLASSES.index("sign"),
        optimum=VISIBLE,
        hide_heat=hide,
    )
    size, y = dice.between(0.36, 0.52), dice.between(1.7, 2.7)
    grey = material((0.33, 0.34, 0.35), 0.0)
    pole.limbs([(0, 0, 0, y + 0.1, 0.04, 0.04, grey)])
    white, red = material((0.8, 0.8, 0.78), retro=0.6), material((0.62, 0.03, 0.03), retro=0.4)
    blue, black = material((0.03, 0.12, 0.50), retro=0.4), material((0.03, 0.03, 0.03))
    yellow = material((0.80, 0.55, 0.03), retro=0.5)

    def regular(sides: int, radius: float, turn: float, of: np.ndarray, up: float = 0.0) -> None:
        angles = (np.arange(sides) / sides + turn) * (2 * np.pi)
        panel.polygon([(radius * float(np.sin(t)), y + up + radius * float(np.cos(t))) for t in angles], of)

    def bar(x0: float, y0: float, x1: float, y1: float, of: np.ndarray) -> None:
        box = [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]
        panel.polygon([(size * px, y + size * py) for px, py in box], of)

    kind = dice.count(0, 5)
    if kind == 0:  # limit
        regular(20, size, 0.0, red)
        regular(20, size * 0.78, 0.0, white)
        for left, digit in ((-0.52, dice.pick("2358")), (0.08, "0")):
            for segment in _DIGITS[digit]:
                x0, y0, x1, y1 = _SEGMENTS[segment]
                bar(left + x0, y0, left + x1, y1, black)
    elif kind == 1:  # warning
        regular(3, size * 1.15, 0.0, red, -0.1)
        regular(3, size * 0.75, 0.0, white, -0.1)
        bar(-0.07, -0.30, 0.07, 0.14, black)
    elif kind == 2:  # no entry
        regular(20, size, 0.0, red)
        bar(-0.66, -0.17, 0.66, 0.17, white)
    elif kind == 3:  # direction
        regular(20, size, 0.0, blue)
        bar(-0.11, -0.6, 0.11, 0.25, white)
        panel.polygon(
            [(-size * 0.38, y + size * 0.15), (size * 0.38, y + size * 0.15), (0, y + size * 0.68)], white
        )
    elif kind == 4:  # priority
        regular(4, size * 1.1, 0.0, white)
        regular(4, size * 0.84, 0.0, yellow)
    else:  # stop
        regular(8, size, 1 / 16, white)
        regular(8, size * 0.9, 1 / 16, red)
        bar(-0.58, -0.14, 0.58, 0.14, white)
    panel.finish()


def draw_cone(canvas: Canvas, plan: Plan, thing: Thing) -> None:
    """A traffic cone, as warm as the road behind it."""
    brush = Brush(
        canvas,
        thing.lateral,
        thing.z,
        label=CONE,
        box=BOX_CLASSES.index("cone"),
        optimum=VISIBLE,
        hide_heat=thing.dice.between(0.88, 0.97),
    )
    brush.shadow(0.3, 0.09, 0.8, plan.shadow)
    orange, white = material((0.80, 0.20, 0.02)), material((0.75, 0.75, 0.72), retro=0.5)
    tall, foot = thing.dice.between(0.75, 0.95), 0.26

    def slice_of(low: float, high: float, of: np.ndarray) -> None:
        a, b = (0.20 * (1 - t) + 0.03 * t for t in (low, high))
        brush.polygon([(-a, low * tall), (a, low * tall), (b, high * tall), (-b, high * tall)], of)

    brush.polygon([(-foot, 0), (foot, 0), (foot, 0.05), (-foot, 0.05)], orange)
    slice_of(0.06, 1.0, orange)
    slice_of(0.36, 0.55, white)
    slice_of(0.72, 0.84, white)
    brush.finish()


def draw_tree(canvas: Canvas, plan: Plan, thing: Thing) -> None:
    """Trunk, branches and a crown of leaves with gaps; one temperature, many shades."""
    dice, leaf = thing.dice, plan.climate.leaf_heat
    brush = Brush(canvas, thing.lateral, thing.z, label=BACKGROUND, optimum=INFRARED)
    tall, wide = dice.between(4.5, 8.5), dice.between(1.6, 2.9)
    bark = material((0.10, 0.075, 0.055), leaf + 0.6)
    lean = dice.between(-0.2, 0.2)
    brush.limbs(
        [
            (0, 0, lean, tall * 0.6, 0.20, 0.11, bark),
            (lean * 0.6, tall * 0.38, wide * 0.5, tall * 0.66, 0.08, 0.04, bark),
            (lean * 0.7, tall * 0.42, -wide * 0.5, tall * 0.7, 0.08, 0.04, bark),
        ]
    )
    noise, tint = Noise(dice), dice.between(0.75, 1.25)
    middle, high = tall * 0.72, tall * 0.42
    s = brush.scale
    where = canvas.window(
        brush.u - wide * 1.3 * s,
        brush.v - (middle + high * 1.3) * s,
        brush.u + wide * 1.3 * s,
        brush.v - (middle - high * 1.3) * s,
    )
    if where is None:
        return
    x = ((canvas.columns[where[1]] - f32(brush.u)) / f32(s))[None]
    y = ((f32(brush.v) - canvas.rows[where[0]]) / f32(s))[:, None]
    rx, ry = (x - f32(lean)) / f32(wide), (y - f32(middle)) / f32(high)
    rough = noise(x * f32(0.8) + f32(9), y * f32(0.8)) * f32(0.5) + noise(
        x * f32(2.3) + y, y * f32(2.3) - x
    ) * f32(0.3)
    rough += noise(x * f32(6.0) - y * f32(2), y * f32(6.0) + x * f32(2)) * f32(0.2)
    cover = ramp((1 - rx * rx - ry * ry + (rough - f32(0.55)) * f32(1.7)) * f32(min(5.0, 0.5 * s)))
    tone = f32(0.25) + f32(1.5) * ramp(
        (
            noise(x * f32(4.0) + y, y * f32(4.0) - x) * f32(0.6)
            + noise(x * f32(9.0) - y * f32(3), y * f32(9.0) + x * f32(3)) * f32(0.4)
            - f32(0.25)
        )
        * f32(1.7)
    )
    tone *= (f32(0.75) + f32(0.35) * ry) * f32(tint)
    value = np.repeat(material(plan.leaf, leaf, 0.97)[:, None], cover.size, axis=1).reshape(-1, *cover.shape)
    value[:3] *= tone
    brush.fill(where, cover, value)


def draw_trunk(canvas: Canvas, plan: Plan, thing: Thing) -> None:
    """A birch as tall and as slim as a walker is wide: a visible decoy at the temperature of the air."""
    dice = thing.dice
    brush = Brush(canvas, thing.lateral, thing.z, label=BACKGROUND, optimum=INFRARED)
    bark, spot = (
        material((0.42, 0.41, 0.37), plan.climate.leaf_heat),
        material((0.06, 0.05, 0.05), plan.climate.leaf_heat),
    )
    tall, thick, lean = dice.between(2.4, 6.0), dice.between(0.08, 0.14), dice.between(-0.25, 0.25)
    parts = [(0, 0, lean, tall, thick, thick * 0.6, bark)]
    for _ in range(7):
        t, side = dice.between(0.05, 0.95), dice.pick((-0.6, 0.6))
        parts.append(
            (lean * t + side * thick, t * tall, lean * t + side * thick * 0.3, t * tall, 0.025, 0.015, spot)
        )
    brush.limbs(parts, round_off=0.45)


def draw_post(canvas: Canvas, plan: Plan, thing: Thing) -> None:
    """A pillar, a bin or a clipped shrub of a walker's size and shape, at the temperature of the air."""
    dice, cool = thing.dice, plan.climate.leaf_heat
    brush = Brush(canvas, thing.lateral, thing.z, label=BACKGROUND, optimum=INFRARED)
    kind, tall = dice.count(0, 2), dice.between(1.2, 1.8)
    if kind == 0:  # a stone figure on the verge
        stone = material((0.36, 0.35, 0.32), cool)
        parts = [
            (0, 0.05, 0, 0.3 * tall, 0.20, 0.15, stone),
            (0, 0.35 * tall, 0, 0.74 * tall, 0.13, 0.19, stone),
            (0, 0.88 * tall, 0, 0.93 * tall, 0.10, 0.10, stone),
        ]
    elif kind == 1:  # a clipped shrub
        green = material(tuple(2.4 * c for c in plan.leaf), cool)
        parts = [(0, 0.15, 0, 0.5 * tall, 0.2, 0.3, green), (0, 0.5 * tall, 0, 0.9 * tall, 0.3, 0.08, green)]
    else:  # a dark pillar with a light band
        parts = [
            (0, 0.0, 0, 0.62 * tall, 0.11, 0.11, material((0.04, 0.04, 0.04), cool)),
            (0, 0.52 * tall, 0, 0.58 * tall, 0.115, 0.115, material((0.6, 0.58, 0.5), cool, retro=0.2)),
        ]
    brush.limbs(parts)


def draw_boulder(canvas: Canvas, plan: Plan, thing: Thing) -> None:
    """A rock or a fallen log of an animal's size and shape."""
    dice, cool = thing.dice, plan.climate.leaf_heat
    brush = Brush(canvas, thing.lateral, thing.z, label=BACKGROUND, optimum=INFRARED)
    s, way = dice.between(0.7, 1.1), dice.pick((-1.0, 1.0))
    stone = material(dice.pick(((0.28, 0.26, 0.23), (0.16, 0.11, 0.07), (0.34, 0.30, 0.22))), cool + 0.2)
    brush.limbs(
        [
            (-0.5 * s, 0.26 * s, 0.45 * s, 0.3 * s, 0.28 * s, 0.24 * s, stone),
            (0.3 * way * s, 0.4 * s, 0.62 * way * s, 0.66 * s, 0.2 * s, 0.13 * s, stone),
        ],
        round_off=0.5,
    )


def draw_vent(canvas: Canvas, plan: Plan, thing: Thing) -> None:
    """Warm air over a grating: in infrared a shape like a walker, in the visible image next to nothing."""
    dice = thing.dice
    brush = Brush(canvas, thing.lateral, thing.z, heat_only=True)
    warm = plan.climate.clutter * dice.between(1.6, 2.6)
    air = material((0.4, 0.4, 0.4), warm)
    tall, sway = dice.between(1.2, 1.9), dice.between(-0.2, 0.2)
    brush.limbs(
        [
            (0, 0.02, sway * 0.5, tall * 0.5, 0.10, 0.22, air),
            (sway * 0.5, tall * 0.5, sway, tall, 0.22, 0.10, air),
        ],
        round_off=0.5,
    )


def draw_lamp(canvas: Canvas, plan: Plan, thing: Thing) -> None:
    """A street lamp that leans over the road."""
    lamps, way = plan.climate.lamps, plan.green
    brush = Brush(canvas, thing.lateral, thing.z, label=BACKGROUND, hide_heat=0.8)
    steel = material((0.16, 0.17, 0.18), 0.0)
    brush.limbs(
        [
            (0, 0, 0, 5.3, 0.075, 0.05, steel),
            (0, 5.3, way * 1.1, 5.6, 0.045, 0.04, steel),
            (way * 0.9, 5.56, way * 1.5, 5.6, 0.07, 0.09, steel),
        ]
    )
    if lamps:
        hot = Brush(canvas, thing.lateral, thing.z, label=BACKGROUND)
        bulb = material((0.5, 0.5, 0.5), 16.0, glow=(2.5 * lamps, 2.1 * lamps, 1.4 * lamps))
        hot.limbs([(way * 1.05, 5.52, way * 1.45, 5.53, 0.05, 0.06, bulb)])
        hot.light(way * 1.25, 5.5, 0.55 * lamps, (1.0, 0.82, 0.52))
