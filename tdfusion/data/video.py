"""Frames out of video files and into them, by PyAV (the extra ``video``)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from tdfusion.data.stored import Stored
from tdfusion.errors import InputError

# Suffix to codec, pixel format of even and of odd sizes, and options. FFV1 loses nothing.
_CODECS = {
    ".mp4": ("libx264", "yuv420p", "yuv444p", {"crf": "14", "preset": "medium"}),
    ".mkv": ("ffv1", "bgr0", "bgr0", {}),
}


def _av() -> Any:
    try:
        import av
    except ImportError as error:
        raise InputError("video files need PyAV: pip install 'tdfusion[video]'") from error
    return av


def read_frames(path: str | Path) -> Iterator[Stored]:
    """The frames of a video in order: gray (H, W) of 8 to 16 bits as stored, or colour (H, W, 3) of 8 bits.

    Raises:
        InputError: missing, no video, damaged, or marked as turned.
    """
    av, path, number = _av(), Path(path), 0
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise InputError(f"{path}: no video in it")
            container.streams.video[0].thread_type = "AUTO"
            for frame in container.decode(video=0):
                number += 1
                if getattr(frame, "rotation", 0):
                    raise InputError(
                        f"{path}: marked as turned by {frame.rotation} degrees; write it upright first"
                    )
                yield _stored(frame, f"{path}, frame {number}")
    except (av.error.FFmpegError, OSError) as error:
        where = f" after frame {number}" if number else ""
        raise InputError(f"{path}: cannot be read as a video{where} ({error.strerror or error})") from error
    if not number:
        raise InputError(f"{path}: no frame in it")


def _stored(frame: Any, name: str) -> Stored:
    layout = frame.format.name
    if layout.startswith("gray") and layout not in ("gray", "gray8"):  # gray10le, gray16le, grayf32le ...
        values = frame.to_ndarray()
        if values.dtype.kind == "f":
            return Stored(values, "float", 1.0, name)
        bits = frame.format.components[0].bits
        return Stored(values, f"{bits}-bit", float(2**bits - 1), name)
    gray = layout in ("gray", "gray8")
    return Stored(frame.to_ndarray(format="gray" if gray else "rgb24"), "8-bit", 255.0, name)


@dataclass(frozen=True)
class VideoPair:
    """An infrared and a visible video of the same moments.

    Attributes:
        ir, vi: the files.
    """

    ir: Path
    vi: Path

    def __iter__(self) -> Iterator[tuple[Stored, Stored]]:
        """Frames of both, as long as both have one; see `check`."""
        yield from zip(read_frames(self.ir), read_frames(self.vi), strict=False)

    @property
    def rate(self) -> Fraction:
        """Frames per second.

        Raises:
            InputError: the two differ.
        """
        rates = [_rate(path) for path in (self.ir, self.vi)]
        if abs(rates[0] - rates[1]) > rates[0] / 100:
            raise InputError(
                f"{self.ir} has {float(rates[0]):g} frames a second but {self.vi} {float(rates[1]):g}; "
                "bring them to one rate first (ffmpeg -r)"
            )
        return rates[1]

    def check_counts(self) -> int:
        """How many frames both have, by decoding them.

        Raises:
            InputError: the two differ.
        """
        counts = [sum(1 for _ in read_frames(path)) for path in (self.ir, self.vi)]
        if counts[0] != counts[1]:
            raise InputError(
                f"{self.ir} has {counts[0]} frames but {self.vi} has {counts[1]}; cut them to the same moments first"
            )
        return counts[0]


def _rate(path: Path) -> Fraction:
    av = _av()
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise InputError(f"{path}: no video in it")
            return Fraction(container.streams.video[0].average_rate or 25)
    except (av.error.FFmpegError, OSError) as error:
        raise InputError(f"{path}: cannot be read as a video ({error.strerror or error})") from error


class VideoWriter:
    """Writes frames into a video: the whole file appears when the block ends well, or none.

    Args:
        path: ``.mp4`` (H.264, small, nearly lossless) or ``.mkv`` (FFV1, lossless).
        rate: frames per second.

    Raises:
        InputError: another suffix.
    """

    def __init__(self, path: str | Path, rate: Fraction) -> None:
        self.path, self.rate = Path(path), rate
        if self.path.suffix.lower() not in _CODECS:
            raise InputError(f"{path}: write .mp4 (H.264) or .mkv (FFV1, lossless)")
        self._scratch = self.path.with_name(f".{self.path.stem}.part{self.path.suffix}")

    def __enter__(self) -> VideoWriter:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._container = _av().open(str(self._scratch), "w")
        self._stream = None
        return self

    def add(self, image: np.ndarray) -> None:
        """One frame, uint8 (H, W) or (H, W, 3), all of one size."""
        rgb = image if image.ndim == 3 else np.repeat(image[..., None], 3, -1)  # (H, W, 3)
        if self._stream is None:
            codec, even, odd, options = _CODECS[self.path.suffix.lower()]
            self._stream = self._container.add_stream(codec, rate=self.rate, options=options)
            self._stream.height, self._stream.width = rgb.shape[:2]
            self._stream.pix_fmt = odd if rgb.shape[0] % 2 or rgb.shape[1] % 2 else even
        frame = _av().VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")
        self._container.mux(self._stream.encode(frame))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None and self._stream is not None:
                self._container.mux(self._stream.encode())
            self._container.close()
            if kind is None:
                self._scratch.replace(self.path)
        finally:
            self._scratch.unlink(missing_ok=True)
