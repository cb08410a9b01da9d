"""Other people's programs beside the book: fetched with npm by a pinned hash, and listed in a manifest."""

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
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

STATIC = Path(__file__).resolve().parents[2] / "book" / "_static"


@dataclass(frozen=True)
class Package:
    """A package of the npm registry.

    Attributes:
        name, version: which one.
        integrity: the registry's hash of its archive, ``sha512-`` and base64.
        licence: its SPDX name.
        target: the folder that holds the committed copy.
        made_by: the script that fetches it.
    """

    name: str
    version: str
    integrity: str
    licence: str
    target: Path
    made_by: str


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def fetch(package: Package, folder: Path) -> dict[str, bytes]:
    """Download the pinned archive with npm, check it against the pinned hash, and give its files by path."""
    command = ["npm", "pack", f"{package.name}@{package.version}", "--silent"]
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    archive = folder / f"{package.name}-{package.version}.tgz"
    found = "sha512-" + base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    if found != package.integrity:
        sys.exit(f"{archive.name}: hash {found} is not the pinned {package.integrity}; nothing was changed")
    with tarfile.open(archive) as tar:
        return {
            member.name.removeprefix("package/"): content.read()
            for member in tar
            if (content := tar.extractfile(member)) is not None
        }


def vendor(package: Package, choose: Callable[[dict[str, bytes], Path], dict[str, bytes]]) -> None:
    """Replace the committed copy by a fresh one.

    Args:
        package: what to fetch.
        choose: the archive's files, and a scratch folder, to the files that are kept.
    """
    with tempfile.TemporaryDirectory() as scratch:
        kept = choose(fetch(package, Path(scratch)), Path(scratch))
        fresh = Path(scratch) / "fresh"
        for place, content in kept.items():
            (fresh / place).parent.mkdir(parents=True, exist_ok=True)
            (fresh / place).write_bytes(content)
        files = {p.relative_to(fresh).as_posix(): sha256(p) for p in sorted(fresh.rglob("*")) if p.is_file()}
        manifest = {
            "package": package.name,
            "version": package.version,
            "licence": package.licence,
            "integrity": package.integrity,
            "made_by": package.made_by,
            "sha256": files,
        }
        (fresh / "MANIFEST.json").write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
        shutil.rmtree(package.target, ignore_errors=True)
        shutil.copytree(fresh, package.target)
    size = sum(p.stat().st_size for p in package.target.rglob("*") if p.is_file())
    print(f"{package.name} {package.version}: {len(files)} files, {size / 1e6:.1f} MB")


def differences(target: Path) -> list[str]:
    """What differs between the committed files and their manifest: one sentence each."""
    manifest = json.loads((target / "MANIFEST.json").read_text(encoding="utf-8"))
    present = {p.relative_to(target).as_posix() for p in target.rglob("*") if p.is_file()} - {"MANIFEST.json"}
    listed = manifest["sha256"]
    found = [f"{name}: in the folder, not in the manifest" for name in sorted(present - listed.keys())]
    found += [f"{name}: in the manifest, not in the folder" for name in sorted(listed.keys() - present)]
    changed = sorted(name for name in present & listed.keys() if sha256(target / name) != listed[name])
    return found + [f"{name}: not the file that was published" for name in changed]


def main(package: Package, choose: Callable[[dict[str, bytes], Path], dict[str, bytes]]) -> None:
    """The command line of a script that keeps one package."""
    parser = argparse.ArgumentParser(description=f"Put {package.name} beside the book.")
    parser.add_argument("--check", action="store_true", help="only compare the files with the manifest")
    if parser.parse_args().check:
        found = differences(package.target)
        sys.exit("\n".join(found) if found else 0)
    vendor(package, choose)
