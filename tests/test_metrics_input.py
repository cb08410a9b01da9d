"""What the metrics refuse, and what they say where a value is 0/0."""

from __future__ import annotations

import dataclasses
import inspect
import math
import subprocess
import sys
import warnings

import numpy as np
import pytest
import torch

from tdfusion.errors import InputError
from tdfusion.metrics import (
    CONVENTIONS,
    METRICS,
    TABLE,
    Convention,
    Metric,
    UndefinedMetricWarning,
    all_metrics,
    as_plane,
    edge_intensity,
    entropy,
    measure,
    mse,
    mutual_information,
    nabf,
    psnr,
    qabf,
    resolve,
    scd,
    smallest_side,
    spatial_frequency,
    ssim,
    vif,
)
from tdfusion.metrics.conformance import deviations

A = np.random.default_rng(0).integers(0, 256, (48, 56), dtype=np.uint8)
B = A[::-1].copy()
F = np.maximum(A, B)
HEAVY = ("torch", "torchmetrics", "scipy", "PIL", "pandas", "matplotlib", "tqdm")


def with_pixel(value: float) -> np.ndarray:
    image = F.astype(np.float64)
    image[3, 4] = value
    return image


REFUSED = {
    "three channels": (np.stack([F] * 3, -1), "shape 48x56x3"),
    "a batch": (torch.from_numpy(F)[None], "shape 1x48x56"),
    "NaN": (with_pixel(math.nan), "1 pixels that are NaN"),
    "infinity": (with_pixel(math.inf), "NaN or infinite"),
    "negative": (with_pixel(-1), "from -1"),
    "16 bit": (F.astype(np.uint16) * 257, "to 65535"),
    "too bright": (with_pixel(255.5), "to 255.5"),
    "unit scale": (F / 255.0, "multiply it by 255"),
    "unit scale, torch": (torch.from_numpy(F).half() / 255, "multiply it by 255"),
    "boolean": (F > 100, "type bool"),
    "boolean, torch": (torch.from_numpy(F) > 100, "type torch.bool"),
    "complex": (F + 1j, "complex"),
    "a list": (F.tolist(), "is a list"),
    "empty": (np.zeros((0, 5), np.uint8), "0x5 pixels"),
    "too small": (F[:40], "40x56 pixels, at least 41"),
    "other size": (F[:, :50], "48x50"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_bad_images_are_refused_by_name(what: str) -> None:
    image, message = REFUSED[what]
    with pytest.raises(InputError, match=message) as caught:
        all_metrics(image, A, B, name="00537D")
    assert str(caught.value).startswith("00537D: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("role", ["infrared", "visible"])
def test_the_message_names_the_source(role: str) -> None:
    bad = np.full(F.shape, np.nan)
    sources = (bad, B) if role == "infrared" else (A, bad)
    with pytest.raises(InputError, match=f"the {role} image"):
        all_metrics(F, *sources)


def test_each_metric_has_its_own_smallest_size() -> None:
    assert entropy(F[:1, :1]) == 0
    assert spatial_frequency(F[:2, :2]) > 0
    assert np.isfinite(scd(F[:2, :2], A[:2, :2], B[:2, :2] // 2))
    assert qabf(F[:3, :3], A[:3, :3], B[:3, :3]) > 0
    assert ssim(F[:7, :7], A[:7, :7], B[:7, :7]) < 1
    assert vif(F[:41, :41], A[:41, :41], B[:41, :41]) > 0
    with pytest.raises(InputError, match="at least 2"):
        spatial_frequency(F[:1])
    with pytest.raises(InputError, match="at least 3"):
        qabf(F[:2], A[:2], B[:2])
    with pytest.raises(InputError, match="at least 7"):
        ssim(F[:6], A[:6], B[:6])
    with pytest.raises(InputError, match="at least 11"):
        ssim(F[:10], A[:10], B[:10], convention="ivif_zoo")
    with pytest.raises(InputError, match="at least 41"):
        vif(F[:40], A[:40], B[:40])


@pytest.mark.parametrize("row", TABLE.values(), ids=TABLE)
@pytest.mark.parametrize("convention", CONVENTIONS)
def test_the_table_says_what_the_functions_do(row: Metric, convention: str) -> None:
    chosen = resolve(convention)
    side = row.side(chosen)
    settings = {"convention": chosen} if "convention" in inspect.signature(row.function).parameters else {}
    images = [np.tile(image, (4, 4)) for image in ((F, A, B) if row.sources else (F,))]
    smallest = [image[:side, :side] for image in images]
    value = row.function(*smallest, **settings)
    measured = measure(*smallest, *([None] * (3 - len(images))), convention, metrics=[row.name])
    assert measured.values == {row.name: value}
    assert smallest_side([row.name], convention) == side
    with pytest.raises(InputError, match=f"at least {side} a side" if side > 1 else "0x"):
        row.function(*(image[: side - 1] for image in smallest), **settings)


def test_some_metrics_only() -> None:
    assert measure(F, A, B, metrics=("SSIM", "EN")).values == {"SSIM": ssim(F, A, B), "EN": entropy(F)}
    assert smallest_side() == 41
    for metrics in (("EN", "LPIPS"), ()):
        with pytest.raises(InputError, match=r"no metric [^,]*; choose from EN, SF, .*, FMI, or all"):
            measure(F, A, B, metrics=metrics)


@pytest.mark.parametrize(
    ("wrong", "meant"), [("psnr", "PSNR"), ("ms_ssim", "MS-SSIM"), ("MSSIM", "MS-SSIM"), ("Qab/f", "Qabf")]
)
def test_the_nearest_name_is_suggested(wrong: str, meant: str) -> None:
    with pytest.raises(InputError, match=rf'no metric "{wrong}" \(did you mean "{meant}"\?\); choose'):
        measure(F, A, B, metrics=[wrong])


def test_all_is_the_whole_table() -> None:
    large = [np.tile(image, (4, 4)) for image in (F, A, B)]
    measured = measure(*large, metrics="all")
    assert measured == measure(*large, metrics=("all",)) == measure(*large, metrics=tuple(TABLE))
    assert tuple(measured.values) == tuple(TABLE)
    assert tuple(TABLE)[: len(METRICS)] == METRICS
    assert smallest_side("all") == 176
    with pytest.raises(InputError, match="at least 176 a side"):
        measure(F, A, B, metrics="all")


@pytest.mark.parametrize("module", ["tdfusion.metrics", "tdfusion.metrics.conformance"])
def test_importing_the_metrics_takes_numpy_alone(module: str) -> None:
    code = f"import sys, {module}; print([m for m in {HEAVY} if m in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (run.stdout, run.stderr) == ("[]\n", "")


def test_black_and_nearly_black_images_are_accepted() -> None:
    assert as_plane(np.zeros((3, 3))).max() == 0
    assert as_plane(np.eye(3, dtype=np.uint8)).max() == 1


def test_constant_images_give_nan_and_a_warning_that_names_them() -> None:
    flat = np.full(A.shape, 90, np.uint8)
    with pytest.warns(UndefinedMetricWarning) as caught:
        values = all_metrics(F, flat, flat, name="00012N")
    messages = [str(w.message) for w in caught]
    assert len(messages) == 3
    assert all(m.startswith("00012N: ") and "constant" in m for m in messages)
    assert {metric for metric in METRICS if math.isnan(values[metric])} == {"SCD", "VIF", "Qabf"}
    assert caught[0].filename == __file__  # the warning points at the caller


@pytest.mark.parametrize(
    ("function", "arguments", "reason"),
    [
        (scd, (A, A, B), "equals the infrared one up to a constant"),
        (scd, (B.astype(float) / 2 + 3.7, A, B / 2), "equals the visible one up to a constant"),
        (scd, (F, np.zeros_like(A), B), "the infrared image is constant"),
        (vif, (F, A, np.full_like(B, 255)), "the visible image is constant"),
        (qabf, (F, np.zeros_like(A), np.zeros_like(A)), "both sources are constant"),
    ],
)
def test_undefined_values_warn_alone(function: object, arguments: tuple, reason: str) -> None:
    with pytest.warns(UndefinedMetricWarning, match=reason) as caught:
        assert math.isnan(function(*arguments))
    assert caught[0].filename == __file__


def test_constant_fused_images_are_scored() -> None:
    flat = np.full(A.shape, 90, np.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        values = all_metrics(flat, A, B)
    assert values["EN"] == values["SF"] == 0
    assert values["VIF"] == pytest.approx(0, abs=1e-9)
    assert values["SCD"] < 0


def test_conventions_differ_where_they_say() -> None:
    assert CONVENTIONS["paper"].differences() == {}
    assert CONVENTIONS["paper"] == Convention()
    assert CONVENTIONS["cddfuse"].differences() == {
        "vif_reduce": ("mean", "sum"),
        "ssim_reduce": ("mean", "sum"),
        "ssim_range": (255.0, 2.0),
        "mi_unit": ("bits", "nats"),
        "psnr_peak": ("white", "brightest"),
    }
    of_two = CONVENTIONS["cddfuse"].differences(("EN", "MS-SSIM", "MI"))
    assert set(of_two) == {"ssim_reduce", "ssim_range", "mi_unit"}
    assert set(CONVENTIONS["ivif_zoo"].differences(("EN", "EI"))) == {"entropy_epsilon", "ei_border"}
    assert resolve("paper", vif_reduce="mean") is CONVENTIONS["paper"]
    assert resolve("paper", vif_reduce="sum").name == "paper with vif_reduce=sum"
    own = dataclasses.replace(CONVENTIONS["ivif_zoo"], name="mine", ssim_reduce="mean")
    assert all_metrics(F, A, B, own)["SSIM"] == pytest.approx(all_metrics(F, A, B, "ivif_zoo")["SSIM"] / 2)


@pytest.mark.parametrize(
    "call",
    [
        lambda: all_metrics(F, A, B, "papers"),
        lambda: vif(F, A, B, reduce="max"),
        lambda: ssim(F, A, B, window="gaussian11"),  # has no sample covariance
        lambda: ssim(F, A, B, data_range=0.0),
        lambda: psnr(F, A, B, peak="255"),
        lambda: mutual_information(F, A, B, unit="bit"),
        lambda: edge_intensity(F, border="mirror"),
        lambda: mse(F, A, B, value_range=0.0),
        lambda: nabf(F, A, B, faint=-0.001),
        lambda: deviations(lambda *_: {}, "papers"),
    ],
)
def test_unknown_choices_are_refused(call: object) -> None:
    with pytest.raises(InputError):
        call()
