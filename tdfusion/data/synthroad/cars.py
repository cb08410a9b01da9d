"""Cars of SynthRoad: two boxes in perspective, with glass, lights, and what a running car has that is hot."""

from __future__ import annotations

import numpy as np

from tdfusion.data.synthroad.brush import Brush
from tdfusion.data.synthroad.canvas import Canvas, material
from tdfusion.data.synthroad.labels import BOTH, BOX_CLASSES, CAR, INFRARED
from tdfusion.data.synthroad.plan import Plan, Thing

_PAINT = (
    (0.72, 0.72, 0.70),
    (0.50, 0.52, 0.54),
    (0.012, 0.012, 0.014),
    (0.70, 0.46, 0.04),
    (0.20, 0.42, 0.62),
    (0.72, 0.28, 0.16),
    (0.24, 0.50, 0.34),
    (0.66, 0.62, 0.50),
)


def draw_car(canvas: Canvas, plan: Plan, thing: Thing) -> None:
    """A car ahead of us (its rear), coming (its front), or left in the growth of the verge, still warm.

    Both cameras show a car on the road; the one on the verge is the colour of the hedge.
    """
    dice, climate, camera = thing.dice, plan.climate, canvas.camera
    ahead = thing.lateral * plan.drive > 0
    verge = abs(thing.lateral) > plan.half_width
    brush = Brush(
        canvas,
        thing.lateral,
        thing.z,
        label=CAR,
        box=BOX_CLASSES.index("car"),
        optimum=INFRARED if verge else BOTH,
        hide_visible=dice.between(0.9, 0.98) if verge else 0.0,
        beside=plan.green * 0.4,
    )
    paint = dice.pick(_PAINT)
    wide, long, tall = dice.between(0.84, 0.92), dice.between(3.8, 4.6), dice.between(1.42, 1.62)
    belt, floor = dice.between(0.86, 0.95), 0.24
    sunny = 3.0 if verge else 6.0 if climate.sun[0] else 0.5
    body = material(paint, sunny + 1.5, 0.9)
    flank = material(tuple(0.6 * c for c in paint), sunny + 2.0, 0.9)
    deck = material(tuple(1.15 * c for c in paint), sunny + (3.0 if ahead else 10.0), 0.9)
    dark = material((0.02, 0.02, 0.02), 4.0)
    glass = material((0.05, 0.06, 0.07), -3.0, 0.85, tuple(0.12 * c for c in climate.sky_low))
    tyre = material((0.025, 0.025, 0.025), 9.0)
    z0, z1 = thing.z, thing.z + long
    camera_side = 1.0 if camera.lateral - camera.bend * z0 * z0 > thing.lateral else -1.0

    def quad(points: list[tuple[float, float, float]], of: np.ndarray) -> None:
        brush.polygon_px([camera.project(thing.lateral + x, y, z) for x, y, z in points], of)

    where_u, where_v = camera.project(thing.lateral, 0.0, z0 + 0.25 * long)
    shade = 0.0 if verge else 0.9
    canvas.shade(
        where_u + 0.6 * plan.shadow * brush.scale, where_v, 1.5 * brush.scale, 0.3 * brush.scale, shade
    )

    # Roof box, narrower than the body; then the body over its foot.
    near, far = (0.35, 2.6) if ahead else (1.1, 3.4)
    top = wide - 0.17
    s = camera_side
    quad(
        [
            (s * wide, belt, z0 + near - 0.3),
            (s * top, tall, z0 + near + 0.25),
            (s * top, tall, z0 + far),
            (s * wide, belt, z0 + far + 0.6),
        ],
        flank,
    )
    quad(
        [
            (s * (wide - 0.02), belt + 0.04, z0 + near),
            (s * (top + 0.02), tall - 0.08, z0 + near + 0.3),
            (s * (top + 0.02), tall - 0.08, z0 + far - 0.1),
            (s * (wide - 0.02), belt + 0.04, z0 + far + 0.3),
        ],
        glass,
    )
    quad(
        [
            (-top, tall, z0 + near + 0.25),
            (top, tall, z0 + near + 0.25),
            (top, tall - 0.03, z0 + far),
            (-top, tall - 0.03, z0 + far),
        ],
        deck,
    )
    quad([(s * wide, floor, z0), (s * wide, belt, z0), (s * wide, belt, z1), (s * wide, floor, z1)], flank)
    for along in (0.16, 0.80):
        u, v = camera.project(thing.lateral + s * wide, 0.31, z0 + along * long)
        r = 0.31 * camera.f / (z0 + along * long)
        squeeze = min(1.0, abs(thing.lateral + s * wide - camera.lateral) / (z0 + along * long) + 0.12)
        angles = np.arange(12) * (np.pi / 6)
        ring = [(u + r * squeeze * float(np.cos(t)), v + r * float(np.sin(t))) for t in angles]
        brush.polygon_px(ring, tyre)
    quad(
        [
            (-wide, belt, z0),
            (wide, belt, z0),
            (wide, belt + 0.02, z0 + near + 0.1),
            (-wide, belt + 0.02, z0 + near + 0.1),
        ],
        deck,
    )
    quad(
        [
            (-wide + 0.04, belt, z0 + near),
            (wide - 0.04, belt, z0 + near),
            (top, tall, z0 + near + 0.28),
            (-top, tall, z0 + near + 0.28),
        ],
        body,
    )
    quad(
        [
            (-wide + 0.13, belt + 0.05, z0 + near),
            (wide - 0.13, belt + 0.05, z0 + near),
            (top - 0.07, tall - 0.08, z0 + near + 0.26),
            (-top + 0.07, tall - 0.08, z0 + near + 0.26),
        ],
        glass,
    )

    # The near face: tyres under a body with bevelled corners, bumper, plate, lights.
    for x in (-wide + 0.16, wide - 0.16):
        brush.polygon([(x - 0.11, 0.0), (x + 0.11, 0.0), (x + 0.11, 0.4), (x - 0.11, 0.4)], tyre)
    face = [
        (-wide, 0.34),
        (-wide + 0.08, floor),
        (wide - 0.08, floor),
        (wide, 0.34),
        (wide, belt - 0.14),
        (wide - 0.08, belt),
        (-wide + 0.08, belt),
        (-wide, belt - 0.14),
    ]
    brush.polygon(face, body)
    brush.polygon(
        [(-wide + 0.05, floor), (wide - 0.05, floor), (wide - 0.03, 0.42), (-wide + 0.03, 0.42)], dark
    )
    brush.polygon(
        [(-0.26, 0.48), (0.26, 0.48), (0.26, 0.60), (-0.26, 0.60)],
        material((0.75, 0.74, 0.68), 1.0, retro=0.2),
    )
    on = not verge and (climate.lamps > 0 or dice.chance(0.3))
    if ahead:
        tail = material((0.35, 0.01, 0.01), 3.0, glow=(0.9 * on, 0.05 * on, 0.03 * on), retro=0.1)
        for x in (-1.0, 1.0):
            brush.polygon(
                [(x * wide, 0.62), (x * (wide - 0.24), 0.62), (x * (wide - 0.2), 0.80), (x * wide, 0.82)],
                tail,
            )
            if on:
                brush.light(x * (wide - 0.12), 0.71, 0.16 * max(climate.lamps, 0.3), (1.0, 0.08, 0.04))
        brush.limbs([(0.48, 0.27, 0.55, 0.27, 0.07, 0.07, material((0.1, 0.1, 0.1), 28.0))])
    else:
        grille = material((0.03, 0.03, 0.03), 20.0)
        brush.polygon([(-0.42, 0.62), (0.42, 0.62), (0.36, 0.78), (-0.36, 0.78)], grille)
        lens = material((0.5, 0.5, 0.5), 14.0, glow=(2.5 * on, 2.4 * on, 2.2 * on))
        for x in (-1.0, 1.0):
            brush.polygon(
                [
                    (x * (wide - 0.04), 0.64),
                    (x * (wide - 0.34), 0.64),
                    (x * (wide - 0.3), 0.80),
                    (x * (wide - 0.04), 0.80),
                ],
                lens,
            )
            if on:
                brush.light(x * (wide - 0.18), 0.72, 1.6 * max(climate.lamps, 0.25), (1.0, 0.96, 0.86))
    brush.finish()
