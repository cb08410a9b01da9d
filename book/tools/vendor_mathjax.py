"""Put MathJax beside the book, so that equations render with no network.

Run from the repository root, with npm on the path::

    python book/tools/vendor_mathjax.py            # fetch, copy, write the manifest
    python book/tools/vendor_mathjax.py --check    # compare the committed files with the manifest, no network

One pinned version; only the files a page needs (TeX in, HTML out, its fonts) and the licence.
"""

from __future__ import annotations

from pathlib import Path

from vendored import STATIC, Package, main

MATHJAX = Package(
    name="mathjax",
    version="3.2.2",
    integrity="sha512-Bt+SSVU8eBG27zChVewOicYs7Xsdt40qm4+UpHyX7k0/O9NliPc+x77k1/FEsPsjKPZGJvtRZM1vO+geW0OhGw==",
    licence="Apache-2.0",
    target=STATIC / "mathjax",
    made_by="book/tools/vendor_mathjax.py",
)
# The "full" bundle holds every TeX extension: the smaller ones fetch them while the page is open.
SCRIPT = "es5/tex-chtml-full.js"
FONTS = "es5/output/chtml/fonts/woff-v2/"


def choose(files: dict[str, bytes], scratch: Path) -> dict[str, bytes]:
    """What a page needs: the licence, the bundle, its fonts."""
    needed = [name for name in files if name.startswith(FONTS) and name.endswith(".woff")]
    return {name.removeprefix("es5/"): files[name] for name in ("LICENSE", SCRIPT, *needed)}


if __name__ == "__main__":
    main(MATHJAX, choose)
