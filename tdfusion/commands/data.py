"""``tdfusion data verify`` and ``tdfusion data info``."""

from __future__ import annotations

import argparse
import textwrap
from pathlib import Path

from tdfusion.data.layouts import LAYOUTS, Layout, find_layout


def add_data_command(subparsers: argparse._SubParsersAction) -> None:
    """Add ``data verify`` and ``data info`` to the subparsers of the ``tdfusion`` command."""
    data = subparsers.add_parser("data", help="check a data set on disk, or learn where to get it")
    commands = data.add_subparsers(dest="data_command", required=True)

    check = commands.add_parser(
        "verify",
        help="read every file of a data set and report on it",
        description="Read every file of a data set; print counts and faults, and a verdict. The exit"
        " status is 1 where the data set is unusable. Nothing is downloaded or changed.",
    )
    check.add_argument("name", metavar="NAME", help=f"one of {', '.join(LAYOUTS)}, or a TOML file")
    check.add_argument("--root", type=Path, required=True, metavar="DIR", help="the unpacked data set")
    check.add_argument("--split", help="one split alone (default: training and test)")
    check.add_argument("--task", help="segmentation, detection or fusion (default: the data set's first)")
    check.add_argument("--workers", type=int, metavar="N", help="threads that read (default: one per core)")
    check.set_defaults(func=_verify_command)

    info = commands.add_parser(
        "info",
        help="where to get each data set, its licence, size and layout",
        description="Say where to get each data set, under which licence, its size and layout. Nothing is"
        " downloaded.",
    )
    info.add_argument("name", metavar="NAME", nargs="?", help="one data set (default: all)")
    info.set_defaults(func=_info_command)


def _verify_command(arguments: argparse.Namespace) -> int:
    from tdfusion.data.verify import verify

    report = verify(
        arguments.name,
        arguments.root,
        arguments.split,
        arguments.task,
        workers=arguments.workers,
        progress=True,
    )
    print(report.table())
    return 0 if report.usable else 1


def _info_command(arguments: argparse.Namespace) -> int:
    layouts = [find_layout(arguments.name)] if arguments.name else LAYOUTS.values()
    print("\n\n".join(map(describe, layouts)))
    return 0


def describe(layout: Layout) -> str:
    """A data set in a paragraph: where to get it, licence, size, splits, classes and layout."""
    facts = {
        "get it from": layout.source,
        "licence": layout.licence,
        "images": said_size(layout),
        "pairs": ", ".join(f"{s.name} {s.count}" for s in layout.splits),
        **{t: ", ".join(f"{i} {c}" for i, c in enumerate(layout.classes(t))) for t in layout.labels},
    }
    if layout.note:
        facts["note"] = layout.note
    lines = [
        textwrap.fill(text, 100, initial_indent=f"  {title:<13}", subsequent_indent=" " * 15)
        for title, text in facts.items()
    ]
    tree = [] if layout.drawn else ["  layout", *(f"    {line}" for line in layout.tree.splitlines())]
    return "\n".join([layout.name, *lines, *tree])


def said_size(layout: Layout) -> str:
    """Width and height of a data set's images, as one says them."""
    return f"{layout.size[1]}x{layout.size[0]}" if layout.size else "various"
