"""Finding image files, and writing files whole or not at all. No torch here: commands parse without it."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tdfusion.errors import InputError

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".pgm", ".ppm", ".webp")
VIDEO_SUFFIXES = (".mp4", ".mkv", ".avi", ".mov", ".webm", ".m4v", ".mpg", ".mpeg", ".ts")


def list_images(folder: Path) -> list[Path]:
    """Image files directly inside ``folder``, by name; hidden files are left out.

    Raises:
        InputError: the folder does not exist or holds no image.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder")
    files = sorted(
        p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES and not p.name.startswith(".")
    )
    if not files:
        raise InputError(f"{folder}: no image in it (looked for {', '.join(IMAGE_SUFFIXES)})")
    return files


def images_by_stem(folder: Path) -> dict[str, Path]:
    """The images of a folder by stem, in order of name.

    Raises:
        InputError: as `list_images`, or two images share a stem.
    """
    found: dict[str, Path] = {}
    for path in list_images(folder):
        if path.stem in found:
            raise InputError(f"{path} and {found[path.stem].name} have the same stem; keep one of them")
        found[path.stem] = path
    return found


@contextmanager
def whole_file(path: Path, durable: bool = False) -> Iterator[Path]:
    """A path to write to, which becomes ``path`` when the block ends well: the whole file appears, or none.

    It lies beside the file and keeps its suffix, since PIL and numpy look at it. Missing folders are made; an
    error leaves what was there before.

    Args:
        path: the file.
        durable: the content reaches the disk before the name does, so that not even a power cut leaves half.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{os.getpid()}-{threading.get_ident()}.part.{path.name}")
    try:
        yield part
        if durable:
            with part.open("rb+") as stream:
                os.fsync(stream.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file (UTF-8): the whole file appears, or none. Missing folders are made."""
    with whole_file(path) as part:
        part.write_text(text, "utf-8")
