"""Table 1 as far as the real pairs at hand go: released weights and plain baselines, with and without the stretch.

Fuses the test pairs of MSRS, RoadScene, TNO and LLVIP with the weights that the authors released for the same
architecture (ReFusion_IVIF.pth; they are NOT TDFusion's weights), once, and saves each result twice as 8-bit
gray: stretched to the full range, as the released test code does, and as F gave it. Scores both, with the
baselines, by the paper's convention, and writes the numbers alone. What exists in the work folder is kept, so a
run that was interrupted goes on where it stopped.

    TDFUSION_DATA=FOLDER OMP_NUM_THREADS=1 python -m studies.real_pairs
    python -m studies.real_pairs --only msrs tno     # some of the data sets; the others keep their numbers
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn
from tqdm import tqdm

from tdfusion.data.geometry import resize_image
from tdfusion.data.images import read_gray, read_visible, write_png
from tdfusion.errors import InputError
from tdfusion.evaluate import Summary, evaluate_folder
from tdfusion.files import list_images
from tdfusion.fuse import fuse, stretch
from tdfusion.models import FusionNet
from tdfusion.runs.memory import keep_freed_memory
from tdfusion.runs.provenance import Stopwatch, provenance

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "results" / "real_pairs.json"
WORK = ROOT / "runs" / "real_pairs"
WEIGHTS = "weights/ReFusion_IVIF.pth"
SAVED = ("stretched", "unstretched")
CONVENTIONS = ("paper", "cddfuse", "ivif_zoo")


@dataclass(frozen=True)
class Source:
    """Where the pairs of a data set are, and what part of it they are."""

    name: str
    ir: str
    vi: str
    part: str  # in words
    match: bool = False  # resize the visible image to the infrared one
    groups: str | None = None
    conventions: tuple[str, ...] = ("paper",)


SOURCES = {
    "msrs": Source(
        "MSRS", "msrs/test/ir", "msrs/test/vi", "22 of the 361 test pairs", groups="(D|N)$",
        conventions=CONVENTIONS,
    ),
    "llvip": Source("LLVIP", "llvip/infrared/test", "llvip/visible/test", "12 test pairs; the paper has 347"),
    "tno": Source("TNO", "tno/ir", "tno/vi", "13 pairs, gray visible images; not in the paper"),
    "roadscene": Source(
        "RoadScene", "roadscene/cropinfrared", "roadscene/crop_HR_visible",
        "166 pairs; visible images resized to the infrared ones; not in the paper",
        match=True,
    ),
}  # fmt: skip


def fuse_source(F: nn.Module, source: Source, data: Path, work: Path) -> None:
    """Save every pair's fusion as work/stretched and work/unstretched; with ``match`` its visible image too."""
    visible = {path.stem: path for path in list_images(data / source.vi)}
    for path in tqdm(list_images(data / source.ir), desc=f"fuse {source.name}", unit="pair"):
        targets = [work / kind / f"{path.stem}.png" for kind in SAVED]
        matched = work / "vi" / f"{path.stem}.png"
        if all(target.exists() for target in targets) and (matched.exists() or not source.match):
            continue
        if path.stem not in visible:
            raise InputError(f"{path}: no visible image of that name in {data / source.vi}")
        ir, (vi, _) = read_gray(path), read_visible(visible[path.stem])  # (1, H, W)
        if source.match:
            vi = resize_image(vi, ir.shape[-2:])
            write_png(matched, vi)
        I_f = fuse(F, ir, vi, minmax=False)
        for target, image in zip(targets, (stretch(I_f[None])[0], I_f), strict=True):
            write_png(target, image)


def score_source(source: Source, data: Path, work: Path) -> dict[str, Any]:
    """Means, standard deviations and counts of the baselines and of both ways of saving."""
    folders = data / source.ir, work / "vi" if source.match else data / source.vi
    by_convention = {}
    for convention in source.conventions:
        summaries: list[Summary] = []
        for kind in SAVED:
            evaluation = evaluate_folder(
                *folders,
                work / kind,
                convention,
                source.groups,
                workers=1,
                method=f"ReFusion weights, {kind}",
                dataset=source.name,
                with_baselines=kind == SAVED[0],
            )
            evaluation.to_csv(work / f"{kind}_{convention}.csv")
            summaries += evaluation.summaries()
        by_convention[convention] = [_plain(summary) for summary in summaries]
    return {"dataset": source.name, "part": source.part, "conventions": by_convention}


def _plain(summary: Summary) -> dict[str, Any]:
    """A summary as JSON takes it: six decimals, null where nothing is defined."""

    def rounded(values: Mapping[str, float]) -> dict[str, float | None]:
        return {k: None if math.isnan(v) else round(v, 6) for k, v in values.items()}

    entry = dataclasses.asdict(summary)
    return entry | {"mean": rounded(summary.mean), "sd": rounded(summary.sd)}


def data_folder() -> Path:
    """TDFUSION_DATA, or shared/data beside the repository.

    Raises:
        InputError: the pairs are not there.
    """
    folder = Path(os.environ.get("TDFUSION_DATA") or ROOT.parent / "shared" / "data")
    if not (folder / WEIGHTS).is_file():
        raise InputError(
            f"{folder}: no {WEIGHTS} there; set TDFUSION_DATA to the folder of real pairs and weights"
        )
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=SOURCES, default=list(SOURCES))
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--work", type=Path, default=WORK)
    arguments = parser.parse_args()
    watch, data = Stopwatch(), data_folder()
    keep_freed_memory()
    F = FusionNet.from_file(data / WEIGHTS)
    results = json.loads(arguments.out.read_text())["datasets"] if arguments.out.is_file() else {}
    for key in arguments.only:
        work = arguments.work / key
        fuse_source(F, SOURCES[key], data, work)
        scored = Stopwatch()
        results[key] = score_source(SOURCES[key], data, work)
        results[key]["provenance"] = provenance(scored, device="cpu")
    content = {
        "what": "six fusion metrics on real pairs; 8-bit gray fused images, means over images",
        "weights": "ReFusion_IVIF.pth, released by the authors for the same architecture; not TDFusion's weights",
        "weights_sha256": hashlib.sha256((data / WEIGHTS).read_bytes()).hexdigest(),
        "datasets": {key: results[key] for key in SOURCES if key in results},
        "provenance": provenance(watch, device="cpu", scored=arguments.only),
    }
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    scratch = arguments.out.with_name(f".{arguments.out.name}.part")
    scratch.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n")
    scratch.replace(arguments.out)
    print(f"{arguments.out.name} written: {', '.join(results)}")


if __name__ == "__main__":
    main()
