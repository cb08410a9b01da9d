"""Crop, resize, flip and swap move images and labels alike."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from tdfusion.data import Pair
from tdfusion.data.geometry import (
    MIN_VISIBLE,
    as_size,
    clip_boxes,
    crop,
    flip,
    resize,
)
from tdfusion.data.pair import collate
from tdfusion.errors import InputError

H, W = 24, 36


def boxed_pair(corners: list[tuple[int, int, int, int]]) -> Pair:
    """A pair whose mask and images mark each box (number i + 1), so that labels can be compared."""
    mask = torch.zeros(H, W, dtype=torch.int64)
    for i, (x1, y1, x2, y2) in enumerate(corners, start=1):
        mask[y1:y2, x1:x2] = i
    rows = [[i, *map(float, c)] for i, c in enumerate(corners, start=1)]
    image = mask[None].float() / 8
    return Pair(
        ir=image,
        vi=1 - image,
        name="boxed",
        chroma=torch.stack([image[0], 1 - image[0]]),
        mask=mask,
        boxes=torch.tensor(rows).reshape(-1, 5),
        optimum=mask.clone(),
    )


def box_of(mask: torch.Tensor, i: int) -> list[float]:
    """Tight box around the pixels of id ``i``: the second way to know where a box must be."""
    rows, columns = torch.where(mask == i)
    return [columns.min().item(), rows.min().item(), columns.max().item() + 1, rows.max().item() + 1]


def assert_labels_agree(pair: Pair) -> None:
    for row in pair.boxes.tolist():
        assert row[1:] == box_of(pair.mask, int(row[0]))
    torch.testing.assert_close(pair.ir[0], pair.mask / 8)
    torch.testing.assert_close(pair.vi, 1 - pair.ir)
    torch.testing.assert_close(pair.chroma[0], pair.ir[0])
    assert torch.equal(pair.optimum, pair.mask)


def test_crop_moves_images_and_labels_alike() -> None:
    pair = boxed_pair([(2, 3, 10, 9), (20, 10, 34, 22)])
    cut = crop(pair, top=2, left=1, size=(20, 34))
    assert cut.size == (20, 34)
    assert len(cut.boxes) == 2
    assert_labels_agree(cut)


def test_crop_clips_a_box_that_reaches_over_its_border() -> None:
    cut = crop(boxed_pair([(0, 0, 10, 10)]), top=4, left=3, size=16)
    assert cut.boxes.tolist() == [[1, 0, 0, 7, 6]]
    assert_labels_agree(cut)


@pytest.mark.parametrize(("left", "kept"), [(6, 1), (7, 0), (8, 0)])
def test_crop_drops_a_box_of_which_less_than_a_quarter_is_visible(left: int, kept: int) -> None:
    # Of 8 columns, 8 - left are visible; a quarter is 2.
    cut = crop(boxed_pair([(0, 0, 8, 8)]), top=0, left=left, size=12)
    assert len(cut.boxes) == kept
    assert (8 - left) / 8 >= MIN_VISIBLE or not kept


def test_crop_drops_what_is_thinner_than_a_pixel() -> None:
    thin = boxed_pair([]).__class__(
        ir=torch.zeros(1, H, W),
        vi=torch.zeros(1, H, W),
        name="thin",
        boxes=torch.tensor([[0, 4.5, 2, 5.5, 9.0]]),
    )
    assert len(crop(thin, 0, 5, 12).boxes) == 0
    assert len(crop(thin, 0, 4, 12).boxes) == 1


def test_crop_larger_than_the_image_names_the_pair_and_both_sizes() -> None:
    with pytest.raises(InputError, match=r"boxed: 24x36 .*crop of 32x32; pass a smaller crop"):
        crop(boxed_pair([]), 0, 0, 32)
    with pytest.raises(InputError, match="leaves"):
        crop(boxed_pair([]), top=10, left=0, size=20)


def test_flip_moves_images_and_labels_alike_and_undoes_itself() -> None:
    pair = boxed_pair([(2, 3, 10, 9), (20, 10, 34, 22)])
    assert_labels_agree(flip(pair))
    assert flip(pair).boxes[0, 1:].tolist() == [W - 10, 3, W - 2, 9]
    twice = flip(flip(pair))
    assert torch.equal(twice.ir, pair.ir)
    assert torch.equal(twice.boxes, pair.boxes)


def test_resize_by_whole_factors_keeps_labels_exact() -> None:
    pair = boxed_pair([(2, 4, 10, 8), (20, 10, 34, 22)])
    for size in ((2 * H, 3 * W), (H // 2, W // 2)):
        resized = resize(pair, size)
        assert resized.size == resized.mask.shape == resized.optimum.shape == size
        for row in resized.boxes.tolist():
            assert row[1:] == box_of(resized.mask, int(row[0]))


def test_resize_of_images_agrees_with_pillow() -> None:
    # Pillow's bilinear filter is antialiased too, and is an independent implementation.
    image = torch.rand(1, 30, 44)
    ours = resize(Pair(ir=image, vi=image, name="x"), (17, 21)).ir[0]
    theirs = Image.fromarray(image[0].numpy()).resize((21, 17), Image.Resampling.BILINEAR)
    np.testing.assert_allclose(ours.numpy(), np.asarray(theirs), atol=1e-5)


def test_resize_of_masks_agrees_with_pillow_and_invents_no_class() -> None:
    mask = torch.randint(0, 3, (H, W)) * 4
    pair = Pair(ir=torch.rand(1, H, W), vi=torch.rand(1, H, W), name="x", mask=mask)
    for height, width in ((16, 32), (H // 2, W // 3), (2 * H, W)):  # sizes without ties
        resized = resize(pair, (height, width)).mask
        picture = Image.fromarray(mask.numpy().astype(np.uint8))
        theirs = picture.resize((width, height), Image.Resampling.NEAREST)
        assert np.array_equal(resized, np.asarray(theirs))
        assert resized.dtype == torch.int64


def test_boxes_stay_inside_after_any_chain() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        x, y = rng.uniform(0, W - 2), rng.uniform(0, H - 2)
        row = [1, x, y, rng.uniform(x + 1, W), rng.uniform(y + 1, H)]
        pair = Pair(torch.rand(1, H, W), torch.rand(1, H, W), "x", boxes=torch.tensor([row]))
        pair = resize(pair, tuple(rng.integers(16, 60, 2).tolist()))
        window = rng.integers(8, np.add(pair.size, 1))
        top, left = rng.integers(0, np.subtract(pair.size, window), endpoint=True)
        pair = flip(crop(pair, int(top), int(left), tuple(window.tolist())))
        assert torch.equal(clip_boxes(pair.boxes, pair.size), pair.boxes)


def test_a_batch_with_its_swapped_half_repeats_the_labels() -> None:
    pairs = [boxed_pair([(0, 0, 5, 5), (6, 0, 12, 5)]), boxed_pair([(13, 0, 20, 5)])]
    batch = collate(pairs)
    both = batch.with_swapped()
    assert len(both) == 4 and both.names == batch.names * 2
    for i, pair in enumerate(pairs):
        assert torch.equal(both.ir[i], pair.ir) and torch.equal(both.ir[2 + i], pair.vi)
        assert torch.equal(both.vi[i], pair.vi) and torch.equal(both.vi[2 + i], pair.ir)
        assert torch.equal(both.mask[2 + i], pair.mask) and torch.equal(both.boxes[2 + i], pair.boxes)


def test_geometry_leaves_absent_labels_absent() -> None:
    bare = Pair(torch.rand(1, H, W), torch.rand(1, H, W), "bare")
    for moved in (crop(bare, 0, 0, 8), resize(bare, 12), flip(bare)):
        assert moved.mask is moved.boxes is moved.chroma is moved.optimum is None


@pytest.mark.parametrize("bad", [0, -3, (4,), (4, 5, 6), (4.5, 5), "ab"])
def test_sizes_are_whole_positive_numbers(bad: object) -> None:
    with pytest.raises(InputError, match="expected one side or"):
        as_size(bad)
