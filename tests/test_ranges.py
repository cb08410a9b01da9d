"""Infrared files of every kind keep the contrast of their scene, or are refused by name and option."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from replicas import write_replica
from scipy.ndimage import binary_dilation

from tdfusion.data import open_dataset
from tdfusion.data.filepairs import FilePair, Taken, read_pair_files
from tdfusion.data.images import read_gray, read_image, write_png
from tdfusion.data.ranges import Levels, Range, Span, choose_span, describe, join, levels, scale
from tdfusion.data.stored import Stored, fill_missing, open_stored
from tdfusion.data.synthroad.scenes import SynthRoad
from tdfusion.errors import InputError
from tdfusion.evaluate import evaluate_folder

tifffile = pytest.importorskip("tifffile")


@pytest.fixture(scope="module")
def scene() -> np.ndarray:
    """The infrared image of a scene, (120, 160) in [0, 1]."""
    return SynthRoad("test", 8, (120, 160), seed=2)[1].ir[0].numpy().astype(np.float64)


def contrast(image: np.ndarray, scene: np.ndarray) -> float:
    """Hot spot (the scene's hottest 2 %) minus its surround (3 to 8 pixels around it)."""
    hot = scene >= np.quantile(scene, 0.98)
    ring = binary_dilation(hot, iterations=8) & ~binary_dilation(hot, iterations=3)
    return float(image[hot].mean() - image[ring].mean())


def counts(scene: np.ndarray, low: float, high: float) -> np.ndarray:
    return np.rint(low + (high - low) * scene)


def png16(path: Path, values: np.ndarray, colour_type: int) -> None:
    """A PNG of 16 bits a channel, (H, W, C); Pillow cannot write colour of that depth."""
    chunk = lambda name, data: (  # noqa: E731
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
    )
    head = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], 16, colour_type, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)


def write_kind(kind: str, path: Path, scene: np.ndarray) -> None:
    gray = np.rint(scene * 255).astype(np.uint8)
    centikelvin = counts(scene, 29786, 30605)
    if kind.startswith("8-bit palette"):
        image = Image.fromarray(gray, "L").convert("P", palette=Image.Palette.ADAPTIVE)
        image.save(path)
    elif kind.startswith("RGB"):
        Image.fromarray(np.stack([gray] * 3, -1)).save(path)
    elif kind.startswith("8-bit"):
        Image.fromarray(gray).save(path)
    elif "colour" in kind:
        png16(path, np.stack([centikelvin if "centikelvin" in kind else scene * 65535] * 3, -1), 2)
    elif "PGM" in kind:
        top = 16383 if "14-bit" in kind else 65535
        values = counts(scene, 2900, 3900) if top == 16383 else centikelvin
        path.write_bytes(b"P5\n# a camera\n160 120\n%d\n" % top + values.astype(">u2").tobytes())
    elif "border" in kind:
        framed = centikelvin.copy()
        framed[:, -16:] = 0
        tifffile.imwrite(path, framed.astype(np.uint16))
    else:
        arrays = {
            "16-bit stretched PNG": (scene * 65535).astype(np.uint16),
            "16-bit TIFF centikelvin": centikelvin.astype(np.uint16),
            "16-bit TIFF 14-bit counts": counts(scene, 7200, 8900).astype(np.uint16),
            "16-bit PNG 14-bit": counts(scene, 0, 16383).astype(np.uint16),
            "float TIFF kelvin": (centikelvin / 100).astype(np.float32),
            "float TIFF Celsius": (scene * 30 - 12).astype(np.float32),
            "float TIFF in [0, 1]": scene.astype(np.float32),
            "multi-page TIFF": np.stack([centikelvin] * 3).astype(np.uint16),
            "big-endian 16-bit TIFF": centikelvin.astype(np.uint16),
            "signed 16-bit TIFF": counts(scene, -1200, 1800).astype(np.int16),
            "32-bit TIFF": centikelvin.astype(np.int32),
            "unsigned 32-bit TIFF": counts(scene, 2**31, 2**31 + 5000).astype(np.uint32),
            "double TIFF": centikelvin / 100,
        }
        if path.suffix == ".png":
            Image.fromarray(arrays[kind]).save(path)
        else:
            order = ">" if kind.startswith("big-endian") else "<"
            tifffile.imwrite(path, arrays[kind], byteorder=order, photometric="minisblack")


KINDS = {
    "8-bit PNG": ".png",
    "8-bit JPEG": ".jpg",
    "8-bit palette PNG": ".png",
    "RGB gray PNG": ".png",
    "16-bit stretched PNG": ".png",
    "16-bit TIFF centikelvin": ".tif",
    "16-bit TIFF centikelvin with a black border": ".tif",
    "16-bit TIFF 14-bit counts": ".tif",
    "16-bit PNG 14-bit": ".png",
    "16-bit colour PNG stretched": ".png",
    "float TIFF kelvin": ".tif",
    "float TIFF Celsius": ".tif",
    "float TIFF in [0, 1]": ".tif",
    "big-endian 16-bit TIFF": ".tif",
    "PGM 16-bit centikelvin": ".pgm",
    "PGM 14-bit": ".pgm",
    "signed 16-bit TIFF": ".tif",
    "32-bit TIFF": ".tif",
    "unsigned 32-bit TIFF": ".tif",
}
REFUSED = {
    "multi-page TIFF": (".tif", "holds 3 pages; say which one is meant: --page 1"),
    "16-bit colour PNG centikelvin": (".png", "save infrared as 16-bit gray"),
    "double TIFF": (".tif", "floats of 16 or 64 bits cannot be read: save them with 32"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_keeps_nine_tenths_of_the_contrast(kind: str, scene: np.ndarray, tmp_path: Path) -> None:
    write_kind(kind, path := tmp_path / f"thermal{KINDS[kind]}", scene)
    keep = np.s_[:, :-16] if "border" in kind else np.s_[:, :]
    wanted = contrast((np.rint(scene * 255) / 255)[keep], scene[keep])
    seen = contrast(read_gray(path)[0].numpy()[keep], scene[keep])
    assert wanted > 0.2, "the scene has no hot spot to lose"
    assert seen >= 0.9 * wanted


def test_divided_by_the_types_largest_value_radiometric_files_would_be_flat(scene, tmp_path) -> None:
    write_kind("16-bit TIFF centikelvin", tmp_path / "t.tif", scene)
    assert contrast(read_gray(tmp_path / "t.tif", "full")[0].numpy(), scene) < 0.02


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_read_whole_is_refused_by_name_and_remedy(kind: str, scene, tmp_path) -> None:
    suffix, words = REFUSED[kind]
    write_kind(kind, tmp_path / f"thermal{suffix}", scene)
    with pytest.raises(InputError, match=f"thermal{suffix}: .*{words}"):
        read_gray(tmp_path / f"thermal{suffix}")


def test_a_page_can_be_chosen_and_previews_are_none(scene, tmp_path) -> None:
    pages = np.stack([counts(scene, 29786 + 100 * n, 30605 + 100 * n) for n in range(3)]).astype(np.uint16)
    tifffile.imwrite(tmp_path / "t.tif", pages, photometric="minisblack")
    assert np.array_equal(open_stored(tmp_path / "t.tif", page=2).values, pages[1])
    with pytest.raises(InputError, match="holds 3 pages, so there is no --page 4"):
        open_stored(tmp_path / "t.tif", page=4)
    with tifffile.TiffWriter(tmp_path / "p.tif") as tif:
        tif.write(pages[0], photometric="minisblack")
        tif.write(pages[0, ::4, ::4], photometric="minisblack", subfiletype=1)
    assert np.array_equal(open_stored(tmp_path / "p.tif").values, pages[0])


def test_eight_bits_are_what_they_were(tmp_path) -> None:
    """Bit for bit what dividing by 255 gives: no stored result moves."""
    rng = np.random.default_rng(0)
    for shape in ((9, 7), (9, 7, 3)):
        values = rng.integers(90, 120, shape, dtype=np.uint8)
        Image.fromarray(values).save(tmp_path / "x.png")
        expected = torch.from_numpy(values.astype(np.float32) / 255.0)
        found = read_image(tmp_path / "x.png")
        assert torch.equal(found, expected[None] if expected.ndim == 2 else expected.permute(2, 0, 1))


def stored(values: np.ndarray, kind: str = "16-bit", top: float = 65535.0) -> Stored:
    return Stored(np.asarray(values), kind, top, "x.tif")


def test_percentiles_are_numpys() -> None:
    values = np.random.default_rng(1).integers(20000, 31000, (40, 50)).astype(np.uint16)
    span = choose_span(levels(stored(values)), "percentile")
    low, high = np.percentile(values, [0.5, 99.5])
    assert (span.low, span.high) == (low, high)
    expected = np.clip((values - low) / (high - low), 0, 1)
    np.testing.assert_allclose(scale(values, span), expected, atol=1e-6)


def found(low: float, high: float, robust: tuple[float, float], kind="16-bit", top=65535.0) -> Levels:
    return Levels("x.tif", kind, top, low, high, robust)


@pytest.mark.parametrize(
    ("levels_found", "rule"),
    [
        (found(100, 110, (101, 109), "8-bit", 255.0), "full"),  # 8 bits always
        (found(0, 65535, (1000, 1000 + 32768), top=65535.0), "full"),  # just over half
        (found(0, 65535, (1000, 1000 + 32767), top=65535.0), "percentile"),  # just under half
        (found(0, 16383, (0, 16383)), "percentile"),
        (found(0, 1, (0.1, 0.61), "float", 1.0), "full"),
        (found(0, 1, (0.1, 0.6), "float", 1.0), "percentile"),
        (found(0, 1.001, (0.1, 0.9), "float", 1.0), "percentile"),  # one value beyond the range
        (found(-0.001, 1, (0.1, 0.9), "float", 1.0), "percentile"),
        (found(0, 30000, (500, 500)), "minmax"),  # a hot spot of less than half a percent
        (found(7, 7, (7, 7)), "minmax"),
    ],
)
def test_the_automatic_rule_at_its_borders(levels_found: Levels, rule: str) -> None:
    assert choose_span(levels_found).rule == rule


def test_a_border_of_zeros_stays_out_of_the_percentiles_but_a_dark_ground_does_not() -> None:
    rng = np.random.default_rng(2)
    values = rng.integers(29786, 30605, (50, 50)).astype(np.uint16)
    bordered = np.pad(values, 9)
    assert levels(stored(bordered)).robust == levels(stored(values)).robust
    dark = rng.integers(0, 900, (50, 50)).astype(np.uint16)
    assert levels(stored(dark)).robust == tuple(np.percentile(dark, [0.5, 99.5]))
    celsius = np.where(np.pad(np.ones((50, 50)), 9) > 0, np.pad(values / 100.0 - 280, 9), -9999)
    assert levels(stored(celsius.astype(np.float32), "float", 1.0)).robust[0] > 17


def test_dead_pixels_take_their_neighbours_value_and_many_are_refused(tmp_path) -> None:
    values = np.full((20, 20), 290.0, np.float32)
    values[5, 5], values[5, 6], values[15, 15] = np.nan, 300.0, np.inf
    tifffile.imwrite(tmp_path / "t.tif", values)
    whole = open_stored(tmp_path / "t.tif")
    assert np.isfinite(whole.values).all() and whole.values[15, 15] == 290
    assert whole.notes == ("pixels without a value filled from their neighbours",)
    values[:3] = np.nan
    with pytest.raises(InputError, match=r"t: 62 of 400 pixels have no value .*crop or fill them"):
        fill_missing(values, "t")


@pytest.mark.parametrize("asked", ["auto", "full", "minmax", "percentile"])
def test_a_constant_image_is_no_error(asked: str, tmp_path) -> None:
    tifffile.imwrite(tmp_path / "t.tif", np.full((9, 9), 30000, np.uint16))
    image = read_gray(tmp_path / "t.tif", asked)
    assert torch.isfinite(image).all() and image.min() == image.max()


def test_a_given_range_is_in_the_files_own_units(scene, tmp_path) -> None:
    write_kind("PGM 14-bit", tmp_path / "t.pgm", scene)
    raw = counts(scene, 2900, 3900)
    expected = np.clip((raw - 3000) / 500, 0, 1)
    np.testing.assert_allclose(read_gray(tmp_path / "t.pgm", "3000,3500")[0], expected, atol=1e-6)
    with pytest.raises(InputError, match=r"t\.pgm: its values .* lie outside the range 0,100 .*--ir-range"):
        read_gray(tmp_path / "t.pgm", "0,100")


@pytest.mark.parametrize("text", ["wide", "5", "5,4", "1,2,3", "nan,3", ""])
def test_other_ranges_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="range"):
        Range.parse(text)


def test_full_is_refused_where_values_lie_beyond_it(scene, tmp_path) -> None:
    write_kind("float TIFF kelvin", tmp_path / "t.tif", scene)
    with pytest.raises(InputError, match=r"t\.tif: float values .*not within 0 to 1.*--ir-range"):
        read_gray(tmp_path / "t.tif", "full")


def test_one_range_over_many_is_the_widest_and_needs_one_kind() -> None:
    a, b = found(10, 900, (20, 800)), found(5, 700, (30, 650))
    both = join([a, b])
    assert (both.low, both.high, both.robust, both.images) == (5, 900, (20, 800), 2)
    with pytest.raises(InputError, match="one range over all of them needs one kind of file"):
        join([a, found(0, 255, (0, 255), "8-bit", 255.0)])


def test_the_sentence_says_what_was_taken() -> None:
    one = found(29786, 30605, (29790, 30590))
    assert describe("infrared", [(one, choose_span(one))]) == [
        "infrared: 16-bit, 29786 to 30605 of 0 to 65535 used; stretched by percentiles 0.5 to 99.5: 29790 to 30590"
    ]
    other, byte = found(29700, 30700, (29710, 30690)), found(3, 250, (5, 240), "8-bit", 255.0)
    assert describe("infrared", [(x, choose_span(x)) for x in (one, other, byte)]) == [
        "infrared: 2 of 3 images, 16-bit, 29700 to 30700 of 0 to 65535 used; "
        "each stretched by percentiles 0.5 to 99.5: (29710 ... 29790) to (30590 ... 30690)",
        "infrared: 1 of 3 images, 8-bit, 3 to 250 of 0 to 255 used; taken as it is",
    ]
    flat = found(100, 110, (101, 109), "8-bit", 255.0)
    assert (
        "low contrast; --ir-range percentile stretches it"
        in describe("infrared", [(flat, choose_span(flat))])[0]
    )
    assert describe("infrared", [(found(7, 7, (7, 7)), Span(7, 7, "minmax"))])[0].endswith(
        "nothing to stretch"
    )


def test_false_colours_are_said(tmp_path) -> None:
    colours = np.random.default_rng(0).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    Image.fromarray(colours).save(tmp_path / "ir.png")
    write_png(tmp_path / "vi.png", torch.rand(1, 9, 9))
    read_pair_files(
        FilePair(tmp_path / "ir.png", tmp_path / "vi.png", tmp_path / "f.png"), taken=(taken := Taken())
    )
    assert "in colour, of which the luma is taken" in taken.words()[1]


def test_evaluate_scores_against_the_infrared_image_that_was_fused(tmp_path) -> None:
    """Centikelvin and its 8-bit copy by the same percentiles have equal scores, row by row."""
    rng = np.random.default_rng(0)
    kelvin = rng.integers(29786, 30605, (2, 43, 50)).astype(np.uint16)
    for role in ("deep", "eight", "given", "vi", "fused"):
        (tmp_path / role).mkdir()
    for n in range(2):
        tifffile.imwrite(tmp_path / "deep" / f"{n}.tif", kelvin[n])
        write_png(tmp_path / "eight" / f"{n}.png", read_gray(tmp_path / "deep" / f"{n}.tif"))
        write_png(tmp_path / "given" / f"{n}.png", read_gray(tmp_path / "deep" / f"{n}.tif", "29000,31000"))
        for role in ("vi", "fused"):
            write_png(tmp_path / role / f"{n}.png", torch.rand(1, 43, 50))

    def rows(ir: str, **settings: str) -> list[dict[str, float]]:
        found = evaluate_folder(tmp_path / ir, tmp_path / "vi", tmp_path / "fused", workers=1, **settings)
        return [row.values for row in found.rows if row.method != "infrared"]

    assert rows("deep") == rows("eight")
    assert rows("deep", ir_range="29000,31000") == rows("given") != rows("eight")


def test_data_sets_read_deep_infrared_files_by_the_same_rule(tmp_path) -> None:
    replica = write_replica(tmp_path, "TNO")
    (scenes,) = replica.scenes.values()
    for scene in scenes.values():
        deep = (29786 + 3 * scene.ir.astype(int)).astype(np.uint16)
        Image.fromarray(deep).save(scene.files["ir"])
    for pair in open_dataset("TNO", replica.root):
        assert torch.equal(pair.ir, read_gray(scenes[pair.name].files["ir"])) and pair.ir.max() == 1
