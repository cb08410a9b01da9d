"""SynthRoad: the same pixels from the same seed, and truth that agrees with what is drawn."""

from __future__ import annotations

import hashlib
import itertools
import math
import pickle

import numpy as np
import pytest
import torch
from scipy.ndimage import binary_dilation, label
from torch.utils.data import DataLoader

from tdfusion.data.images import to_uint8, ycbcr_to_rgb
from tdfusion.data.pair import Pair
from tdfusion.data.synthroad.cameras import Noisy, clear_air
from tdfusion.data.synthroad.canvas import Camera, Canvas, cover_polygon
from tdfusion.data.synthroad.scenes import (
    BOX_CLASSES,
    CLASSES,
    CONDITIONS,
    OPTIMUM,
    PALETTE,
    SynthRoad,
    oracle_weights,
)
from tdfusion.errors import InputError

SIZE = (120, 160)
INFRARED, VISIBLE, BOTH = (OPTIMUM.index(name) for name in ("infrared", "visible", "both"))


@pytest.fixture(scope="module")
def pairs() -> list[Pair]:
    scenes = SynthRoad("train", 48, SIZE, seed=3)
    return [scenes[i] for i in range(len(scenes))]


def levels(pair: Pair) -> bytes:
    """What a camera would have stored: 8-bit infrared and RGB, and the labels, as bytes.

    The luma is a sum of three products and may differ in its last bit between machines; the RGB levels
    that it came from do not.
    """
    rgb = to_uint8(ycbcr_to_rgb(pair.vi, pair.chroma))
    labels = [a.numpy().astype(np.int16).tobytes() for a in (pair.mask, pair.optimum, pair.boxes)]
    return b"".join([to_uint8(pair.ir).tobytes(), rgb.tobytes(), *labels])


def checksum(scenes: SynthRoad, indices: range) -> str:
    digest = hashlib.sha256()
    for i in indices:
        digest.update(levels(scenes[i]))
    return digest.hexdigest()[:16]


# Change these only together with the design of the scenes: results that name a seed rest on them.
CHECKSUMS = {
    ("train", (64, 64), 0): "17e8edea87385406",
    ("test", (64, 64), 0): "7d5a277e0126af27",
    ("train", (97, 133), 7): "cba7c165258659af",
    ("test", (240, 320), 1): "79295f9ff2c3eb4a",
}


@pytest.mark.parametrize(("split", "size", "seed"), CHECKSUMS)
def test_pixels_of_a_seed_never_change(split, size, seed):
    count = 4 if size == (240, 320) else 12
    assert checksum(SynthRoad(split, 100, size, seed), range(count)) == CHECKSUMS[split, size, seed]


def test_a_scene_depends_on_seed_split_and_index_alone():
    scenes = SynthRoad("train", 9, (64, 64), 0)
    late = levels(scenes[8])
    assert levels(scenes[8]) == late
    assert levels(SynthRoad("train", 500, (64, 64), 0)[8]) == late
    assert levels(pickle.loads(pickle.dumps(scenes))[8]) == late


def test_splits_and_seeds_share_no_scene():
    seen = [
        levels(SynthRoad(split, 12, (64, 64), seed)[i])
        for split, seed, i in itertools.product(("train", "test"), (0, 1), range(12))
    ]
    assert len(set(seen)) == len(seen)


def test_workers_give_what_the_main_process_gives():
    scenes = SynthRoad("test", 6, (64, 64), 5)
    loader = DataLoader(scenes, batch_size=None, num_workers=2)
    for alone, worked in zip(scenes, loader, strict=True):
        assert alone.name == worked.name
        assert levels(alone) == levels(worked)


def test_fields_have_the_types_and_ranges_that_pair_promises(pairs):
    for pair in pairs:
        assert pair.ir.shape == pair.vi.shape == (1, *SIZE)
        assert pair.chroma.shape == (2, *SIZE)
        assert pair.mask.shape == pair.optimum.shape == SIZE
        for image in (pair.ir, pair.vi, pair.chroma):
            assert image.dtype == torch.float32
            assert image.min() >= 0
            assert image.max() <= 1
        assert pair.mask.dtype == pair.optimum.dtype == torch.int64
        assert 0 <= pair.mask.min() <= pair.mask.max() < len(CLASSES)
        assert 0 <= pair.optimum.min() <= pair.optimum.max() < len(OPTIMUM)
        assert pair.boxes.dtype == torch.float32
        assert pair.boxes.shape[1] == 5
    assert len({pair.name for pair in pairs}) == len(pairs)


def test_every_class_and_every_optimum_occurs(pairs):
    assert set(torch.cat([p.mask.flatten() for p in pairs]).unique().tolist()) == set(range(len(CLASSES)))
    assert set(torch.cat([p.boxes[:, 0] for p in pairs]).tolist()) == set(range(len(BOX_CLASSES)))
    assert set(torch.cat([p.optimum.flatten() for p in pairs]).unique().tolist()) == set(range(len(OPTIMUM)))
    assert len(PALETTE) == len(CLASSES) == len(set(PALETTE))


def test_condition_is_known_without_drawing_and_is_in_the_name(pairs):
    scenes = SynthRoad("train", 600, SIZE, seed=3)
    assert all(pair.name == f"train-{i:05d}-{scenes.condition(i)}" for i, pair in enumerate(pairs))
    drawn = [scenes.condition(i) for i in range(600)]
    for name, share in zip(CONDITIONS, (0.4, 0.4, 0.2), strict=True):
        assert drawn.count(name) / 600 == pytest.approx(share, abs=0.07)


def test_boxes_are_inside_and_tight(pairs):
    for pair in pairs:
        for box, x1, y1, x2, y2 in pair.boxes.int().tolist():
            assert 0 <= x1 < x2 <= SIZE[1]
            assert 0 <= y1 < y2 <= SIZE[0]
            assert min(x2 - x1, y2 - y1) >= 3
            inside = (pair.mask == CLASSES.index(BOX_CLASSES[box]))[y1:y2, x1:x2]
            assert inside.sum() >= 12
            # A box that could shrink would have an edge without a pixel of its class.
            assert all(edge.any() for edge in (inside[0], inside[-1], inside[:, 0], inside[:, -1]))


def test_every_large_object_has_a_box(pairs):
    for pair in pairs:
        for box, name in enumerate(BOX_CLASSES):
            parts, count = label((pair.mask == CLASSES.index(name)).numpy())
            found = pair.boxes[pair.boxes[:, 0] == box, 1:].int().tolist()
            for part in range(1, count + 1):
                y, x = np.nonzero(parts == part)
                if len(y) < 120:
                    continue
                middle = np.median(x), np.median(y)
                assert any(a <= middle[0] <= c and b <= middle[1] <= d for a, b, c, d in found), pair.name


def contrasts(pairs: list[Pair], name: str, optimum: int) -> np.ndarray:
    """(n, 2): |object - ring around it| in infrared and visible, each over the ring's own spread."""
    rows = []
    for pair in pairs:
        of_class = (pair.mask == CLASSES.index(name)).numpy()
        chosen = of_class & (pair.optimum == optimum).numpy()
        ring = binary_dilation(chosen, iterations=4) & ~of_class
        if chosen.sum() < 25 or not ring.any():
            continue
        images = [image[0].numpy() for image in (pair.ir, pair.vi)]
        rows.append([abs(i[chosen].mean() - i[ring].mean()) / (i[ring].std() + 0.01) for i in images])
    return np.array(rows)


@pytest.mark.parametrize("name", ["person", "animal", "cyclist"])
def test_where_infrared_carries_it_alone_has_the_contrast(pairs, name):
    ir, vi = np.median(contrasts(pairs, name, INFRARED), axis=0)
    assert ir > 1.5
    assert vi < 0.5


@pytest.mark.parametrize("name", ["marking", "cone"])
def test_where_visible_carries_it_alone_has_the_contrast(pairs, name):
    ir, vi = np.median(contrasts(pairs, name, VISIBLE), axis=0)
    assert vi > 1.0
    assert ir < 0.5


def test_road_is_cluttered_in_infrared_and_verge_in_visible(pairs):
    # Nothing but the surface: what stands on it would add contrast of its own.
    road, verge = [], []
    for pair in pairs:
        if not pair.name.endswith("day"):
            continue
        ir, vi = pair.ir[0], pair.vi[0]
        below = torch.arange(SIZE[0])[:, None] > 0.5 * SIZE[0]
        for rows, where in (
            (road, (pair.mask == CLASSES.index("road")) & (pair.optimum == VISIBLE)),
            (verge, (pair.mask == CLASSES.index("background")) & (pair.optimum == INFRARED) & below),
        ):
            if where.sum() > 300:
                rows.append((ir[where].std().item(), vi[where].std().item()))
    road_ir, road_vi = np.median(road, axis=0)
    verge_ir, verge_vi = np.median(verge, axis=0)
    assert road_ir > 1.5 * road_vi
    assert verge_vi > 1.5 * verge_ir


def test_glare_hands_the_pixel_to_infrared(pairs):
    bright = []
    for pair in pairs:
        if pair.name.endswith("fog"):
            continue  # there the air, not glare, may take the visible image
        lost = (pair.optimum == INFRARED) & (pair.mask == CLASSES.index("road"))
        bright += pair.vi[0][lost].tolist()
    assert len(bright) > 100
    assert np.median(bright) > 0.85


def test_a_larger_image_shows_the_same_scene():
    small, large = (SynthRoad("train", 6, size, 2) for size in ((90, 120), (270, 360)))
    for i in range(6):
        a, b = small[i], large[i]
        same = (a.mask == b.mask[1::3, 1::3]).float().mean()
        assert same > 0.93
        shrunk = torch.nn.functional.avg_pool2d(b.ir[None], 3)[0]
        assert torch.corrcoef(torch.stack([a.ir.flatten(), shrunk.flatten()]))[0, 1] > 0.9


@pytest.mark.parametrize("size", [(480, 640), (33, 57), (64, 200), (200, 64)])
def test_any_size_in_range_can_be_drawn(size):
    assert SynthRoad("test", 1, size, 4)[0].size == size


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"split": "val"}, "'val'"),
        ({"length": 0}, "length = 0"),
        ({"size": (16, 64)}, "(16, 64)"),
        ({"size": (64, 2000)}, "(64, 2000)"),
        ({"seed": -1}, "seed = -1"),
    ],
)
def test_what_cannot_be_drawn_is_named(changed, words):
    with pytest.raises(InputError) as caught:
        SynthRoad(**changed)
    assert words in str(caught.value)


def test_iteration_ends_at_the_length():
    scenes = SynthRoad("train", 3, (32, 32))
    assert len(list(scenes)) == len(scenes) == 3
    with pytest.raises(IndexError):
        scenes.condition(3)


def test_oracle_weights_follow_the_nearest_preference():
    optimum = torch.from_numpy(np.random.default_rng(0).choice(4, (9, 12), p=[0.5, 0.1, 0.1, 0.3]))
    w_a = oracle_weights(optimum)[0]
    sure = [(y, x) for y in range(9) for x in range(12) if optimum[y, x] in (INFRARED, VISIBLE)]
    for y, x in itertools.product(range(9), range(12)):
        nearest = min(math.dist((y, x), place) for place in sure)
        wanted = {float(optimum[p] == INFRARED) for p in sure if math.dist((y, x), p) == nearest}
        assert w_a[y, x].item() in wanted
    assert (oracle_weights(torch.full((4, 5), BOTH)) == 0.5).all()


def test_polygons_cover_their_area():
    canvas = Canvas(Camera((64, 64), horizon=0.4, shift=0.0, height=1.5, lateral=0.0, bend=0.0))
    for sides, radius, turn in itertools.product((3, 4, 8), (6.0, 20.0), (0.0, 0.3)):
        angles = 2 * np.pi * np.arange(sides) / sides + turn
        points = np.stack([32.3 + radius * np.cos(angles), 31.6 + radius * np.sin(angles)], axis=1)
        cover = cover_polygon(canvas, (slice(0, 64), slice(0, 64)), points)
        area = 0.5 * sides * radius**2 * np.sin(2 * np.pi / sides)
        assert cover.sum() == pytest.approx(area, rel=0.03)
        assert np.array_equal(cover, cover_polygon(canvas, (slice(0, 64), slice(0, 64)), points[::-1]))


def test_sensor_noise_is_standard():
    noise = Noisy(np.random.Generator(np.random.PCG64(0)))(300, 401)
    assert noise.shape == (300, 401)
    assert noise.mean() == pytest.approx(0, abs=0.01)
    assert noise.std() == pytest.approx(1, abs=0.01)
    assert abs(np.corrcoef(noise[:, :-1].ravel(), noise[:, 1:].ravel())[0, 1]) < 0.01


def test_air_clears_like_an_exponential():
    z = np.linspace(0, 200, 500, dtype=np.float32)
    assert np.abs(clear_air(0.05, z) - np.exp(-0.05 * z)).max() < 0.03
