"""Where a number comes from: commit, versions, hardware, time."""

from __future__ import annotations

import argparse
import os
import platform
import shlex
import subprocess
import sys
import time
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from tdfusion.errors import InputError

_ROOT = Path(__file__).resolve().parents[2]
_PACKAGES = ("torch", "torchvision", "transformers", "ultralytics-opencv-headless", "numpy", "scipy")


class Provenance:
    """What a result says of its making, taken when a run begins; the end adds the seconds alone.

    So a commit, a setting or a library that changes while a run goes on does not get into its record.

    >>> made = Provenance.begin(seed=0)
    >>> about = made.finish()
    """

    def __init__(self, about: dict[str, Any]) -> None:
        self._about, self._start = about, time.perf_counter()

    @classmethod
    def begin(cls, **more: Any) -> Provenance:
        """Commit, versions, hardware, threads and time now; ``more`` adds entries such as seed and device."""
        return cls(
            {
                "commit": commit(),
                "started": datetime.now(UTC).isoformat(timespec="seconds"),
                "seconds": None,
                "versions": {"python": platform.python_version()}
                | {name: _version(name) for name in _PACKAGES},
                "hardware": hardware(),
                "threads": torch.get_num_threads(),
                **more,
            }
        )

    def seconds(self) -> float:
        """Since the beginning."""
        return time.perf_counter() - self._start

    def finish(self, **more: Any) -> dict[str, Any]:
        """The record, with the seconds so far; may be asked for more than once."""
        return self._about | {"seconds": round(self.seconds(), 1)} | more


def require_clean(out: Path, allow_dirty: bool = False) -> None:
    """Refuse to begin a run that the book would cite but that no commit can repeat.

    Args:
        out: where the result goes; outside ``results/`` of this checkout anything is allowed.
        allow_dirty: go on anyway; the result then carries a commit with a "+".

    Raises:
        InputError: the code has changes that are not committed, or is no git checkout.
    """
    if allow_dirty or not out.resolve().is_relative_to(_ROOT / "results"):
        return
    here = commit()
    if here == "unknown" or here.endswith("+"):
        what = "is no git checkout" if here == "unknown" else "has changes that are not committed"
        raise InputError(
            f"{_ROOT}: {what}, so nobody could repeat what would be written to results/{out.name}; "
            "commit first, write elsewhere (--out), or give --allow-dirty to mark the result"
        )


def add_result_options(parser: argparse.ArgumentParser, out: Path) -> None:
    """``--out``, a file of results whose name is the study's, and ``--allow-dirty`` for `require_clean`."""
    parser.add_argument("--out", type=Path, default=out, metavar="FILE", help=f"default: results/{out.name}")
    parser.add_argument(
        "--allow-dirty",
        action="store_true",
        help='write into results/ from code that is not committed; the result is marked with "+"',
    )


def command_line() -> str:
    """The command that started this process, as a reader would type it in the root of the repository.

    A path of this machine is said from there, and never as a whole.
    """
    main = sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    program = ["-m", spec.name] if spec is not None else [Path(sys.argv[0]).name]
    words = [os.path.relpath(word, _ROOT) if Path(word).is_absolute() else word for word in sys.argv[1:]]
    return shlex.join(["python", *program, *words])


def hardware() -> str:
    """Processor and cores, and the GPUs, in words."""
    words = [f"{_processor()}, {os.cpu_count()} cores, {platform.system()}"]
    if torch.cuda.is_available():
        words += [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return "; ".join(words)


def commit() -> str:
    """The commit of the working tree ("+" if its code has changes), or "unknown" outside a checkout.

    ``results/`` does not count: a run that writes there must not make the next one dirty.
    """
    try:
        here = _git("rev-parse", "--short=12", "HEAD")
        changed = _git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!results")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return here + ("+" if changed else "")


def _git(*words: str) -> str:
    run = subprocess.run(["git", "-C", str(_ROOT), *words], capture_output=True, text=True, check=True)
    return run.stdout.strip()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
