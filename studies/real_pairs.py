"""Table 1 as far as the real pairs at hand go: released weights and plain baselines, with and without the stretch.

Fuses the whole test set of MSRS (the 361 pairs of the paper's Table 1) and what is at hand of RoadScene, TNO and LLVIP
with the weights that the authors released for the same architecture (ReFusion_IVIF.pth; they are NOT TDFusion's
weights), once, and saves each result twice as 8-bit gray: stretched to the full range, as the released test code does,
and as F gave it; on MSRS each baseline, too. Scores them by the paper's convention, with the differences to the plain
mean and the maximum on the same images, and writes the numbers alone. Frames of MSRS come in sequences: in its
intervals 20 neighbours count as one draw. What exists in the work folder is kept, so a run that was interrupted goes
on where it stopped.

    OMP_NUM_THREADS=1 python -m studies.real_pairs --data SAMPLES --msrs MSRS
    python -m studies.real_pairs --only msrs tno     # some of the data sets; the others keep their numbers
"""

from __future__ import annotations

import argparse
import hashlib
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch
from torch import nn
from tqdm import tqdm

from tdfusion.data.geometry import resize_image
from tdfusion.data.images import read_gray, read_visible, to_uint8, write_png
from tdfusion.errors import InputError
from tdfusion.evaluate import (
    BASELINES,
    Difference,
    Summary,
    differences,
    evaluate_folders,
    fuse_baseline,
)
from tdfusion.files import list_images
from tdfusion.fusing import fuse, stretch
from tdfusion.models import FusionNet
from tdfusion.results import about, load, save, tidy
from tdfusion.runs.memory import keep_freed_memory
from tdfusion.runs.provenance import Provenance, add_result_options, command_line, require_clean

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"
OUT = ROOT / "results" / "real_pairs.csv"
WORK = ROOT / "runs" / "real_pairs"
WEIGHTS = "weights/ReFusion_IVIF.pth"
SAVED = ("stretched", "unstretched")
CONVENTIONS = ("paper", "cddfuse", "ivif_zoo")
AGAINST = ("mean", "max", "ReFusion weights, unstretched")  # what differences are to


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
    folder: str = "data"  # which of the folders given has it
    block: int = 1  # neighbours that count as one draw
    stretched: bool = False  # score the baselines stretched, too


SOURCES = {
    "msrs": Source(
        "MSRS", "test/ir", "test/vi", "all 361 test pairs, those of the paper", groups="(D|N)$",
        conventions=CONVENTIONS, folder="msrs", block=20, stretched=True,
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
        plain = {name: work / name / f"{path.stem}.png" for name in BASELINES if source.stretched}
        matched = work / "vi" / f"{path.stem}.png"
        wanted = [*targets, *plain.values(), *([matched] if source.match else [])]
        if all(target.exists() for target in wanted):
            continue
        if path.stem not in visible:
            raise InputError(f"{path}: no visible image of that name in {data / source.vi}")
        ir, (vi, _) = read_gray(path), read_visible(visible[path.stem])  # (1, H, W)
        if source.match:
            vi = resize_image(vi, ir.shape[-2:])
            write_png(matched, vi)
        for name, target in plain.items():
            image = torch.from_numpy(fuse_baseline(name, to_uint8(ir), to_uint8(vi)))  # (H, W)
            write_png(target, stretch(image[None, None] / 255)[0])
        I_f = fuse(F, ir, vi, minmax=False)
        for target, image in zip(targets, (stretch(I_f[None])[0], I_f), strict=True):
            write_png(target, image)


def score_source(source: Source, data: Path, work: Path) -> Iterator[dict]:
    """Means, standard deviations and counts of every row, and how far each is from mean and maximum."""
    folders = data / source.ir, work / "vi" if source.match else data / source.vi
    fused = {f"ReFusion weights, {kind}": work / kind for kind in SAVED}
    if source.stretched:
        fused |= {f"{name}, stretched": work / name for name in BASELINES}
    for convention in source.conventions:
        evaluation = evaluate_folders(
            *folders, fused, convention, source.groups, workers=1, dataset=source.name
        )  # fmt: skip
        evaluation.to_csv(work / f"{convention}.csv")
        common = {"data": source.name, "task": convention}
        for summary in evaluation.summaries():
            yield common | {"arm": summary.method, "group": summary.group, "values": values(summary)}
        if convention == "paper":
            for against in AGAINST:
                for apart in differences(evaluation, against, block=source.block):
                    if apart.method != against:
                        yield common | {"arm": apart.method, "group": apart.group, "values": ends(apart)}


def ends(apart: Difference) -> dict[str, float | None]:
    """A difference and the ends of its interval, to six decimals."""
    name = f"{apart.metric} less {apart.against}"
    found = {name: apart.mean, f"{name} low": apart.low, f"{name} high": apart.high}
    return {key: None if math.isnan(value) else round(value, 6) for key, value in found.items()}


def values(summary: Summary) -> dict[str, float | None]:
    """Of each metric the mean and deviation to six decimals, and on how many images it is not defined."""

    def rounded(value: float) -> float | None:
        return None if math.isnan(value) else round(value, 6)

    found: dict[str, float | None] = {"images": summary.images}
    for metric in summary.mean:
        found |= {metric: rounded(summary.mean[metric]), f"{metric} sd": rounded(summary.sd[metric])}
        found[f"{metric} left out"] = summary.left_out[metric]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--only", nargs="+", choices=SOURCES, default=list(SOURCES), help="data sets (default all)"
    )
    parser.add_argument(
        "--data",
        type=Path,
        default=os.environ.get("TDFUSION_DATA", SHARED / "data"),
        metavar="DIR",
        help=f"samples of real pairs, with {WEIGHTS} (default TDFUSION_DATA, or shared/data beside the repository)",
    )
    parser.add_argument(
        "--msrs", type=Path, default=SHARED / "msrs", metavar="DIR",
        help="the whole test set of MSRS, as test/ir and test/vi (default shared/msrs beside the repository)",
    )  # fmt: skip
    add_result_options(parser, OUT)
    parser.add_argument("--work", type=Path, default=WORK)
    options = parser.parse_args()
    require_clean(options.out, options.allow_dirty)
    folders = {"data": options.data, "msrs": options.msrs}
    if not (weights := folders["data"] / WEIGHTS).is_file():
        raise InputError(f"{folders['data']}: no {WEIGHTS} there; name the folder by --data or TDFUSION_DATA")
    keep_freed_memory()
    F = FusionNet.from_file(weights)
    tables, made = stored(options.out)
    for key in options.only:
        source, work = SOURCES[key], options.work / key
        made_now = Provenance.begin(device="cpu", data=source.name)
        fuse_source(F, source, folders[source.folder], work)
        tables[source.name] = tidy(options.out.stem, score_source(source, folders[source.folder], work))
        made[source.name] = made_now.finish()
    there = [source.name for source in SOURCES.values() if source.name in tables]
    save(
        options.out.stem,
        pd.concat([tables[name] for name in there]),
        what="six fusion metrics on real pairs; 8-bit gray fused images, means over images",
        command=command_line(),
        provenance=[made[name] for name in there],
        settings={
            "weights": "ReFusion_IVIF.pth, released by the authors for the same architecture; not TDFusion's weights",
            "weights_sha256": hashlib.sha256(weights.read_bytes()).hexdigest(),
            "parts": {source.name: source.part for source in SOURCES.values() if source.name in there},
        },
        folder=options.out.parent,
    )
    print(f"{options.out.name} written: {', '.join(there)}")


def stored(out: Path) -> tuple[dict[str, pd.DataFrame], dict[str, dict]]:
    """The tables and the provenance of the data sets that were scored before."""
    if not out.is_file():
        return {}, {}
    tables = {str(name): table for name, table in load(out.stem, out.parent).groupby("data", sort=False)}
    return tables, {made["data"]: made for made in about(out.stem, out.parent)["provenance"]}


if __name__ == "__main__":
    main()
