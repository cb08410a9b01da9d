"""People, animals and cyclists of SynthRoad, made of tapered limbs."""

from __future__ import annotations

import numpy as np

from tdfusion.data.synthroad.brush import Brush
from tdfusion.data.synthroad.canvas import Canvas, Dice, material
from tdfusion.data.synthroad.labels import (
    ANIMAL,
    BACKGROUND,
    BOTH,
    BOX_CLASSES,
    CYCLIST,
    INFRARED,
    PERSON,
    VISIBLE,
)
from tdfusion.data.synthroad.plan import Plan, Thing

_SKIN = ((0.45, 0.29, 0.21), (0.30, 0.18, 0.11), (0.16, 0.09, 0.06))
_BRIGHT = (
    (0.62, 0.08, 0.07),
    (0.70, 0.66, 0.60),
    (0.65, 0.45, 0.05),
    (0.08, 0.20, 0.55),
    (0.05, 0.38, 0.36),
    (0.60, 0.22, 0.40),
)
_DARK = ((0.05, 0.05, 0.06), (0.05, 0.06, 0.10), (0.09, 0.07, 0.05), (0.10, 0.10, 0.11))
_FUR = ((0.20, 0.12, 0.06), (0.12, 0.08, 0.05), (0.28, 0.20, 0.12))


def draw_person(canvas: Canvas, plan: Plan, thing: Thing) -> None:
    """A walker on the verge: warm, in the colours of the hedge, so that infrared alone shows them."""
    brush = Brush(
        canvas,
        thing.lateral,
        thing.z,
        label=PERSON,
        box=BOX_CLASSES.index("person"),
        optimum=INFRARED,
        hide_visible=thing.dice.between(0.92, 0.99),
        beside=plan.green * 0.4,
    )
    _walker(brush, thing.dice, plan.climate.body_heat, _DARK)
    brush.finish()


def draw_bystander(canvas: Canvas, plan: Plan, thing: Thing) -> None:
    """A walker before the houses: bright clothes, as warm as the patches on the wall behind."""
    brush = Brush(
        canvas,
        thing.lateral,
        thing.z,
        label=PERSON,
        box=BOX_CLASSES.index("person"),
        optimum=VISIBLE,
        hide_heat=thing.dice.between(0.82, 0.95),
    )
    brush.shadow(0.3, 0.12, 1.7, plan.shadow)
    _walker(brush, thing.dice, plan.climate.body_heat, _BRIGHT)
    brush.finish()


def draw_statue(canvas: Canvas, plan: Plan, thing: Thing) -> None:
    """A garden figure of a person or a deer at the temperature of the air: it misleads the visible image."""
    dice, cool = thing.dice, plan.climate.leaf_heat
    brush = Brush(canvas, thing.lateral, thing.z, label=BACKGROUND, optimum=INFRARED)
    grey = dice.between(0.14, 0.40)
    stone = ((grey, 0.97 * grey, 0.88 * grey),)
    if dice.chance(0.6):
        _walker(brush, dice, cool, stone, stone)
    else:
        _beast(brush, dice, cool, stone)


def _walker(brush: Brush, dice: Dice, warmth: float, wardrobe: tuple, body: tuple = _SKIN) -> None:
    """Legs in stride or side by side, swinging arms, head and hair."""
    h = dice.between(1.58, 1.88)
    way, stride = dice.pick((-1.0, 1.0)), dice.pick((0.06, 0.10, 0.22, 0.26))
    coat, skin = dice.pick(wardrobe), dice.pick(body)
    trousers = dice.pick(_DARK if body is _SKIN else body)
    if dice.chance(0.4) and body is _SKIN:
        trousers = tuple(2.5 * c for c in trousers)
    coat_m = material(coat, warmth + dice.between(-0.5, 0.8))
    leg_m = material(trousers, warmth * 0.85 + dice.between(-0.5, 0.5))
    far_m = material(tuple(0.7 * c for c in trousers), warmth * 0.75)
    shoe_m = material((0.04, 0.035, 0.03), warmth * 0.3)
    skin_m = material(skin, warmth * 1.6)
    hair_m = material((0.05, 0.035, 0.025) if body is _SKIN else skin, warmth * 1.15)
    hip, chest, neck = 0.51 * h, 0.77 * h, 0.85 * h
    slim = dice.between(0.9, 1.15)
    back, front = -way * stride * h * 0.55, way * stride * h * 0.6
    knee_back, knee_front = back * 0.35, front * 0.62
    arm = stride * h * 0.55
    parts = [
        (0, neck - 0.05 * h, -way * arm, 0.60 * h, 0.045 * h, 0.036 * h, coat_m),
        (-way * arm, 0.60 * h, -way * arm * 0.9, 0.46 * h, 0.034 * h, 0.026 * h, coat_m),
        (-0.03 * h, hip, knee_back - 0.01, 0.28 * h, 0.070 * h * slim, 0.050 * h, far_m),
        (knee_back - 0.01, 0.28 * h, back, 0.04 * h, 0.048 * h, 0.032 * h, far_m),
        (back, 0.025 * h, back + way * 0.09, 0.02 * h, 0.03 * h, 0.022 * h, shoe_m),
        (0.03 * h, hip, knee_front, 0.28 * h, 0.074 * h * slim, 0.052 * h, leg_m),
        (knee_front, 0.28 * h, front, 0.04 * h, 0.050 * h, 0.033 * h, leg_m),
        (front, 0.025 * h, front + way * 0.10, 0.02 * h, 0.03 * h, 0.022 * h, shoe_m),
        (0, neck - 0.02 * h, 0, 0.92 * h, 0.030 * h, 0.032 * h, skin_m),
        (0, hip - 0.02 * h, 0, chest, 0.098 * h * slim, 0.112 * h * slim, coat_m),
        (0, 0.938 * h, way * 0.004 * h, 0.925 * h, 0.062 * h, 0.052 * h, hair_m),
        (way * 0.018 * h, 0.918 * h, way * 0.022 * h, 0.895 * h, 0.047 * h, 0.040 * h, skin_m),
        (0.09 * way * h * slim, chest, way * arm, 0.62 * h, 0.046 * h, 0.036 * h, coat_m),
        (way * arm, 0.62 * h, way * (arm + 0.05 * h), 0.49 * h, 0.034 * h, 0.026 * h, coat_m),
        (way * (arm + 0.055 * h), 0.475 * h, way * (arm + 0.06 * h), 0.465 * h, 0.025 * h, 0.022 * h, skin_m),
    ]
    brush.limbs(parts)


def draw_animal(canvas: Canvas, plan: Plan, thing: Thing) -> None:
    """A deer or a dog on the verge: warm, coloured like dry leaves."""
    dice, warmth = thing.dice, plan.climate.body_heat
    brush = Brush(
        canvas,
        thing.lateral,
        thing.z,
        label=ANIMAL,
        box=BOX_CLASSES.index("animal"),
        optimum=INFRARED,
        hide_visible=dice.between(0.92, 0.99),
        beside=plan.green * 0.5,
    )
    _beast(brush, dice, warmth, _FUR)
    brush.finish()


def _beast(brush: Brush, dice: Dice, warmth: float, fur: tuple) -> None:
    """A deer or, smaller, a dog, from the side."""
    deer, way = dice.chance(0.6), dice.pick((-1.0, 1.0))
    s = dice.between(1.0, 1.25) * (1.0 if deer else 0.8)
    coat, tint = material(dice.pick(fur), warmth * 0.95), dice.pick(fur)
    far = material(tuple(0.7 * c for c in tint), warmth * 0.8)
    warm = material(tint, warmth * 1.45)
    tall, long = 0.92 * s, 0.50 * s
    nod = dice.between(-0.3, 0.22) * s
    neck_x, neck_y = way * (long + 0.26 * s), tall + 0.42 * s + nod

    def bone(x0: float, y0: float, x1: float, y1: float, r0: float, r1: float, of: np.ndarray) -> tuple:
        return (way * x0, y0, way * x1, y1, r0 * s, r1 * s, of)

    parts = []
    for x, step, what in ((-0.85, 0.10, far), (0.75, -0.08, far), (-1.0, -0.06, coat), (0.92, 0.07, coat)):
        knee, foot = x * long + step * s, x * long + (step - 0.05) * s
        parts += [
            bone(x * long * 0.92, tall - 0.05 * s, knee, 0.44 * s, 0.12, 0.05, what),
            bone(knee, 0.44 * s, foot, 0.03 * s, 0.045, 0.03, what),
        ]
    head_x, head_y = neck_x * way, neck_y
    parts += [
        bone(-0.8 * long, tall, 0.1 * long, tall - 0.03 * s, 0.22, 0.19, coat),
        bone(0.0, tall - 0.03 * s, 0.75 * long, tall, 0.19, 0.235, coat),
        bone(0.8 * long, tall + 0.06 * s, head_x, head_y, 0.17, 0.085, coat),
        bone(head_x, head_y + 0.03 * s, head_x + 0.24 * s, head_y - 0.08 * s, 0.095, 0.045, warm),
        bone(head_x - 0.04 * s, head_y + 0.08 * s, head_x - 0.13 * s, head_y + 0.2 * s, 0.04, 0.015, warm),
        bone(-long - 0.08 * s, tall + 0.12 * s, -long - 0.2 * s, tall - 0.08 * s, 0.06, 0.02, coat),
    ]
    if deer and dice.chance(0.5):
        horn = material((0.25, 0.2, 0.14), warmth * 0.4)
        for lean in (0.02, -0.2):
            parts.append(
                bone(head_x, head_y + 0.08 * s, head_x + lean * s, head_y + 0.42 * s, 0.022, 0.014, horn)
            )
    brush.limbs(parts)


def draw_cyclist(canvas: Canvas, plan: Plan, thing: Thing) -> None:
    """A rider from the side or from behind: bright on the road, hidden in the green of the verge."""
    dice, warmth = thing.dice, plan.climate.body_heat * 1.15
    verge = abs(thing.lateral) > plan.half_width
    brush = Brush(
        canvas,
        thing.lateral,
        thing.z,
        label=CYCLIST,
        box=BOX_CLASSES.index("cyclist"),
        optimum=INFRARED if verge else BOTH,
        hide_visible=dice.between(0.9, 0.98) if verge else 0.0,
        beside=plan.green * 0.4,
    )
    if not verge:
        brush.shadow(0.7, 0.12, 1.6, plan.shadow)
    tyre, frame = material((0.03, 0.03, 0.03), 2.5), material(dice.pick(_BRIGHT), 0.5, 0.7)
    coat, legs = material(dice.pick(_BRIGHT), warmth), material(dice.pick(_DARK), warmth * 0.9)
    skin, helmet = material(dice.pick(_SKIN), warmth * 1.45), material(dice.pick(_BRIGHT), warmth * 0.7)
    way = dice.pick((-1.0, 1.0))
    if dice.chance(0.45):
        wheels = [(way * x, 0.34, way * x, 0.34, 0.34, 0.34, tyre, 0.275) for x in (-0.52, 0.52)]
        parts = [
            *wheels,
            (way * -0.52, 0.34, way * -0.12, 0.42, 0.025, 0.025, frame),
            (way * -0.12, 0.42, way * -0.22, 0.88, 0.028, 0.025, frame),
            (way * -0.12, 0.42, way * 0.36, 0.80, 0.028, 0.028, frame),
            (way * -0.2, 0.80, way * 0.36, 0.82, 0.026, 0.026, frame),
            (way * 0.52, 0.34, way * 0.36, 0.96, 0.025, 0.025, frame),
            (way * -0.2, 0.95, way * 0.14, 0.72, 0.10, 0.075, legs),
            (way * 0.14, 0.72, way * -0.02, 0.30, 0.07, 0.05, legs),
            (way * -0.02, 0.28, way * 0.1, 0.27, 0.045, 0.035, tyre),
            (way * -0.2, 0.98, way * 0.1, 1.42, 0.15, 0.16, coat),
            (way * 0.1, 1.38, way * 0.28, 1.14, 0.065, 0.05, coat),
            (way * 0.28, 1.14, way * 0.42, 1.02, 0.048, 0.04, skin),
            (way * 0.18, 1.58, way * 0.19, 1.62, 0.10, 0.10, skin),
            (way * 0.16, 1.66, way * 0.2, 1.68, 0.105, 0.10, helmet),
        ]
    else:
        parts = [
            (0, 0.34, 0, 0.36, 0.05, 0.05, tyre),
            (0, 0.03, 0, 0.66, 0.045, 0.045, tyre),
            (-0.24, 1.04, 0.24, 1.04, 0.025, 0.025, frame),
            (-0.11, 0.95, -0.15, 0.62, 0.10, 0.08, legs),
            (-0.15, 0.62, -0.13, 0.30, 0.075, 0.055, legs),
            (0.11, 0.95, 0.15, 0.55, 0.10, 0.08, legs),
            (0.15, 0.55, 0.13, 0.18, 0.075, 0.055, legs),
            (0, 0.92, 0, 1.02, 0.15, 0.15, legs),
            (0, 1.02, 0, 1.38, 0.16, 0.19, coat),
            (-0.17, 1.36, -0.27, 1.08, 0.07, 0.055, coat),
            (0.17, 1.36, 0.27, 1.08, 0.07, 0.055, coat),
            (0, 1.55, 0, 1.60, 0.085, 0.10, skin),
            (0, 1.63, 0, 1.66, 0.11, 0.105, helmet),
        ]
    brush.limbs(parts)
    if plan.climate.lamps and not verge:
        brush.light(0.0, 0.7, 0.12 * plan.climate.lamps, (1.0, 0.12, 0.06))
    brush.finish()
