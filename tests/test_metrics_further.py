"""The ten metrics beside the paper's six: values against other libraries and formulas written out, and by hand."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import piq
import pytest
import torch
from PIL import Image
from skimage.metrics import structural_similarity
from test_metrics import TRIPLES, Triple, flat_areas, noise

from tdfusion.metrics import (
    CONVENTIONS,
    METRICS,
    TABLE,
    UndefinedMetricWarning,
    average_gradient,
    correlation_coefficient,
    edge_intensity,
    entropy,
    fmi,
    measure,
    ms_ssim,
    mse,
    mutual_information,
    nabf,
    psnr,
    standard_deviation,
)
from tdfusion.metrics.conformance import deviations
from tdfusion.metrics.filters import sobel
from tdfusion.metrics.fmi import edge_map
from tdfusion.reference.further_metrics import edges, further_metrics

FURTHER = tuple(name for name in TABLE if name not in METRICS)
LOWER_IS_BETTER = {"MSE", "Nabf"}


def made_up(height: int, width: int) -> Triple:
    """A fused image with strong edges of its own, on sources with weak and strong ones."""
    y, x = np.mgrid[:height, :width]
    A = 60 + 2 * x % 90 + 5 * ((x // 9 + y // 6) % 2)
    B = 80 + 3 * y % 70 + 25 * ((x // 4) % 2)
    return (
        (A // 2 + B // 2 + 40 * ((x + y) // 11 % 2)).astype(np.uint8),
        A.astype(np.uint8),
        B.astype(np.uint8),
    )


CASES = TRIPLES | {
    "made up": made_up(60, 70),
    "odd and large": noise(193, 179, 7),
    "large flat areas": flat_areas(190, 177),
    "smallest for all": made_up(176, 176),
}


@pytest.mark.parametrize("convention", CONVENTIONS)
@pytest.mark.parametrize("name", CASES)
def test_values_are_those_of_other_libraries(name: str, convention: str) -> None:
    theirs = further_metrics(*CASES[name], convention)
    assert set(FURTHER) - set(theirs) == ({"MS-SSIM"} if min(CASES[name][0].shape) < 176 else set())
    measured = measure(*CASES[name], convention, metrics=tuple(theirs))
    for metric, value in theirs.items():
        assert measured.values[metric] == pytest.approx(value, rel=1e-9, abs=1e-9, nan_ok=True), metric
        assert math.isnan(value) == (metric in measured.undefined)


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_published_check_values_are_reproduced(convention: str) -> None:
    def mine(I_f: np.ndarray, I_a: np.ndarray, I_b: np.ndarray) -> dict[str, float]:
        small = min(I_f.shape) < 176
        given = {"MS-SSIM": math.nan} if small else {}  # is not looked at
        names = [name for name in FURTHER if not (small and name == "MS-SSIM")]
        return given | measure(I_f, I_a, I_b, convention, metrics=names).values

    worst = deviations(mine, convention)
    assert set(worst) == set(FURTHER)
    assert max(worst.values()) < 1e-9
    assert deviations(lambda F, A, B: {"MS-SSIM": 0.9}, convention)["MS-SSIM"] > 0.1


@pytest.mark.parametrize("fusion", ["mean", "max"])
def test_real_pairs(real_data: Path, fusion: str) -> None:
    folder = real_data / "golden"
    pair = json.loads((folder / "golden.json").read_text())["pairs"]["TNO_07"]  # the smallest
    A, B = (np.asarray(Image.open(folder / pair[role])) for role in ("ir", "vi"))
    F = np.maximum(A, B) if fusion == "max" else ((A.astype(int) + B + 1) // 2).astype(np.uint8)
    theirs = further_metrics(F, A, B)
    assert set(theirs) == set(FURTHER)
    assert measure(F, A, B, metrics=FURTHER).values == pytest.approx(theirs, rel=1e-9, abs=1e-9)


def test_which_way_is_better() -> None:
    assert {name for name, row in TABLE.items() if not row.higher_is_better} == LOWER_IS_BETTER
    F, A, B = noise(180, 180)
    mean, far = measure(F, A, B, metrics="all").values, measure(255 - F, A, B, metrics="all").values
    assert mean["MSE"] < far["MSE"]
    assert all(mean[name] > far[name] for name in ("PSNR", "CC", "MS-SSIM"))


def test_a_perfect_copy() -> None:
    _, A, _ = noise(180, 190)
    values = measure(A, A, A, metrics=FURTHER).values
    assert values["MI"] == pytest.approx(2 * entropy(A))
    assert values["CC"] == pytest.approx(1.0)
    assert values["MS-SSIM"] == pytest.approx(1.0)
    assert (values["MSE"], values["Nabf"], values["FMI"]) == (0.0, 0.0, 1.0)
    assert math.isnan(values["PSNR"])


@pytest.mark.parametrize("metric", [name for name in FURTHER if TABLE[name].sources])
def test_the_sources_have_equal_rights(metric: str) -> None:
    F, A, B = made_up(180, 190)
    once, exchanged = (measure(F, *sources, metrics=[metric]).values[metric] for sources in ((A, B), (B, A)))
    assert once == pytest.approx(exchanged, rel=1e-12)
    turned = measure(F.T, A.T, B.T, metrics=[metric]).values[metric]
    if metric in ("FMI", "Nabf"):  # windows are taken column by column; no edge counts as one along x
        assert turned == pytest.approx(once, abs=0.02)
    else:
        assert turned == pytest.approx(once, rel=1e-12)


def test_of_the_fused_image_by_hand() -> None:
    half = np.zeros((6, 8))
    half[:, 4:] = 255
    assert standard_deviation(half) == 127.5
    assert standard_deviation(np.array([[1, 3], [5, 7]])) == pytest.approx(math.sqrt(5))
    y, x = np.mgrid[:20, :30]
    ramp = 3 * x + 4 * y
    assert average_gradient(ramp) == pytest.approx(5 / math.sqrt(2))  # the border's whole steps too
    assert edge_intensity(ramp[1:-1, 1:-1]) < 40
    s_x, s_y = sobel(ramp.astype(float))
    assert set(np.hypot(s_x, s_y).ravel().round(9)) == {40.0}  # 8 times the slope
    checkerboard = 255 * ((x + y) % 2)
    assert average_gradient(checkerboard) == pytest.approx(_border_share(20, 30))
    with_frame, without = edge_intensity(half + 0, border="zero"), edge_intensity(half)
    assert without == pytest.approx(2 * 1020 / 8)
    assert with_frame > without


def _border_share(height: int, width: int) -> float:
    """AG of the one-pixel checkerboard: slopes of 255 on the border lines, none inside."""
    sides, corners = 2 * (height - 2) + 2 * (width - 2), 4
    return (sides * 255 / math.sqrt(2) + corners * 255) / (height * width)


def test_mutual_information_by_hand() -> None:
    _, A, B = noise(64, 64)
    assert mutual_information(255 - A, A, A) == pytest.approx(2 * entropy(A))  # the negative tells as much
    assert mutual_information(A, A, np.full_like(A, 9)) == pytest.approx(entropy(A))
    assert mutual_information(A, A, B, unit="nats") == pytest.approx(
        mutual_information(A, A, B) * math.log(2)
    )
    two = np.array([[0, 0], [255, 255]])
    assert mutual_information(two, two, two.T) == pytest.approx(1.0)  # one bit, and independent of the other
    assert mutual_information(two * 0.9 + [0.4, 0.1], two, two.T) == 1.0  # whole levels


def test_errors_by_hand() -> None:
    F, A, B = (np.full((5, 6), level) for level in (10, 13, 14))
    assert mse(F, A, B) == 12.5
    assert mse(F, A, B, value_range=1.0) == pytest.approx(12.5 / 255**2)
    assert psnr(F, A, B) == pytest.approx(10 * math.log10(255**2 / 12.5))
    assert psnr(F, A, B, peak="white_squared") - psnr(F, A, B) == pytest.approx(48.1308, abs=1e-4)
    assert psnr(F, A, B, peak="brightest") == pytest.approx(10 * math.log10(10**2 / 12.5))
    _, A, B = noise(40, 40)
    mean = (A.astype(float) + B) / 2
    assert mse(mean, A, B) == pytest.approx(np.mean((A.astype(float) - B) ** 2) / 4)
    assert mse(np.maximum(A, B), A, B) == pytest.approx(2 * mse(mean, A, B))


def test_correlation_is_blind_to_gain_and_offset() -> None:
    F, A, B = (image / 2.0 for image in noise(40, 50))
    value = correlation_coefficient(F, A, B)
    assert correlation_coefficient(0.7 * F + 30, A, 0.5 * B + 11) == pytest.approx(value)
    assert correlation_coefficient(200 - F, A, B) == pytest.approx(-value)


def test_artifacts_are_edges_that_no_source_has() -> None:
    flat = np.full((40, 50), 100, np.uint8)
    step = flat.copy()
    step[:, 25:] = 180
    assert nabf(step, step, flat) == nabf(flat, step, step) == 0.0  # kept, or lost: not made up
    assert nabf(step, flat, flat) > 0
    lost = nabf(step, flat, flat)  # two columns of 50 have an edge; all weights are 0.001
    unlike = 1 / (1 + math.exp(9.5))
    alike = {turned: 1 / (1 + math.exp(-22 * (turned - 0.5))) for turned in (0.0, 1.0)}
    assert lost == pytest.approx(2 / 50 * (1 - math.sqrt(0.9999 * 0.9995 * unlike * alike[0.0])))
    strong, weak = np.array(made_up(60, 70)), np.array(made_up(60, 70)) // 60
    assert nabf(*strong) != pytest.approx(nabf(*strong, faint=0.0), rel=1e-6)
    with pytest.warns(UndefinedMetricWarning, match="neither source has an edge of strength 2"):
        assert math.isnan(nabf(weak[0], weak[1] * 0, weak[2] * 0, faint=0.0))


@pytest.mark.parametrize("name", ["noise", "flat areas"])
def test_ms_ssim_against_piq(name: str) -> None:
    F, A, _ = noise(192, 208, 7) if name == "noise" else flat_areas(192, 176)
    x, y = (torch.from_numpy(image).double()[None, None] for image in (F, A))
    single = ms_ssim(F, A, A)
    assert single == pytest.approx(piq.multi_scale_ssim(x, y, data_range=255.0).item(), abs=1e-9)
    assert ms_ssim(F, A, A, reduce="sum") == pytest.approx(2 * single)


def test_ms_ssim_of_unlike_images_is_zero_and_never_imaginary() -> None:
    F, _, _ = noise(176, 180)
    assert structural_similarity(F, 255 - F) < 0
    assert ms_ssim(F, 255 - F, 255 - F) == 0.0


def test_edge_maps() -> None:
    for F, A, _ in CASES.values():
        for image in (F, A):
            np.testing.assert_array_equal(edge_map(image.astype(float)), edges(image.astype(float)))
    step = np.zeros((12, 15))
    step[:, 7:] = 90
    assert edge_map(step).sum(0).tolist() == [0] * 7 + [12] + [0] * 7  # thin: one of the two columns
    assert not edge_map(np.full((5, 5), 0.1)).any()


def test_feature_information_is_of_edges_only() -> None:
    F, A, B = made_up(60, 70)
    assert fmi(F // 2, A // 2, B // 2) == pytest.approx(fmi(F // 2 + 50, A // 2 + 9, B // 2 + 90))
    assert fmi(F / 2, A, B) == pytest.approx(fmi(F, A, B))  # a gain changes no edge map
    assert 0.5 < fmi(B, A, B) < 1


CONSTANT = np.full((180, 190), 90, np.uint8)


@pytest.mark.parametrize(
    ("function", "images", "reason"),
    [
        (correlation_coefficient, (CONSTANT, *noise(180, 190)[1:]), "the fused image is constant"),
        (correlation_coefficient, (*noise(180, 190)[:2], CONSTANT), "the visible image is constant"),
        (psnr, (CONSTANT, CONSTANT, CONSTANT), "the fused image equals both sources"),
    ],
)
def test_undefined_values_warn(function: Callable[..., float], images: Triple, reason: str) -> None:
    with pytest.warns(UndefinedMetricWarning, match=reason) as caught:
        assert math.isnan(function(*images))
    assert caught[0].filename == __file__


def test_a_black_image_has_no_brightest_pixel() -> None:
    _, A, B = noise(20, 20)
    with pytest.warns(UndefinedMetricWarning, match="the fused image is black"):
        assert math.isnan(psnr(np.zeros_like(A), A, B, convention="cddfuse"))
    assert psnr(np.zeros_like(A), A, B) > 0


def test_constant_images() -> None:
    _, A, B = noise(180, 190)
    measured = measure(CONSTANT, CONSTANT, CONSTANT, metrics=FURTHER)
    assert set(measured.undefined) == {"CC", "PSNR"}
    assert measured.values["FMI"] == measured.values["MS-SSIM"] == pytest.approx(1.0)
    zero = ("SD", "AG", "EI", "MI", "MSE", "Nabf")
    assert [measured.values[name] for name in zero] == [0.0] * len(zero)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        flat = measure(CONSTANT, A, B, metrics=FURTHER)
    assert set(flat.undefined) == {"CC"}
    assert [flat.values[name] for name in ("SD", "AG", "EI", "MI", "Nabf")] == [0.0] * 5


def test_conventions_give_what_their_evaluators_give() -> None:
    F, A, B = CASES["smallest for all"]
    paper, cddfuse, zoo = (measure(F, A, B, name, metrics=FURTHER).values for name in CONVENTIONS)
    same = {name for name in FURTHER if paper[name] == cddfuse[name] == zoo[name]}
    assert same == {"SD", "AG", "CC", "FMI"}
    assert zoo["PSNR"] - paper["PSNR"] == pytest.approx(20 * math.log10(255))
    assert zoo["MSE"] * 255**2 == pytest.approx(paper["MSE"])
    assert cddfuse["MI"] == pytest.approx(paper["MI"] * math.log(2))
    assert cddfuse["PSNR"] == psnr(F, A, B, peak="brightest") < paper["PSNR"]
    assert zoo["Nabf"] == nabf(F, A, B, faint=0.0)
    assert zoo["EI"] == edge_intensity(F, border="zero")
