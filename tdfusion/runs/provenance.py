"""Where a number comes from: commit, versions, hardware, time."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

_PACKAGES = ("torch", "torchvision", "transformers", "ultralytics-opencv-headless", "numpy", "scipy")


class Stopwatch:
    """Started when made; `provenance` reads it."""

    def __init__(self) -> None:
        self.started = datetime.now(UTC)
        self._start = time.perf_counter()

    def seconds(self) -> float:
        return time.perf_counter() - self._start


def provenance(watch: Stopwatch, **more: Any) -> dict[str, Any]:
    """What a result file says of its making; ``more`` adds entries such as seed and device."""
    return {
        "commit": commit(),
        "started": watch.started.isoformat(timespec="seconds"),
        "seconds": round(watch.seconds(), 1),
        "versions": {"python": platform.python_version()} | {name: _version(name) for name in _PACKAGES},
        "hardware": hardware(),
        "threads": torch.get_num_threads(),
        **more,
    }


def hardware() -> str:
    """Processor and cores, and the GPUs, in words."""
    words = [f"{_processor()}, {os.cpu_count()} cores, {platform.system()}"]
    if torch.cuda.is_available():
        words += [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return "; ".join(words)


def commit() -> str:
    """The commit of the working tree ("+" if it has changes), or "unknown" outside a checkout."""
    root = Path(__file__).resolve().parents[2]
    try:
        run = ["git", "-C", str(root), "describe", "--always", "--dirty=+", "--abbrev=12", "--exclude=*"]
        return subprocess.run(run, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


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
