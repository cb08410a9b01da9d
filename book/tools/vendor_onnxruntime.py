"""Put ONNX Runtime for browsers beside the book, so that a page can run F with no network.

Run from the repository root, with npm on the path::

    python book/tools/vendor_onnxruntime.py            # fetch, pack, write the manifest
    python book/tools/vendor_onnxruntime.py --check    # compare the committed files with the manifest, no network

Version 1.18.0 is the last that publishes a WebAssembly program without threads. Later ones import a module and share
memory with it, which Chromium refuses to a page that was opened from disk.
"""

from __future__ import annotations

import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from zipfile import ZipFile

from parts import part
from vendored import STATIC, Package, main

ONNXRUNTIME = Package(
    name="onnxruntime-web",
    version="1.18.0",
    integrity="sha512-o1UKj4ABIj1gmG7ae0RKJ3/GT+3yoF0RRpfDfeoe0huzRW4FDRLfbkDETmdFAvnJEXuYDE0YT+hhkia0352StQ==",
    licence="MIT",
    target=STATIC / "onnxruntime",
    made_by="book/tools/vendor_onnxruntime.py",
)
# What a page needs, and what was published: SIMD, no threads, no GPU.
SCRIPT, WASM = "dist/ort.wasm.min.js", "dist/ort-wasm-simd.wasm"
PUBLISHED = {
    "script": "90533a3fd7006df7f897c0d63c468996da5c8e430e39964d92ebe586c4996614",
    "wasm": "f533b5f21790563d7556c611c3835ac65848ee326da2689aac54ed7d9cc8c6a4",
}
# The npm package leaves out its licence texts; the Python package of the same version has them.
LICENCES = {
    "LICENSE": "2f07c72751aed99790b8a4869cf2311df85a860b22ded05fa22803587a48922c",
    "ThirdPartyNotices.txt": "10fc98a2f4d478e981813d594e23d7e31b0430e66501a658c1ecab2a226a4b52",
}


def licences(folder: Path) -> dict[str, bytes]:
    """The licence texts, from the Python package."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    command += ["--python-version=3.11", "--platform=manylinux_2_28_x86_64"]
    subprocess.run([*command, f"onnxruntime=={ONNXRUNTIME.version}"], cwd=folder, check=True)
    (wheel,) = folder.glob("onnxruntime-*.whl")
    with ZipFile(wheel) as archive:
        texts = {name: archive.read(f"onnxruntime/{name}") for name in LICENCES}
    for name, text in texts.items():
        if sha256(text).hexdigest() != LICENCES[name]:
            sys.exit(f"{name}: not the pinned text; nothing was changed")
    return texts


def choose(files: dict[str, bytes], scratch: Path) -> dict[str, bytes]:
    """The program as one script, and its licences."""
    return {
        "runtime.js": part("runtime", {"script": files[SCRIPT], "wasm": files[WASM]}),
        **licences(scratch),
    }


if __name__ == "__main__":
    main(ONNXRUNTIME, choose)
