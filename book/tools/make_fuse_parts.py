"""Pack what the page "Fuse your own pairs" runs: F as ONNX, and a pair to try it on.

::

    python book/tools/make_fuse_parts.py    # after every change of tdfusion/pretrained/F.safetensors
"""

from __future__ import annotations

import hashlib
import io
import tempfile
from pathlib import Path

from parts import part
from PIL import Image
from torch import Tensor
from vendored import STATIC

from tdfusion.data.images import to_uint8
from tdfusion.data.pair import Pair
from tdfusion.data.synthroad.scenes import SynthRoad
from tdfusion.export import export_onnx
from tdfusion.figures.panels import visible_rgb
from tdfusion.files import whole_file
from tdfusion.models import FusionNet
from tdfusion.pretrained import BOX

WEIGHTS = BOX / "F.safetensors"
MODEL, EXAMPLE = STATIC / "fuse" / "model.js", STATIC / "fuse" / "example.js"
SCENE = 1


def scene() -> Pair:
    """The pair to try: drawn, never photographed."""
    return SynthRoad(split="test", length=32, size=(192, 256), seed=0)[SCENE]


def weights_digest() -> str:
    return hashlib.sha256(WEIGHTS.read_bytes()).hexdigest()


def image_file(image: Tensor, form: str, **options: int) -> bytes:
    """An image (1 or 3, H, W) in [0, 1] as the bytes of a file."""
    file = io.BytesIO()
    Image.fromarray(to_uint8(image)).save(file, form, **options)
    return file.getvalue()


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        onnx = Path(folder) / "F.onnx"
        export_onnx(FusionNet.from_pretrained(), onnx)
        model = part("model", {"F.onnx": onnx.read_bytes()}, weights_sha256=weights_digest())
    pair = scene()
    files = {
        "thermal.png": image_file(pair.ir, "PNG", optimize=True),
        "photo.jpg": image_file(visible_rgb(pair), "JPEG", quality=90),
    }
    for out, content in ((MODEL, model), (EXAMPLE, part("example", files))):
        with whole_file(out) as written:
            written.write_bytes(content)
        print(f"{out.relative_to(STATIC.parents[1])}: {len(content) / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
