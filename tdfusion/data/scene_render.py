"""Draw one SynthRoad scene."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


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
    """Draw a scene from the stream ``world`` and add noise from the stream ``sensor``."""
    height, width = size
    v, u = np.mgrid[0:height, 0:width].astype(np.float32)
    y, x = (v + 0.5) / height, (u + 0.5) / width
    light = {"day": 1.0, "night": 0.35, "fog": 0.75}[condition]
    rgb = np.empty((height, width, 3), np.float32)
    ir = np.full(size, 0.3, np.float32)
    mask = np.zeros(size, np.uint8)
    instance = np.zeros(size, np.int16)
    optimum = np.ones(size, np.uint8)

    horizon, centre = world.uniform(0.36, 0.44), world.uniform(0.42, 0.58)
    texture = world.random((16, 16), dtype=np.float32)[(y * 15.99).astype(int), (x * 15.99).astype(int)]
    rgb[:] = (0.45, 0.6, 0.8)
    verge = y > horizon
    rgb[verge] = np.array([0.25, 0.4, 0.2], np.float32) * (0.5 + texture[verge, None])
    ir[~verge] = 0.12
    depth = np.maximum(y - horizon, 1e-3)
    road = verge & (np.abs(x - centre) < 0.9 * depth)
    rgb[road], mask[road], optimum[road] = 0.35, 1, 2
    ir[road] = (0.25 + 0.4 * texture)[road]
    dash = road & (np.abs(x - centre) < 0.03 * depth / 0.5) & ((1 / depth) % 2 < 1.2)
    rgb[dash], mask[dash] = 0.9, 2

    kinds = [  # class id, box class, on the road, height, width / height, rgb, ir, optimum
        (5, 1, True, 0.55, 1.3, (0.6, 0.15, 0.15), 0.75, 3),
        (6, 2, True, 0.6, 0.6, (0.2, 0.2, 0.7), 0.8, 3),
        (4, 4, True, 0.3, 0.6, (0.95, 0.5, 0.1), 0.45, 2),
        (3, 3, True, 0.7, 0.35, (0.9, 0.9, 0.95), 0.4, 2),
        (7, 0, False, 0.7, 0.35, (0.25, 0.35, 0.2), 0.9, 1),
        (8, 5, False, 0.35, 1.4, (0.3, 0.3, 0.2), 0.85, 1),
    ]
    drawn = []
    for z in np.sort(world.uniform(0.15, 0.45, 9)):
        kind = kinds[world.integers(len(kinds))]
        label, box, on_road, tall, aspect, colour, heat, best = kind
        side = world.choice((-1.0, 1.0))
        cx = centre + side * z * (world.uniform(0.0, 0.7) if on_road else world.uniform(1.05, 1.5))
        h = tall * z
        inside = (np.abs(x - cx) < h * aspect / 2) & (y < horizon + z) & (y > horizon + z - h)
        rgb[inside], ir[inside], mask[inside], optimum[inside] = colour, heat, label, best
        drawn.append(box)
        instance[inside] = len(drawn)

    rgb = rgb * light + sensor.standard_normal(rgb.shape, dtype=np.float32) * 0.02
    ir = ir + sensor.standard_normal(size, dtype=np.float32) * 0.02
    rows = []
    for number, box in enumerate(drawn, start=1):
        ys, xs = np.nonzero(instance == number)
        if len(ys) and np.ptp(ys) >= 2 and np.ptp(xs) >= 2:
            rows.append((box, xs.min(), ys.min(), xs.max() + 1, ys.max() + 1))
    boxes = np.array(rows, np.float32).reshape(-1, 5)
    return Seen(
        ir=(np.clip(ir, 0, 1) * 255 + 0.5).astype(np.uint8),
        rgb=(np.clip(rgb, 0, 1) * 255 + 0.5).astype(np.uint8),
        mask=mask,
        boxes=boxes,
        optimum=optimum,
    )
