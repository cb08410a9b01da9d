"""What a SynthRoad scene holds and where: drawn by chance before a single pixel is painted."""

from __future__ import annotations

from dataclasses import dataclass

from tdfusion.data.synthroad.canvas import FOCAL, Camera, Dice

Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Climate:
    """Light, air and temperatures of a condition.

    Light is in units of the visible camera's exposure: 1 falling on a white surface saturates it.
    Temperatures are in kelvin above the air.
    """

    sun: Colour
    ambient: Colour
    lamps: float  # strength of all artificial light; 0 by day
    sky_top: Colour
    sky_low: Colour
    cloud: float
    cloud_rgb: Colour
    dapple: float  # how deep the shade of leaves is
    haze: float  # extinction of visible light, 1/m
    haze_heat: float  # extinction of infrared, 1/m
    shot: float  # visible noise at white, before the tone curve
    dark: float  # visible noise in the dark
    road_heat: float
    paving_heat: float
    verge_heat: float
    leaf_heat: float
    wall_heat: float
    clutter: float  # amplitude of infrared clutter
    sky_heat_top: float
    sky_heat_low: float
    body_heat: float  # of clothes; skin is warmer
    span: tuple[float, float]  # the infrared camera's window


CLIMATES = {
    "day": Climate(
        sun=(1.0, 0.95, 0.84),
        ambient=(0.36, 0.40, 0.47),
        lamps=0.0,
        sky_top=(0.16, 0.33, 0.72),
        sky_low=(0.62, 0.74, 0.88),
        cloud=0.5,
        cloud_rgb=(0.95, 0.95, 0.96),
        dapple=0.75,
        haze=0.0015,
        haze_heat=0.001,
        shot=0.010,
        dark=0.004,
        road_heat=5.0,
        paving_heat=4.0,
        verge_heat=0.0,
        leaf_heat=-0.3,
        wall_heat=2.5,
        clutter=3.6,
        sky_heat_top=-16.0,
        sky_heat_low=-7.0,
        body_heat=4.8,
        span=(-5.0, 12.0),
    ),
    "night": Climate(
        sun=(0.0, 0.0, 0.0),
        ambient=(0.050, 0.060, 0.085),
        lamps=1.0,
        sky_top=(0.004, 0.007, 0.020),
        sky_low=(0.030, 0.034, 0.055),
        cloud=0.4,
        cloud_rgb=(0.035, 0.035, 0.045),
        dapple=0.3,
        haze=0.003,
        haze_heat=0.001,
        shot=0.030,
        dark=0.010,
        road_heat=2.0,
        paving_heat=1.5,
        verge_heat=-0.8,
        leaf_heat=0.0,
        wall_heat=1.5,
        clutter=3.2,
        sky_heat_top=-18.0,
        sky_heat_low=-9.0,
        body_heat=5.6,
        span=(-5.0, 11.0),
    ),
    "fog": Climate(
        sun=(0.0, 0.0, 0.0),
        ambient=(0.82, 0.84, 0.87),
        lamps=0.35,
        sky_top=(0.50, 0.53, 0.56),
        sky_low=(0.52, 0.54, 0.56),
        cloud=0.3,
        cloud_rgb=(0.55, 0.57, 0.60),
        dapple=0.2,
        haze=0.055,
        haze_heat=0.008,
        shot=0.012,
        dark=0.005,
        road_heat=1.2,
        paving_heat=1.0,
        verge_heat=-0.2,
        leaf_heat=0.0,
        wall_heat=1.0,
        clutter=2.7,
        sky_heat_top=-4.0,
        sky_heat_low=-2.5,
        body_heat=5.0,
        span=(-5.0, 9.5),
    ),
}


@dataclass(frozen=True)
class Thing:
    """One object: what it is, where it stands (m), and its own chance."""

    kind: str
    lateral: float
    z: float
    dice: Dice


@dataclass(frozen=True)
class Plan:
    """A scene before it is drawn. ``green`` is the side of the hedge, the houses face it."""

    condition: str
    climate: Climate
    camera: Camera
    green: float  # +1 right, -1 left
    drive: float  # side of our lane
    half_width: float  # of the road, m
    hedge: float  # m from the axis
    wall: float  # m from the axis
    asphalt: float
    paving: float
    grass: Colour
    leaf: Colour
    blossom: Colour
    wet: float  # how much the road mirrors lights
    low_sun: float  # strength of a sun in the picture, 0 without
    sun_at: tuple[float, float]  # right of and above the vanishing point, in focal lengths
    shadow: float  # where shadows fall: metres to the right per metre of height, 0 without a sun
    things: tuple[Thing, ...]


# Where things stand on the verge: from the road's edge, and ahead (m).
_VERGE = {
    "animal": (0.5, 1.6, 4.6, 9.0),
    "cyclist": (0.4, 1.4, 4.4, 9.0),
    "car": (1.0, 1.5, 6.0, 12.0),
    "person": (0.35, 2.0, 4.2, 9.0),
}
_BLOSSOM = ((0.62, 0.60, 0.56), (0.60, 0.34, 0.40), (0.62, 0.52, 0.12), (0.52, 0.36, 0.58))

# Half width, foot and height (m) of what must stay visible: crowds would hide the truth.
_EXTENT = {
    "person": (0.35, 0.0, 1.8),
    "bystander": (0.35, 0.0, 1.8),
    "statue": (0.4, 0.0, 1.8),
    "animal": (0.8, 0.0, 1.5),
    "cyclist": (0.6, 0.0, 1.8),
    "car": (1.1, 0.0, 1.5),
    "sign": (0.5, 1.2, 3.2),
    "cone": (0.25, 0.0, 0.8),
}


def make_plan(dice: Dice, condition: str, size: tuple[int, int]) -> Plan:
    """Choose street, camera and objects of a scene."""
    climate = CLIMATES[condition]
    green = dice.pick((-1.0, 1.0))
    drive = green if dice.chance(0.75) else -green
    half = dice.between(2.2, 2.7)
    camera = Camera(
        size=size,
        horizon=dice.between(0.36, 0.43),
        shift=-green * dice.between(-0.02, 0.12),
        height=dice.between(1.4, 1.65),
        lateral=drive * half / 2 * dice.between(0.3, 0.9),
        bend=dice.between(-0.0022, 0.0022),
    )
    hedge, wall = half + dice.between(2.4, 3.4), half + dice.between(2.0, 2.8)
    warm = dice.between(0.0, 1.0)
    grass = (0.075 + 0.06 * warm, 0.135 + 0.015 * warm, 0.034)
    leaf = (0.05 + 0.05 * warm, 0.115, 0.028)
    return Plan(
        condition=condition,
        climate=climate,
        camera=camera,
        green=green,
        drive=drive,
        half_width=half,
        hedge=hedge,
        wall=wall,
        asphalt=dice.between(0.10, 0.15),
        paving=dice.between(0.22, 0.32),
        grass=grass,
        leaf=leaf,
        blossom=dice.pick(_BLOSSOM),
        wet=dice.between(0.4, 1.0) if dice.chance(0.45) else 0.0,
        low_sun=dice.between(0.7, 1.2) if condition == "day" and dice.chance(0.3) else 0.0,
        sun_at=(dice.between(-0.12, 0.12), dice.between(0.05, 0.14)),
        shadow=dice.pick((-1.0, 1.0)) * dice.between(0.5, 1.1) if climate.sun[0] else 0.0,
        things=_place(dice, condition, camera, green, drive, half, hedge, wall),
    )


def _place(
    dice: Dice,
    condition: str,
    camera: Camera,
    green: float,
    drive: float,
    half: float,
    hedge: float,
    wall: float,
) -> tuple[Thing, ...]:
    things: list[Thing] = []
    taken: list[tuple[float, float, float, float]] = []

    def stand(kind: str, low: float, high: float, near: float, far: float) -> None:
        """Put one in the lateral range [low, high] where it is in view and hides little."""
        wide, foot, tall = _EXTENT[kind]
        for _ in range(24):
            lateral, z = dice.between(low, high), dice.between(near, far)
            x = (lateral - camera.lateral) / z + camera.bend * z + camera.shift / FOCAL
            box = (x - wide / z, x + wide / z, (camera.height - tall) / z, (camera.height - foot) / z)
            if abs(x) < 0.52 and all(_overlap(box, other) < 0.25 for other in taken):
                taken.append(box)
                things.append(Thing(kind, lateral, z, dice.fork()))
                return

    def scatter(kind: str, count: int, low: float, high: float, near: float, far: float) -> None:
        for _ in range(count):
            things.append(Thing(kind, dice.between(low, high), dice.between(near, far), dice.fork()))

    for _ in range(dice.count(4, 6)):  # on the verge, first come first served
        kind = dice.pick(("animal", "cyclist", "car", "person", "person"))
        low, high, near, far = _VERGE[kind]
        stand(kind, green * (half + low), green * (half + high), near, far)
    for _ in range(dice.count(0, 2)):
        stand("bystander", -green * (half + 0.35), -green * (wall - 0.4), 4.4, 10.0)
    for _ in range(dice.count(2, 3)):
        stand("sign", -green * (half + 0.3), -green * (half + 1.6), 4.8, 12.0)
    if dice.chance(0.25):
        side = dice.pick((-1.0, 1.0))
        stand("cyclist", side * half * 0.45, side * (half - 0.4), 4.6, 8.0)
    for _ in range(dice.count(1, 2)):
        side = dice.pick((-1.0, 1.0))
        stand("car", side * half * 0.42, side * half * 0.62, 5.5, 18.0)
    if dice.chance(0.7):
        side = dice.pick((-1.0, 1.0))
        for _ in range(dice.count(3, 5)):
            stand("cone", side * half * 0.1, side * half * 0.95, 3.4, 8.0)

    for _ in range(dice.count(2, 3)):
        stand("statue", green * (half + 0.5), green * (hedge - 0.3), 5.0, 12.0)

    lamps, first = dice.chance(0.9), dice.between(5.0, 16.0)
    if lamps:
        for number in range(4):
            things.append(Thing("lamp", -green * (half + 0.45), first + 17.0 * number, dice.fork()))
    scatter("tree", dice.count(4, 7), green * (hedge + 1.0), green * (hedge + 6.0), 9.0, 60.0)
    scatter("tree", dice.count(0, 2), -green * (half + 0.8), -green * (half + 1.0), 18.0, 50.0)
    scatter("trunk", dice.count(2, 4), green * (half + 1.0), green * (hedge - 0.3), 5.0, 22.0)
    scatter("post", dice.count(1, 3), green * (half + 0.5), green * (hedge - 0.3), 4.5, 18.0)
    scatter("boulder", dice.count(1, 3), green * (half + 0.6), green * (hedge - 0.3), 4.5, 14.0)
    scatter("vent", dice.count(3, 5), -green * (half + 0.5), -green * (wall - 0.3), 4.5, 12.0)
    return tuple(sorted(things, key=lambda thing: -thing.z))


def _overlap(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> float:
    """Shared area of two rectangles (x0, x1, y0, y1), as a share of the smaller one."""
    wide, tall = min(a[1], b[1]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[2], b[2])
    if wide <= 0 or tall <= 0:
        return 0.0
    return wide * tall / min((a[1] - a[0]) * (a[3] - a[2]), (b[1] - b[0]) * (b[3] - b[2]))
