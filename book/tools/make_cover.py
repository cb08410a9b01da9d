"""Draw book/images/cover.png: a SynthRoad test scene fused by the F that the package carries."""

from __future__ import annotations

from pathlib import Path

from tdfusion.data.synthroad.scenes import SynthRoad
from tdfusion.figures.panels import image_row, visible_rgb
from tdfusion.files import whole_file
from tdfusion.fusing import fuse
from tdfusion.models import FusionNet

ROOT = Path(__file__).resolve().parents[2]
SCENE = 1


def main() -> None:
    F = FusionNet.from_pretrained()
    pair = SynthRoad(split="test", length=32, size=(240, 320), seed=0)[SCENE]
    panels = {
        "infrared": pair.ir,
        "visible": visible_rgb(pair),
        "fused": visible_rgb(pair, fuse(F, pair.ir, pair.vi)),
    }
    figure = image_row(panels)
    out = ROOT / "book" / "images" / "cover.png"
    with whole_file(out) as part:
        figure.savefig(part, dpi=130)
    print(out.relative_to(ROOT))


if __name__ == "__main__":
    main()
