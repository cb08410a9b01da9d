"""The two cameras of SynthRoad: one buffer of materials seen in visible light and in infrared."""

from __future__ import annotations

import numpy as np

from tdfusion.data.synthroad.canvas import (
    EMISSIVITY,
    GLOW,
    HEAT,
    INVERSE_DEPTH,
    RETRO,
    RGB,
    UPWARD,
    Canvas,
    ramp,
)
from tdfusion.data.synthroad.labels import BOTH, EITHER, INFRARED, VISIBLE
from tdfusion.data.synthroad.plan import Plan

f32 = np.float32
AIR = 288.0  # K
_GLARE = 0.55  # stray light, in units of the exposure, above which the visible image is lost
_MURK = 0.2  # transmission of the air below which it is lost


class Noisy:
    """Sensor noise: sums of four random bytes, close to a Gaussian and the same on every machine."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng

    def __call__(self, *shape: int) -> np.ndarray:
        """float32 with mean 0 and standard deviation 1."""
        count = int(np.prod(shape))
        raw = self._rng.bit_generator.random_raw((count + 1) // 2).astype(np.uint64)
        four = np.stack([(raw >> np.uint64(s)).astype(np.uint32) for s in (0, 32)], axis=-1).reshape(-1)[
            :count
        ]
        pairs = (four & 0x00FF00FF) + ((four >> 8) & 0x00FF00FF)
        total = ((pairs & 0xFFFF) + (pairs >> 16)).astype(np.float32)
        return ((total - f32(510)) * f32(1 / 147.8)).reshape(shape)


def clear_air(haze: float, z: np.ndarray) -> np.ndarray:
    """Transmission of the air, exp(-haze z) by the first terms of its series: within 0.03."""
    k = f32(haze) * z
    return 1 / (1 + k * (1 + k * (f32(0.5) + k * f32(1 / 6))))


def see_visible(canvas: Canvas, plan: Plan, noise: Noisy) -> np.ndarray:
    """Reflectance times illumination, air, glare, lens and sensor: uint8 (H, W, 3).

    Also turns ``canvas.optimum`` to infrared where glare or fog has taken the visible image.
    """
    climate, camera, buffer = plan.climate, canvas.camera, canvas.buffer
    a = ((canvas.columns - f32(camera.u0)) / f32(camera.f))[None]
    b = ((canvas.rows - f32(camera.v0)) / f32(camera.f))[:, None]
    z = 1 / np.maximum(buffer[INVERSE_DEPTH], f32(1 / 250))
    solid = buffer[INVERSE_DEPTH] > f32(1 / 200)
    light = [f32(climate.ambient[c]) + f32(climate.sun[c]) * canvas.sunlit for c in range(3)]
    if climate.lamps:
        x, up = a * z, f32(camera.height) - b * z
        for lamp in plan.things:
            if lamp.kind == "lamp" and lamp.z < 50:
                u = lamp.lateral + plan.green * 1.25 - camera.lateral + camera.bend * lamp.z * lamp.z
                dx, dy, dz = x - f32(u), up - f32(5.5), z - f32(lamp.z)
                beam = f32(16 * climate.lamps) / (dx * dx + dy * dy + dz * dz + f32(3))
                for c in range(3):
                    light[c] += beam * f32((1.0, 0.80, 0.50)[c])
        wide = a * f32(1 / 0.5)
        wide *= wide
        over = np.minimum(b + f32(0.02), f32(0)) * f32(1 / 0.10)
        reach = z * f32(1 / 11)
        beam = f32(1.1 * climate.lamps) / ((1 + wide * wide) * (1 + over * over) * (1 + reach * reach))
        for c in range(3):
            light[c] += beam * f32((1.0, 0.97, 0.88)[c])
        mirrored = buffer[RETRO] * beam * f32(2.5)
    image = np.empty((3, *camera.size), np.float32)
    clear = clear_air(climate.haze, z)
    clear = np.where(solid, clear, f32(1))
    for c in range(3):
        radiance = buffer[RGB][c] * light[c] + buffer[GLOW][c]
        if climate.lamps:
            radiance += mirrored
        air = f32(climate.sky_low[c])
        image[c] = air + (radiance - air) * clear
    stray = _stray_light(canvas, plan, a, b)
    image += stray
    lost = (stray[1] > f32(_GLARE)) | (clear < f32(_MURK))
    lost &= (canvas.optimum == VISIBLE) | (canvas.optimum == BOTH)
    canvas.optimum[lost] = INFRARED
    canvas.optimum[~solid] = EITHER

    image = image * f32(1.5) / (1 + f32(0.5) * image)
    image = np.sqrt(ramp(image))
    grain = f32(climate.dark) + f32(climate.shot) * (f32(1.15) - image)
    image += grain * (f32(0.8) * noise(1, *camera.size) + f32(0.6) * noise(3, *camera.size))
    return (ramp(image) * f32(255) + f32(0.5)).astype(np.uint8).transpose(1, 2, 0).copy()


def _stray_light(canvas: Canvas, plan: Plan, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Bloom around every light that is not hidden, its streak on a wet road, and a low sun: (3, H, W)."""
    camera, climate = canvas.camera, plan.climate
    height, width = camera.size
    stray = np.zeros((3, height, width), np.float32)
    upward = canvas.buffer[UPWARD]
    for u, v, z, power, rgb in canvas.lights:
        row, column = int(v), int(u)
        if 0 <= row < height and 0 <= column < width and canvas.buffer[INVERSE_DEPTH, row, column] > 1.25 / z:
            continue  # something nearer stands before it
        la, lb = f32((u - camera.u0) / camera.f), f32((v - camera.v0) / camera.f)
        strong = power * min(3.0, 9.0 / z)
        da, db = a - la, b - lb
        near = da * da + db * db
        core = 1 + near * f32(1 / 0.018**2)
        halo = f32(strong) / (core * core) + f32(strong * 0.16) / (1 + near * f32(1 / 0.09**2))
        if climate.haze > 0.02:
            halo += f32(strong * 0.2) / (1 + near * f32(1 / 0.2**2))
        if plan.wet:
            mirror = f32(2 * camera.height / z) - lb
            across, along = da * f32(1 / 0.022), (b - mirror) * f32(1 / 0.16)
            across = 1 + across * across
            halo += upward * (f32(0.5 * plan.wet * strong) / (across * across * (1 + along * along)))
        for c in range(3):
            stray[c] += halo * f32(rgb[c])
    if plan.low_sun:
        da, db = a - f32(plan.sun_at[0]), b + f32(plan.sun_at[1])
        near = da * da + db * db
        core = 1 + near * f32(1 / 0.05**2)
        halo = f32(3 * plan.low_sun) / (core * core) + f32(plan.low_sun) / (1 + near * f32(1 / 0.16**2))
        across = 1 + da * da * f32(1 / 0.09**2)
        halo += upward * f32(0.5 * plan.low_sun) / (across * across)
        for c in range(3):
            stray[c] += halo * f32((1.0, 0.90, 0.70)[c])
    return stray


def see_infrared(canvas: Canvas, plan: Plan, noise: Noisy) -> np.ndarray:
    """Emitted and reflected radiance, air, blur and sensor: uint8 (H, W)."""
    climate, camera, buffer = plan.climate, canvas.camera, canvas.buffer

    def radiance(heat: np.ndarray | float) -> np.ndarray:
        """Stefan-Boltzmann, 1 for air."""
        t = (f32(AIR) + np.float32(heat)) * f32(1 / AIR)
        t = t * t
        return t * t

    around = radiance(climate.sky_heat_low)
    scene = around + (radiance(buffer[HEAT]) - around) * buffer[EMISSIVITY]
    z = 1 / np.maximum(buffer[INVERSE_DEPTH], f32(1 / 250))
    scene = 1 + (scene - 1) * clear_air(climate.haze_heat, z)
    low, high = (radiance(heat) for heat in climate.span)
    scene = (scene - low) / (high - low)
    knee = f32(0.82)
    over = np.maximum(scene - knee, f32(0)) / (1 - knee)
    scene = np.minimum(scene, knee) + (1 - knee) * over / (1 + over)
    k = f32(min(0.25, 0.5 * (1.1 * camera.f / 480) ** 2))  # a blur of 1.1 pixels at 480 rows
    scene[1:-1] += k * (scene[:-2] - 2 * scene[1:-1] + scene[2:])
    scene[:, 1:-1] += k * (scene[:, :-2] - 2 * scene[:, 1:-1] + scene[:, 2:])
    scene += f32(0.011) * noise(*camera.size)
    scene += f32(0.006) * noise(1, camera.size[1])
    return (ramp(scene) * f32(255) + f32(0.5)).astype(np.uint8)
