"""What fusing an image in tiles changes, with the authors' weights on real pairs.

Attention in F sums over all pixels, so a tile is not fused as it would be inside its image. A margin of
13 px, cut off again after fusion, covers everything that F's convolutions see; what remains beyond it is
the attention alone.

    python -m studies.tiling      # reads $TDFUSION_DATA, or ../shared/data
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import torch
from torch import Tensor

from tdfusion.data.images import read_gray
from tdfusion.models import FusionNet
from tdfusion.results import save
from tdfusion.runs.provenance import Provenance, add_result_options, command_line, require_clean

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "results" / "tiling.csv"
PAIRS = ("MSRS_00537D", "MSRS_00881N")
MARGINS = (0, 13, 32)  # px


def fuse_in_tiles(F: FusionNet, I_a: Tensor, I_b: Tensor, tiles: int, margin: int) -> Tensor:
    """I_f (B, 1, H, W) from ``tiles`` x ``tiles`` parts fused one by one, each with a margin cut off again."""
    I_f = torch.zeros_like(I_a)
    H, W = I_a.shape[-2:]
    for i in range(tiles):
        for j in range(tiles):
            top, bottom = i * H // tiles, (i + 1) * H // tiles
            left, right = j * W // tiles, (j + 1) * W // tiles
            y, x = max(0, top - margin), max(0, left - margin)
            part = ..., slice(y, min(H, bottom + margin)), slice(x, min(W, right + margin))
            fused = F(I_a[part], I_b[part])
            I_f[..., top:bottom, left:right] = fused[..., top - y : bottom - y, left - x : right - x]
    return I_f


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    add_result_options(parser, OUT)
    options = parser.parse_args()
    require_clean(options.out, options.allow_dirty)
    made = Provenance.begin()
    data = Path(os.environ.get("TDFUSION_DATA") or ROOT.parent / "shared" / "data")
    F = FusionNet.from_released(data / "weights" / "ReFusion_IVIF.pth")
    found = []
    for name in PAIRS:
        I_a, I_b = (read_gray(data / "golden" / f"{name}_{m}.png")[None] for m in ("ir", "vi"))
        whole = F(I_a, I_b)
        for margin in MARGINS:
            change = 255 * (fuse_in_tiles(F, I_a, I_b, 2, margin) - whole).abs()
            found.append(
                {
                    "data": "MSRS",
                    "arm": f"margin {margin} px",
                    "image": name,
                    "values": {
                        "largest change": round(change.max().item(), 1),
                        "mean change": round(change.mean().item(), 2),
                    },
                }
            )
    save(
        options.out.stem,
        found,
        what="Change of the fused image, in gray levels of 255, where it is fused in tiles",
        command=command_line(),
        provenance=[made.finish()],
        settings={"tiles": "2x2", "size": f"{I_a.shape[-1]}x{I_a.shape[-2]}", "weights": "ReFusion_IVIF"},
        folder=options.out.parent,
    )
    for row in found:
        print(row["image"], row["arm"], row["values"])


if __name__ == "__main__":
    main()
