"""What an image file holds, before a range is chosen: numbers, their kind, and what was done to read them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from tdfusion.errors import InputError

MOST_MISSING = 0.01  # share of pixels without a value that is still filled from the neighbours
_ORIENTATION = 0x0112  # EXIF
_SUBFILE, _WHITE_IS, _SIGN = 254, 262, 339  # TIFF tags: kind of page, photometric, sample format


@dataclass(frozen=True)
class Stored:
    """One image as stored, upright, every pixel finite.

    Attributes:
        values: (H, W), or (H, W, 3) uint8; uint8, uint16, integer of 32 bits, or float32.
        kind: ``"8-bit"``, ``"16-bit"``, ``"16-bit signed"``, ``"32-bit"``, ``"float"``, or ``"N-bit"`` where the
            file says that its samples end at 2**N - 1.
        top: where the full range of that kind ends; it begins at 0.
        name: the file, and the frame of a video, for messages.
        notes: what was done to read it, in words.
    """

    values: np.ndarray
    kind: str
    top: float
    name: str
    notes: tuple[str, ...] = ()

    @property
    def colour(self) -> bool:
        """True where it has three channels that differ."""
        return self.values.ndim == 3 and not (self.values == self.values[..., :1]).all()


def open_stored(path: str | Path, page: int | None = None) -> Stored:
    """Read an image file as it is stored. EXIF orientation is applied, palettes are expanded, alpha is dropped.

    Args:
        path: PNG, JPEG, TIFF, PGM or another format that Pillow reads.
        page: which page (from 1) of a file that holds several of one size; other files have but one.

    Raises:
        InputError: the file is missing, empty, cut short, too large or not an image; it holds several pages
            and none is chosen; its samples cannot be read whole; or over 1 % of its pixels have no value.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        with Image.open(path) as image:
            _choose_page(path, image, page)
            _refuse_odd_samples(path, image)
            coding = _coding(image)
            image.load()
            return _stored(path, image, coding)
    except InputError:
        raise
    except Image.DecompressionBombError as error:
        raise InputError(f"{path}: too many pixels to be read ({error}); make it smaller first") from error
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        hint = ""
        if isinstance(error, UnidentifiedImageError) and path.suffix.lower() in (".tif", ".tiff"):
            hint = "; floats of 16 or 64 bits cannot be read: save them with 32"
        raise InputError(f"{path}: cannot be read as an image ({error}){hint}") from error


def upright_size(path: Path) -> tuple[int, int]:
    """(width, height) of an image file after its EXIF orientation, from its header alone.

    Raises:
        InputError: not an image.
    """
    try:
        with Image.open(path) as image:
            # Asking a PNG for its EXIF would decode it; cameras do not write PNG.
            turned = image.format != "PNG" and image.getexif().get(_ORIENTATION, 1) >= 5
            return image.size[::-1] if turned else image.size
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as an image ({error})") from error


def _choose_page(path: Path, image: Image.Image, page: int | None) -> None:
    """Seek the page asked for; previews (pages of another size, the second picture of a phone) are none."""
    count = 1 if image.format == "MPO" else getattr(image, "n_frames", 1)
    if count == 1:
        return
    size, pages = image.size, []
    for index in range(count):
        image.seek(index)
        reduced = image.format == "TIFF" and image.tag_v2.get(_SUBFILE, 0) & 1
        if image.size == size and not reduced:
            pages.append(index)
    if len(pages) > 1 and page is None:
        raise InputError(f"{path}: holds {len(pages)} pages; say which one is meant: --page 1 for the first")
    if len(pages) > 1 and not 1 <= page <= len(pages):
        raise InputError(f"{path}: holds {len(pages)} pages, so there is no --page {page}")
    image.seek(pages[page - 1] if len(pages) > 1 else pages[0])


def _refuse_odd_samples(path: Path, image: Image.Image) -> None:
    """Kinds of TIFF that Pillow would read with another sign or upside down in brightness."""
    if image.format != "TIFF":
        return
    deep = image.mode.startswith(("I", "F"))
    if deep and image.tag_v2.get(_WHITE_IS) == 0:
        raise InputError(f"{path}: its zero means white (TIFF tag 262 is 0); save it with zero as black")
    if not deep and 2 in np.atleast_1d(image.tag_v2.get(_SIGN, 1)):
        raise InputError(f"{path}: signed 8-bit samples cannot be read; save them with 16 bits")


def _coding(image: Image.Image) -> str:
    """Pillow's name for how the samples lie in the file, as ``RGB;16B``; known before they are decoded."""
    if not image.tile:
        return ""
    arguments = image.tile[0].args
    raw, *rest = (arguments,) if isinstance(arguments, str) else arguments or ("",)
    return f"{raw};16" if image.format == "PPM" and rest == [65535] else str(raw)


def _stored(path: Path, image: Image.Image, coding: str) -> Stored:
    notes = []
    if image.getexif().get(_ORIENTATION, 1) not in (0, 1):
        image = ImageOps.exif_transpose(image)
        notes.append("turned upright by its EXIF orientation")
    if image.mode.startswith(("I", "F")):
        values, kind, top = _deep(path, image, coding)
        if kind == "float":
            values, filled = fill_missing(values, str(path))
            notes += [filled] if filled else []
        return Stored(values, kind, top, str(path), tuple(notes))
    if image.mode in ("LA", "La", "RGBA", "RGBa", "PA") or "transparency" in image.info:
        notes.append("alpha dropped")
    gray = image.mode in ("1", "L", "LA", "La")
    values = np.asarray(image.convert("L" if gray else "RGB"))  # (H, W) or (H, W, 3) uint8
    if ";16" in coding:  # 16 bits a channel in colour: Pillow keeps the upper 8
        if int(values.max()) - int(values.min()) < 128:
            raise InputError(
                f"{path}: colour of 16 bits a channel, of which only the upper 8 can be read, and those hold "
                f"{values.min()} to {values.max()} of 255; save infrared as 16-bit gray, colour with 8 bits"
            )
        notes.append("the upper 8 of 16 bits a channel taken")
    return Stored(values, "8-bit", 255.0, str(path), tuple(notes))


def _deep(path: Path, image: Image.Image, coding: str) -> tuple[np.ndarray, str, float]:
    """Values, kind and top of an image with more than 8 bits."""
    values = np.asarray(image)
    if image.mode == "F":
        return values.astype(np.float32), "float", 1.0
    if image.mode.startswith("I;16"):
        return values.astype(np.uint16), "16-bit", 65535.0
    if "I;16" in coding and "S" in coding:
        return values, "16-bit signed", 32767.0
    if image.format == "PPM":
        top = _pgm_top(path)  # Pillow stretches samples that end at top to 65535
        values = np.rint(values * (top / 65535.0)).astype(np.uint16)
        return values, f"{top.bit_length()}-bit", float(top)
    unsigned = "I;32" in coding and "S" not in coding
    return (values.view(np.uint32) if unsigned else values), "32-bit", 65535.0


def _pgm_top(path: Path) -> int:
    """The largest sample that a PGM file announces, the third number of its header."""
    words: list[bytes] = []
    with path.open("rb") as stream:
        while len(words) < 4:
            words += stream.readline().split(b"#")[0].split()
    return int(words[3])


def fill_missing(values: np.ndarray, name: str) -> tuple[np.ndarray, str]:
    """Pixels that are NaN or infinite take the value of the nearest pixel that has one; says how many did.

    Raises:
        InputError: more than 1 % of the pixels have no value.
    """
    missing = ~np.isfinite(values)  # (H, W)
    count = int(missing.sum())
    if not count:
        return values, ""
    if count > MOST_MISSING * values.size:
        raise InputError(
            f"{name}: {count} of {values.size} pixels have no value (NaN or infinite); crop or fill them first"
        )
    from scipy.ndimage import distance_transform_edt  # here: few files need it

    nearest = distance_transform_edt(missing, return_distances=False, return_indices=True)  # (2, H, W)
    return values[tuple(nearest)], "pixels without a value filled from their neighbours"
