"""Finding image files, and writing files whole or not at all. No torch here: commands parse without it."""

from __future__ import annotations

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


def write_text(path: Path, text: str) -> None:
    """Write a text file: the whole file appears, or none. Missing folders are made."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file: the whole file appears, or none. Missing folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.part")
    try:
        scratch.write_bytes(content)
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)
