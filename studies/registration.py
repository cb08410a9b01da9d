"""How often `tdfusion fuse` warns of misregistration: on pairs that are registered, and on pairs that were moved apart.

Takes the pairs of MSRS, RoadScene, TNO and LLVIP as published, and moves each by 2, 4, 8 and 16 px in a direction
drawn by chance: both images are cut to windows that lie that far apart, so no border is made up. The two
thresholds (`CONFIDENT`, `TOLERANCE`) were chosen on the pairs of the group "chosen on"; none of "held out" was looked
at before.

    TDFUSION_DATA=FOLDER OMP_NUM_THREADS=1 python -m studies.registration
"""

from __future__ import annotations

import argparse
import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor
from tqdm import tqdm

from tdfusion.data.filepairs import FilePair, Reading, read_pair_files
from tdfusion.data.registration import CONFIDENT, TOLERANCE, looks_misregistered, misregistration
from tdfusion.errors import InputError
from tdfusion.files import images_by_stem
from tdfusion.results import save
from tdfusion.runs.provenance import Provenance, add_result_options, command_line, require_clean

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "results" / "registration.csv"
SHIFTS = (0, 2, 4, 8, 16)  # px


@dataclass(frozen=True)
class Source:
    """Where pairs lie, and which of them, by their place in the order of names, the thresholds were chosen on."""

    name: str
    ir: str
    vi: str
    chosen_on: Callable[[int], bool]
    match: str = "none"


SOURCES = (
    Source("MSRS", "msrs/test/ir", "msrs/test/vi", lambda i: i % 7 == 0 or i % 5 == 3),
    Source(
        "RoadScene", "roadscene/cropinfrared", "roadscene/crop_HR_visible",
        lambda i: i % 4 == 0 or i % 3 == 0, match="ir",
    ),
    Source("TNO", "tno/ir", "tno/vi", lambda i: True),
    Source("LLVIP", "llvip/infrared/test", "llvip/visible/test", lambda i: True),
    Source("LLVIP", "llvip/infrared/train", "llvip/visible/train", lambda i: False),
)  # fmt: skip


def apart(I_a: Tensor, I_b: Tensor, dx: int, dy: int) -> tuple[Tensor, Tensor]:
    """Two windows (1, H - |dy|, W - |dx|): what is at (x, y) in the first is at (x + dx, y + dy) in the second."""
    H, W = I_a.shape[-2:]
    at = slice(max(0, dy), H + min(0, dy)), slice(max(0, dx), W + min(0, dx))
    to = slice(max(0, -dy), H - max(0, dy)), slice(max(0, -dx), W - max(0, dx))
    return I_a[:, *at], I_b[:, *to]


def look(source: Source, data: Path) -> list[dict]:
    """A record for every pair and shift of a source."""
    ir, vi = images_by_stem(data / source.ir), images_by_stem(data / source.vi)
    if ir.keys() - vi.keys():
        raise InputError(f"{data / source.vi}: no visible image named {min(ir.keys() - vi.keys())}")
    chance = np.random.default_rng(0)
    found = []
    for index, stem in enumerate(tqdm(sorted(ir), desc=source.name, unit="pair")):
        pair = read_pair_files(FilePair(ir[stem], vi[stem], Path()), Reading(match=source.match))
        for shift in SHIFTS:
            angle = chance.uniform(0, 2 * math.pi)
            dx, dy = round(shift * math.cos(angle)), round(shift * math.sin(angle))
            I_a, I_b = apart(pair.ir, pair.vi, dx, dy)
            start = time.perf_counter()
            offset = misregistration(I_a, I_b)
            found.append(
                {
                    "data": source.name,
                    "group": "chosen on" if source.chosen_on(index) else "held out",
                    "shift": shift,
                    "warned": looks_misregistered(offset, I_a),
                    "confident": offset.confidence > CONFIDENT,
                    "length": math.hypot(offset.dx, offset.dy),
                    "error": math.hypot(offset.dx - dx, offset.dy - dy),
                    "ms": 1000 * (time.perf_counter() - start),
                }
            )
    return found


def rows(records: list[dict]) -> list[dict]:
    """Shares and medians over the pairs of each data set, group and shift, and over both groups."""
    out = []
    for data in dict.fromkeys(record["data"] for record in records):
        for group in ("chosen on", "held out", ""):
            for shift in SHIFTS:
                some = [
                    r for r in records
                    if r["data"] == data and r["shift"] == shift and group in ("", r["group"])
                ]  # fmt: skip
                if not some:
                    continue
                warned = [r for r in some if r["warned"]]
                sure = [r for r in some if r["confident"]]
                values = {
                    "pairs": len(some),
                    "warned": len(warned),
                    "warned %": round(100 * len(warned) / len(some), 1),
                    "confident": len(sure),
                    "median offset of the confident, px": _median(r["length"] for r in sure),
                    "median error of the confident, px": _median(r["error"] for r in sure),
                    "ms": _median(r["ms"] for r in some),
                }
                out.append({"data": data, "arm": f"moved by {shift} px", "group": group, "values": values})
    return out


def _median(values) -> float | None:
    values = list(values)
    return round(float(np.median(values)), 1) if values else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_result_options(parser, OUT)
    options = parser.parse_args()
    require_clean(options.out, options.allow_dirty)
    data = Path(os.environ.get("TDFUSION_DATA") or ROOT.parent / "shared" / "data")
    made = Provenance.begin(device="cpu")
    table = rows([record for source in SOURCES for record in look(source, data)])
    save(
        options.out.stem,
        table,
        what="warnings of misregistration on real pairs as published, and on the same pairs moved apart",
        command=command_line(),
        provenance=[made.finish()],
        settings={"confident": CONFIDENT, "tolerance, px": TOLERANCE, "seed": 0},
        folder=options.out.parent,
    )
    for row in table:
        if not row["group"]:
            print(row["data"], row["arm"], row["values"])


if __name__ == "__main__":
    main()
