"""The paper's six metrics: values against other libraries, against hand-made cases, and between the conventions."""

from __future__ import annotations

import json
import math
import warnings
from pathlib import Path

import numpy as np
import piq
import pytest
import scipy.stats
import torch
from PIL import Image
from scipy.ndimage import correlate
from skimage.metrics import structural_similarity
from torchmetrics.functional.image import visual_information_fidelity

from tdfusion.metrics import (
    CONVENTIONS,
    METRICS,
    all_metrics,
    entropy,
    measure,
    qabf,
    scd,
    spatial_frequency,
    ssim,
    vif,
)
from tdfusion.metrics.conformance import check_cases, deviations
from tdfusion.metrics.filters import correlate_valid, gaussian_taps
from tdfusion.reference import metrics as reference
from tdfusion.reference.further_metrics import further_metrics

# VIF is compared to 1e-6 and the rest to 1e-8: summation order differs, definitions must not.
TOLERANCE = {metric: 1e-6 if metric == "VIF" else 1e-8 for metric in METRICS}

Triple = tuple[np.ndarray, np.ndarray, np.ndarray]


def noise(height: int, width: int, seed: int = 0) -> Triple:
    """Fused (mean), infrared, visible: noise of all levels."""
    A, B = np.random.default_rng(seed).integers(0, 256, (2, height, width), dtype=np.uint8)
    return ((A.astype(int) + B + 1) // 2).astype(np.uint8), A, B


def flat_areas(height: int, width: int) -> Triple:
    """Fused (maximum), infrared, visible: mostly saturated or black, with a few structures."""
    A, B = np.zeros((height, width), np.uint8), np.full((height, width), 255, np.uint8)
    A[5:20, 8:30] = 255
    B[15:33, : width // 2] = 254
    B[-9:, -7:] = np.arange(7)
    return np.maximum(A, B), A, B


def extremes(height: int, width: int) -> Triple:
    """Fused, infrared, visible with only 0 and 255."""
    F, A, B = np.random.default_rng(3).integers(0, 2, (3, height, width)).astype(np.uint8) * 255
    return F, A, B


def one_pixel(height: int, width: int) -> Triple:
    """Almost constant images: the rounding noise of flat windows must not add up."""
    A = np.full((height, width), 255, np.uint8)
    A[height // 2, width // 2] = 254
    F, B = A.copy(), A.copy()
    B[height // 3, 9] = 254
    F[height // 2, width // 2] = 253
    F[20, 30] = 253
    return F, A, B


TRIPLES = {
    "odd noise": noise(83, 61),
    "block edges": noise(16 * 5, 16 * 7 + 1),
    "tall": noise(150, 43, 1),
    "wide": noise(42, 150, 2),
    "strips": noise(131, 270, 5),  # more pixels than are worked on at once
    "smallest": noise(41, 41, 4),
    "flat areas": flat_areas(97, 131),
    "extremes": extremes(60, 57),
    "one pixel": one_pixel(150, 150),
}


@pytest.mark.parametrize("convention", CONVENTIONS)
@pytest.mark.parametrize("name", TRIPLES)
def test_values_are_those_of_other_libraries(name: str, convention: str) -> None:
    F, A, B = TRIPLES[name]
    mine, theirs = all_metrics(F, A, B, convention), reference.reference_metrics(F, A, B, convention)
    for metric in METRICS:
        away = abs(mine[metric] - theirs[metric])
        # With L = 1 the constants of SSIM are so small that the rounding of flat areas shows in both.
        tolerance = 2e-7 if (metric, convention) == ("SSIM", "ivif_zoo") else TOLERANCE[metric]
        assert away < tolerance, (metric, mine[metric], theirs[metric])


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_published_check_values_are_reproduced(convention: str) -> None:
    worst = deviations(lambda F, A, B: measure(F, A, B, convention).values, convention)
    assert set(worst) == set(METRICS)
    assert max(worst.values()) < 1e-8


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_published_check_values_are_those_of_the_other_libraries(convention: str) -> None:
    for case in check_cases():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # sewar divides by zero on the blank cases
            theirs = reference.reference_metrics(case.I_f, case.I_a, case.I_b, convention)
        theirs |= further_metrics(case.I_f, case.I_a, case.I_b, convention)
        assert set(theirs) == set(case.expected[convention])
        for metric, expected in case.expected[convention].items():
            if expected is not None:
                # as above: with L = 1 even the other library's last digits depend on the processor
                rounding = 2e-7 if (metric, convention) == ("SSIM", "ivif_zoo") else 6e-11
                assert theirs[metric] == pytest.approx(expected, abs=rounding), (case.name, metric)


def test_deviations_expose_a_wrong_implementation() -> None:
    wrong = deviations(lambda F, A, B: {"EN": entropy(F) + 1e-3, "SCD": 0.0})
    assert wrong["EN"] == pytest.approx(1e-3)
    assert wrong["SCD"] == math.inf  # a number where the value is 0/0


def test_golden_values_of_real_pairs(real_data: Path) -> None:
    folder = real_data / "golden"
    pairs = json.loads((folder / "golden.json").read_text())["pairs"]
    assert len(pairs) == 10
    for pair in pairs.values():
        A, B = (np.asarray(Image.open(folder / pair[role])) for role in ("ir", "vi"))
        fusions = {"mean": ((A.astype(int) + B + 1) // 2).astype(np.uint8), "max": np.maximum(A, B), "ir": A}
        for fusion, expected in pair["fusions"].items():
            mine = measure(fusions[fusion], A, B).values
            for metric, value in expected.items():
                assert math.isnan(mine[metric]) if value is None else abs(mine[metric] - value) < 1e-6


@pytest.mark.parametrize("name", ["odd noise", "extremes", "flat areas"])
def test_vif_against_torchmetrics_and_piq(name: str) -> None:
    F, A, _ = TRIPLES[name]
    x, y = (torch.from_numpy(image).double()[None, None] for image in (F, A))
    single = vif(F, A, A)  # both sources the same: the mean is the value for one
    assert single == pytest.approx(visual_information_fidelity(x, y).item(), abs=1e-6)
    assert single == pytest.approx(piq.vif_p(x, y, data_range=255.0).item(), abs=1e-5)  # its epsilon is 1e-8


@pytest.mark.parametrize("name", ["odd noise", "extremes", "flat areas"])
def test_gaussian_ssim_against_scikit_image_and_piq(name: str) -> None:
    F, A, _ = TRIPLES[name]
    mine = ssim(F, A, A, window="gaussian11", covariance="population")
    theirs = structural_similarity(
        F, A, data_range=255, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
    )
    assert mine == pytest.approx(theirs, abs=1e-8)
    x, y = (torch.from_numpy(image).double()[None, None] for image in (F, A))
    assert mine == pytest.approx(piq.ssim(x, y, data_range=255.0, downsample=False).item(), abs=1e-6)


@pytest.mark.parametrize("equal", ["strength", "one"])
@pytest.mark.parametrize("orientation", ["linear", "folded"])
def test_every_branch_of_qabf(equal: str, orientation: str) -> None:
    values = []
    for F, A, B in TRIPLES.values():
        f, a, b = (image.astype(float) for image in (F, A, B))
        theirs = reference.qabf(f, a, b, equal, folded=orientation == "folded")
        values.append(qabf(F, A, B, equal=equal, orientation=orientation))
        assert values[-1] == pytest.approx(theirs, abs=1e-8)
    if (equal, orientation) != ("strength", "linear"):
        assert values != [qabf(*triple) for triple in TRIPLES.values()]


def test_entropy_is_the_histograms() -> None:
    F, _, _ = TRIPLES["odd noise"]
    share = np.bincount(F.ravel()) / F.size
    assert entropy(F) == pytest.approx(scipy.stats.entropy(share, base=2), abs=1e-12)
    assert entropy(np.arange(256, dtype=np.uint8).reshape(16, 16)) == 8.0
    assert entropy(np.array([[9.4, 9.6], [10.4, 255.0]])) == pytest.approx(1.5)  # levels 9, 10, 10, 255
    zero = entropy(np.full((3, 3), 7))
    assert zero == 0.0
    assert math.copysign(1, zero) == 1


def test_spatial_frequency_by_hand() -> None:
    checkerboard = 255 * (np.indices((6, 7)).sum(0) % 2)
    assert spatial_frequency(checkerboard.astype(np.uint8)) == pytest.approx(255 * math.sqrt(2))
    assert spatial_frequency(np.array([[0, 3], [4, 0]])) == pytest.approx(math.sqrt(12.5 + 12.5))


def test_uint8_arithmetic_does_not_wrap() -> None:
    F, A, B = TRIPLES["odd noise"]
    assert measure(F, A, B) == measure(*(image.astype(np.float64) for image in (F, A, B)))


def test_scd_is_two_when_each_source_adds_itself() -> None:
    _, A, B = noise(40, 50)
    A, B = A // 2, B // 2
    assert scd(A + B, A, B) == pytest.approx(2.0)


def test_a_perfect_copy() -> None:
    F, _, _ = TRIPLES["odd noise"]
    assert vif(F, F, F) == pytest.approx(1.0, abs=1e-9)
    assert ssim(F, F, F) == pytest.approx(1.0)
    assert qabf(F, F, F) == pytest.approx(0.9753, abs=5e-5)  # equal strengths: never 1


def test_numpy_and_torch_agree() -> None:
    triple = TRIPLES["odd noise"]
    expected = all_metrics(*triple)
    for dtype in (torch.uint8, torch.int32, torch.float32, torch.float64, torch.bfloat16):
        tensors = [torch.from_numpy(image).to(dtype) for image in triple]
        if dtype is torch.float32:
            tensors[0].requires_grad_()
        assert all_metrics(*tensors) == expected  # 0..255 are exact in all of them


def test_the_six_together_equal_the_six_alone() -> None:
    F, A, B = TRIPLES["flat areas"]
    for convention in CONVENTIONS:
        alone = {
            "EN": entropy(F, convention=convention),
            "SF": spatial_frequency(F),
            "SCD": scd(F, A, B),
            "VIF": vif(F, A, B, convention=convention),
            "Qabf": qabf(F, A, B, convention=convention),
            "SSIM": ssim(F, A, B, convention=convention),
        }
        assert all_metrics(F, A, B, convention) == alone
        assert tuple(alone) == METRICS


def test_each_difference_can_be_set_alone() -> None:
    F, A, B = TRIPLES["odd noise"]
    assert vif(F, A, B, reduce="sum") == vif(F, A, B, convention="cddfuse")
    assert ssim(F, A, B, reduce="sum", data_range=2.0) == ssim(F, A, B, convention="cddfuse")
    assert entropy(F, epsilon=1e-7) == entropy(F, convention="ivif_zoo") != entropy(F)
    survey = {"reduce": "sum", "border": "zero", "kernel": "shifted"}
    assert vif(F, A, B, **survey) == vif(F, A, B, convention="ivif_zoo")
    for setting in survey:
        assert vif(F, A, B, **{setting: survey[setting]}) not in (vif(F, A, B), vif(F, A, B, **survey))


@pytest.mark.parametrize("size", [3, 7, 9, 17])
@pytest.mark.parametrize("stride", [1, 2])
def test_banded_products_are_correlations(size: int, stride: int) -> None:
    taps = np.random.default_rng(0).random(size)  # not symmetric: a flipped kernel would show
    for height, width in ((17, 18), (33, 60), (270, 31), (29, 300)):
        stack = np.random.default_rng(1).random((2, height, width))
        reach = size // 2
        valid = (slice(reach, height - reach, stride), slice(reach, width - reach, stride))
        expected = [correlate(plane, np.outer(taps, taps))[valid] for plane in stack]
        np.testing.assert_allclose(correlate_valid(stack, taps, stride), expected, rtol=1e-12)


def test_the_shifted_kernel_is_off_centre() -> None:
    at = np.arange(17) - 8
    assert gaussian_taps(17, 3.4) @ at == pytest.approx(0.0, abs=1e-12)
    assert gaussian_taps(17, 3.4, shifted=True) @ at > 0.4
