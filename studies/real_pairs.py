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
import hashlib
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from torch import nn
from tqdm import tqdm

from tdfusion.data.geometry import resize_image
from tdfusion.data.images import read_gray, read_visible, write_png
from tdfusion.errors import InputError
from tdfusion.evaluate import Summary, evaluate_folder
from tdfusion.files import list_images
from tdfusion.fusing import fuse, stretch
from tdfusion.models import FusionNet
from tdfusion.results import about, load, save, tidy
from tdfusion.runs.memory import keep_freed_memory
from tdfusion.runs.provenance import Provenance, add_result_options, command_line, require_clean

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "results" / "real_pairs.csv"
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


def score_source(source: Source, data: Path, work: Path) -> Iterator[dict]:
    """Means, standard deviations and counts of the baselines and of both ways of saving, for the results table."""
    folders = data / source.ir, work / "vi" if source.match else data / source.vi
    for convention in source.conventions:
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
            for summary in evaluation.summaries():
                common = {"data": source.name, "task": convention}
                yield common | {"arm": summary.method, "group": summary.group, "values": values(summary)}


def values(summary: Summary) -> dict[str, float | None]:
    """Of each metric the mean and deviation to six decimals, and on how many images it is not defined."""

    def rounded(value: float) -> float | None:
        return None if math.isnan(value) else round(value, 6)

    found: dict[str, float | None] = {"images": summary.images}
    for metric in summary.mean:
        found |= {metric: rounded(summary.mean[metric]), f"{metric} sd": rounded(summary.sd[metric])}
        found[f"{metric} left out"] = summary.left_out[metric]
    return found


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
    add_result_options(parser, OUT)
    parser.add_argument("--work", type=Path, default=WORK)
    options = parser.parse_args()
    require_clean(options.out, options.allow_dirty)
    data = data_folder()
    keep_freed_memory()
    F = FusionNet.from_file(data / WEIGHTS)
    tables, made = stored(options.out)
    for key in options.only:
        source, work = SOURCES[key], options.work / key
        fuse_source(F, source, data, work)
        scored = Provenance.begin(device="cpu", data=source.name)
        tables[source.name] = tidy(options.out.stem, score_source(source, data, work))
        made[source.name] = scored.finish()
    there = [source.name for source in SOURCES.values() if source.name in tables]
    save(
        options.out.stem,
        pd.concat([tables[name] for name in there]),
        what="six fusion metrics on real pairs; 8-bit gray fused images, means over images",
        command=command_line(),
        provenance=[made[name] for name in there],
        settings={
            "weights": "ReFusion_IVIF.pth, released by the authors for the same architecture; not TDFusion's weights",
            "weights_sha256": hashlib.sha256((data / WEIGHTS).read_bytes()).hexdigest(),
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
