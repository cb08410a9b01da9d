"""Put MathJax beside the book, so that equations render with no network.

Run from the repository root, with npm on the path::

    python book/tools/vendor_mathjax.py            # fetch, copy, write the manifest
    python book/tools/vendor_mathjax.py --check    # compare the committed files with the manifest, no network

One pinned version; only the files a page needs (TeX in, HTML out, its fonts) and the licence.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

PACKAGE = "mathjax"
VERSION = "3.2.2"
INTEGRITY = "sha512-Bt+SSVU8eBG27zChVewOicYs7Xsdt40qm4+UpHyX7k0/O9NliPc+x77k1/FEsPsjKPZGJvtRZM1vO+geW0OhGw=="
TARGET = Path(__file__).resolve().parents[2] / "book" / "_static" / "mathjax"
# The "full" bundle holds every TeX extension: the smaller ones fetch them while the page is open.
SCRIPT = "es5/tex-chtml-full.js"
FONTS = "es5/output/chtml/fonts/woff-v2/"


def wanted(path: str) -> str | None:
    """Where a file of the package goes in the book, or None if it is not needed."""
    if path == "LICENSE":
        return path
    if path == SCRIPT or (path.startswith(FONTS) and path.endswith(".woff")):
        return path.removeprefix("es5/")
    return None


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def fetch(folder: Path) -> Path:
    """Download the pinned archive with npm and check it against the pinned hash."""
    command = ["npm", "pack", f"{PACKAGE}@{VERSION}", "--silent"]
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    archive = folder / f"{PACKAGE}-{VERSION}.tgz"
    found = "sha512-" + base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    if found != INTEGRITY:
        sys.exit(f"{archive.name}: hash {found} is not the pinned {INTEGRITY}; nothing was changed")
    return archive


def vendor() -> None:
    """Replace the committed copy by a fresh one."""
    with tempfile.TemporaryDirectory() as scratch:
        archive = fetch(Path(scratch))
        fresh = Path(scratch) / "fresh"
        with tarfile.open(archive) as tar:
            for member in tar:
                place = wanted(member.name.removeprefix("package/"))
                if place is None:
                    continue
                content = tar.extractfile(member)
                assert content is not None  # every wanted member is a plain file
                (fresh / place).parent.mkdir(parents=True, exist_ok=True)
                (fresh / place).write_bytes(content.read())
        files = {p.relative_to(fresh).as_posix(): sha256(p) for p in sorted(fresh.rglob("*")) if p.is_file()}
        manifest = {
            "package": PACKAGE,
            "version": VERSION,
            "licence": "Apache-2.0",
            "integrity": INTEGRITY,
            "made_by": "book/tools/vendor_mathjax.py",
            "sha256": files,
        }
        (fresh / "MANIFEST.json").write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
        shutil.rmtree(TARGET, ignore_errors=True)
        shutil.copytree(fresh, TARGET)
    size = sum(p.stat().st_size for p in TARGET.rglob("*") if p.is_file())
    print(f"{PACKAGE} {VERSION}: {len(files)} files, {size / 1e6:.1f} MB")


def differences() -> list[str]:
    """What differs between the committed files and their manifest: one sentence each."""
    manifest = json.loads((TARGET / "MANIFEST.json").read_text(encoding="utf-8"))
    present = {p.relative_to(TARGET).as_posix() for p in TARGET.rglob("*") if p.is_file()} - {"MANIFEST.json"}
    listed = manifest["sha256"]
    found = [f"{name}: in the folder, not in the manifest" for name in sorted(present - listed.keys())]
    found += [f"{name}: in the manifest, not in the folder" for name in sorted(listed.keys() - present)]
    changed = sorted(name for name in present & listed.keys() if sha256(TARGET / name) != listed[name])
    return found + [f"{name}: not the file that was published" for name in changed]


def main() -> None:
    parser = argparse.ArgumentParser(description="Put MathJax beside the book.")
    parser.add_argument("--check", action="store_true", help="only compare the files with the manifest")
    if parser.parse_args().check:
        found = differences()
        sys.exit("\n".join(found) if found else 0)
    vendor()


if __name__ == "__main__":
    main()
