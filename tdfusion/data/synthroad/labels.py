"""Names and colours of SynthRoad's labels."""

from __future__ import annotations

CLASSES = ("background", "road", "marking", "sign", "cone", "car", "cyclist", "person", "animal")
"""Class names; the index is the id in ``Pair.mask``."""

BACKGROUND, ROAD, MARKING, SIGN, CONE, CAR, CYCLIST, PERSON, ANIMAL = range(len(CLASSES))

BOX_CLASSES = ("person", "car", "cyclist", "sign", "cone", "animal")
"""Names of the detection classes; the index is the class in ``Pair.boxes``."""

OPTIMUM = ("either", "infrared", "visible", "both")
"""Names of the ids in ``Pair.optimum``: which source carries the class of a pixel."""

EITHER, INFRARED, VISIBLE, BOTH = range(len(OPTIMUM))

PALETTE = (
    (44, 52, 64),
    (122, 126, 134),
    (250, 240, 180),
    (66, 133, 244),
    (255, 138, 36),
    (0, 172, 160),
    (160, 110, 220),
    (228, 52, 70),
    (170, 112, 60),
)
"""RGB colour (0 to 255) of each class, for figures."""
