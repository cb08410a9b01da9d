"""What each way to install tdfusion puts on disk: the files of every distribution that it needs, and no others.

Read from the metadata of an environment that has all extras (``make book``). PyTorch and what it alone needs is counted
apart, since its builds differ by gigabytes. An extra's size is what it adds. Writes results/install_sizes.csv.
"""

from __future__ import annotations

import argparse
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tdfusion.results import save
from tdfusion.runs.provenance import Provenance, add_result_options, command_line, require_clean

OUT = Path(__file__).resolve().parents[1] / "results" / "install_sizes.csv"
EXTRAS = ("train", "detection", "plots", "explorers", "torchmetrics", "export", "book", "test", "all")


def closure(name: str, extras: frozenset[str] = frozenset()) -> dict[str, Distribution]:
    """A distribution and all that it needs on this machine, by name.

    Raises:
        PackageNotFoundError: something that it needs is not installed.
    """
    found: dict[str, Distribution] = {}
    asked: set[tuple[str, str]] = set()
    waiting = [(canonicalize_name(name), extra) for extra in ("", *extras)]
    while waiting:
        at = waiting.pop()
        if at in asked:
            continue
        asked.add(at)
        here = found.setdefault(at[0], distribution(at[0]))
        for line in here.requires or ():
            need = Requirement(line)
            if need.marker is None or need.marker.evaluate({"extra": at[1]}):
                waiting += [(canonicalize_name(need.name), extra) for extra in ("", *need.extras)]
    return found


def megabytes(distributions: dict[str, Distribution]) -> float:
    """Of all files that the distributions list and that are there, in 10^6 bytes; this package's own left out."""
    files = (
        path.locate() for name, d in distributions.items() if name != "tdfusion" for path in d.files or ()
    )
    return sum(Path(file).stat().st_size for file in files if Path(file).is_file()) / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add_result_options(parser, OUT)
    options = parser.parse_args()
    require_clean(options.out, options.allow_dirty)
    made = Provenance.begin()
    torch, core, numpy = closure("torch"), closure("tdfusion"), closure("numpy")
    beside = {name: d for name, d in core.items() if name not in torch}
    parts = {"PyTorch": torch, "core, beside PyTorch": beside, "metrics alone": numpy}
    parts |= {
        f"[{extra}]": {
            name: d for name, d in closure("tdfusion", frozenset({extra})).items() if name not in core
        }
        for extra in EXTRAS
    }
    rows = [
        {"arm": arm, "values": {"MB": round(megabytes(found), 1), "distributions": len(found)}}
        for arm, found in parts.items()
    ]
    save(
        options.out.stem,
        rows,
        what="size on disk of what each way to install needs; an extra: what it adds to the core",
        command=command_line(),
        provenance=[made.finish()],
        settings={"extras": EXTRAS},
        folder=options.out.parent,
    )
    for row in rows:
        print(
            f"{row['arm']:<24}{row['values']['MB']:>8.1f} MB  {row['values']['distributions']:>3} distributions"
        )


if __name__ == "__main__":
    try:
        main()
    except PackageNotFoundError as error:
        raise SystemExit(f"{error.name} is not installed; make book installs all extras") from None
