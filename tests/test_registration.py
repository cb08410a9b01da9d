"""How well a pair is registered: the measure, its peak, and the warning of `tdfusion fuse`."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from skimage.filters import sobel_h, sobel_v
from skimage.registration import phase_cross_correlation

from studies.registration import apart
from tdfusion.commands.main import main
from tdfusion.data.images import write_png
from tdfusion.data.pair import Pair
from tdfusion.data.registration import (
    CONFIDENT,
    Misregistered,
    Offset,
    edge_agreement,
    looks_misregistered,
    misregistration,
    offset_words,
)
from tdfusion.data.synthroad.scenes import SynthRoad
from tdfusion.models import FusionNet
from tdfusion.weights import write_safetensors


def scene(index: int, height: int = 240, width: int = 320) -> Pair:
    return SynthRoad(length=6, size=(height, width))[index]


def test_agreement_is_the_formulas() -> None:
    """Shift by shift, from angles, with scikit-image's Sobel filter away from the border."""
    ir, vi = scene(0, 60, 72).ir, scene(0, 60, 72).vi
    S = edge_agreement(ir, vi, 3)

    def field(image):
        padded = np.pad(image[0].numpy().astype(float), 2, mode="edge")
        gx, gy = sobel_v(padded)[2:-2, 2:-2], sobel_h(padded)[2:-2, 2:-2]
        g = np.hypot(gx, gy)
        return np.arctan2(gy, gx), g**2 / (g**2 + g.mean() ** 2 / 4)

    (angle_a, e_a), (angle_b, e_b) = field(ir), field(vi)
    H, W = e_a.shape
    for dy, dx in ((0, 0), (3, -2), (-1, 3), (-3, -3)):
        to = slice(max(0, dy), H + min(0, dy)), slice(max(0, dx), W + min(0, dx))
        at = slice(max(0, -dy), H - max(0, dy)), slice(max(0, -dx), W - max(0, dx))
        both = e_a[at] * e_b[to]
        expected = (both * np.cos(2 * (angle_a[at] - angle_b[to]))).sum() / both.sum()
        assert S[3 + dy, 3 + dx] == pytest.approx(expected, abs=2e-5)


@pytest.mark.parametrize("dx, dy", [(0, 0), (8, -5), (-7, 3), (0, -12), (20, 9)])
def test_known_shifts_come_back_within_a_pixel(dx: int, dy: int) -> None:
    for index in range(4):
        I_a, I_b = apart(scene(index).ir, scene(index).vi, dx, dy)
        offset = misregistration(I_a, I_b)
        assert offset[:2] == pytest.approx((dx, dy), abs=0.5), f"scene {index}"


def test_averaged_images_give_the_shift_in_their_own_pixels() -> None:
    I_a, I_b = apart(scene(4, 480, 640).ir, scene(4, 480, 640).vi, -13, 6)
    assert misregistration(I_a, I_b)[:2] == pytest.approx((-13, 6), abs=1)


def test_scikit_image_finds_the_same_shift_where_both_images_are_of_one_kind() -> None:
    I_a, I_b = apart(scene(1).vi, scene(1).vi, 6, -4)
    shift, *_ = phase_cross_correlation(I_b[0].numpy(), I_a[0].numpy(), upsample_factor=10)
    assert misregistration(I_a, I_b)[:2] == pytest.approx(shift[::-1], abs=0.3)


def test_contrast_may_be_reversed_and_levels_changed() -> None:
    I_a, I_b = apart(scene(2).ir, scene(2).vi, 8, 5)
    plain, reversed_ = misregistration(I_a, I_b), misregistration(1 - I_a, 3 * I_b - 7)
    assert reversed_ == pytest.approx(plain, abs=1e-2)


def test_nothing_is_said_of_what_shows_nothing() -> None:
    flat, noise = torch.full((1, 96, 128), 0.5), torch.rand(40, 2, 1, 96, 128)
    assert misregistration(flat, flat) == misregistration(flat, noise[0, 0]) == Offset(0, 0, 0)
    assert misregistration(torch.rand(1, 20, 400), torch.rand(1, 20, 400)) == Offset(0, 0, 0)
    assert not any(looks_misregistered(misregistration(a, b), a) for a, b in noise)


def test_a_warning_needs_a_large_offset_and_confidence() -> None:
    image, large = torch.zeros(1, 480, 640), torch.zeros(1, 3000, 4000)
    assert looks_misregistered(Offset(5, -5, CONFIDENT + 0.1), image)
    assert not looks_misregistered(Offset(5, -5, CONFIDENT - 0.1), image)
    assert not looks_misregistered(Offset(4, -4, 9), image)
    assert not looks_misregistered(Offset(12, -12, 9), large)


def test_sentences() -> None:
    assert offset_words(Offset(6.2, 1.8, 9)) == "6 px right and 2 px below"
    assert offset_words(Offset(0.3, -7, 9)) == "7 px above"
    off = Misregistered(checked=40, found=[("x", Offset(-6, 0, 9))] * 3)
    (sentence,) = off.words()
    assert sentence.startswith(
        "3 of 40 pairs look misregistered (first x: the visible image lies about 6 px left of"
    )
    assert list(Misregistered(checked=40).words()) == []


def test_fuse_warns_on_stderr_of_the_pair_that_is_off_and_not_when_told(tmp_path, capsys) -> None:
    for name, shift in (("near", (0, 0)), ("off", (14, -9))):
        for kind, image in zip(("ir", "vi"), apart(scene(4).ir, scene(4).vi, *shift)):
            write_png(tmp_path / kind / f"{name}.png", image)
    write_safetensors(tmp_path / "F.safetensors", FusionNet())
    command = [
        "fuse",
        "--ir",
        str(tmp_path / "ir"),
        "--vi",
        str(tmp_path / "vi"),
        "--out",
        str(tmp_path / "out"),
    ]
    command += ["--weights", str(tmp_path / "F.safetensors"), "--overwrite"]
    assert main(command) == 0
    said = capsys.readouterr()
    assert "1 of 2 pairs looks misregistered (first off.png with off.png: the visible image lies" in said.err
    assert "14 px right and 9 px above" in said.err and "misregistered" not in said.out
    assert main([*command, "--no-check"]) == 0
    assert "misregistered" not in capsys.readouterr().err
