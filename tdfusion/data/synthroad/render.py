"""One SynthRoad scene from its random streams: plan, paint, look."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tdfusion.data.synthroad import cars, objects, people
from tdfusion.data.synthroad.cameras import Noisy, see_infrared, see_visible
from tdfusion.data.synthroad.canvas import Canvas, Dice
from tdfusion.data.synthroad.ground import draw_ground, draw_sky
from tdfusion.data.synthroad.plan import Plan, Thing, make_plan
from tdfusion.data.synthroad.sides import draw_hedge, draw_houses

_DRAW: dict[str, Callable[[Canvas, Plan, Thing], None]] = {
    "person": people.draw_person,
    "bystander": people.draw_bystander,
    "animal": people.draw_animal,
    "cyclist": people.draw_cyclist,
    "car": cars.draw_car,
    "sign": objects.draw_sign,
    "cone": objects.draw_cone,
    "tree": objects.draw_tree,
    "trunk": objects.draw_trunk,
    "post": objects.draw_post,
    "statue": people.draw_statue,
    "boulder": objects.draw_boulder,
    "vent": objects.draw_vent,
    "lamp": objects.draw_lamp,
}


@dataclass(frozen=True)
class Seen:
    """What the two cameras saw, and the truth."""

    ir: np.ndarray  # uint8 (H, W)
    rgb: np.ndarray  # uint8 (H, W, 3)
    mask: np.ndarray  # uint8 (H, W)
    boxes: np.ndarray  # float32 (n, 5)
    optimum: np.ndarray  # uint8 (H, W)


def render(
    world: np.random.Generator, sensor: np.random.Generator, condition: str, size: tuple[int, int]
) -> Seen:
    """Draw a scene from the stream ``world``; the stream ``sensor`` gives the noise of the cameras."""
    dice = Dice(world)
    plan = make_plan(dice, condition, size)
    canvas = Canvas(plan.camera)
    draw_sky(canvas, plan, dice.fork())
    draw_ground(canvas, plan, dice.fork())
    hedge, houses = dice.fork(), dice.fork()
    behind = [t for t in plan.things if t.kind == "tree" and t.lateral * plan.green > plan.hedge]
    for thing in behind:
        _DRAW[thing.kind](canvas, plan, thing)
    draw_houses(canvas, plan, houses)
    draw_hedge(canvas, plan, hedge)
    canvas.keep_scenery()
    for thing in plan.things:
        if thing not in behind:
            _DRAW[thing.kind](canvas, plan, thing)
    noise = Noisy(sensor)
    rgb = see_visible(canvas, plan, noise)
    ir = see_infrared(canvas, plan, noise)
    return Seen(ir, rgb, canvas.mask, _boxes(canvas), canvas.optimum)


def _boxes(canvas: Canvas) -> np.ndarray:
    """Tight boxes of the pixels that each object still shows; see `SynthRoad` for the rule."""
    rows = []
    for number, (box, painted) in enumerate(canvas.objects[1:], start=1):
        y, x = np.nonzero(canvas.instance == number)
        if len(y) < max(12, 0.3 * painted):
            continue
        x0, y0, x1, y1 = x.min(), y.min(), x.max() + 1, y.max() + 1
        if min(x1 - x0, y1 - y0) >= 3:
            rows.append((box, x0, y0, x1, y1))
    return np.array(rows, np.float32).reshape(-1, 5)
