"""Look at every page of the built book: wide and phone, light and dark, from disk.

::

    python book/tools/screenshots.py                    # every page into runs/screenshots
    python book/tools/screenshots.py --only loss tour   # pages whose path holds one of these words

Saves PNG files and lists what a reader would meet: failed requests, requests to other hosts, errors in the
console, pictures that do not load, equations that are not rendered, pages wider than the screen. Exit code 1
if there is any.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from pathlib import Path

from browser import chromium, visit
from tqdm import tqdm

ROOT = Path(__file__).resolve().parents[2]
WIDTHS = {"wide": 1280, "phone": 390}  # pixels
MODES = {"light": False, "dark": True}


def main() -> None:
    parser = argparse.ArgumentParser(description="Look at every page of the built book in headless Chromium.")
    parser.add_argument("--html", type=Path, default=ROOT / "_build" / "html", help="the built book")
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "screenshots", help="where PNG files go")
    parser.add_argument(
        "--only", nargs="+", default=[""], metavar="WORD", help="pages whose path holds a WORD"
    )
    parser.add_argument("--no-js", action="store_true", help="with scripts switched off")
    args = parser.parse_args()
    pages = [
        page
        for page in sorted(args.html.rglob("*.html"))
        if "_static" not in page.parts and any(word in str(page.relative_to(args.html)) for word in args.only)
    ]
    if not pages:
        sys.exit(f"{args.html}: no page to look at; build the book first (make book)")
    args.out.mkdir(parents=True, exist_ok=True)
    problems = []
    with chromium() as browser:
        every = list(itertools.product(pages, WIDTHS.items(), MODES.items()))
        for page, (size, width), (mode, dark) in tqdm(every, unit="picture"):
            name = page.relative_to(args.html).with_suffix("").as_posix().replace("/", "-")
            seen = visit(browser, page, picture=True, javascript=not args.no_js, width=width, dark=dark)
            (args.out / f"{name}-{size}-{mode}.png").write_bytes(seen.picture)
            problems += [f"{name} ({size}, {mode}): {problem}" for problem in seen.problems]
    print(f"{len(every)} pictures of {len(pages)} pages in {args.out}; {len(problems)} problems")
    if problems:
        sys.exit("\n".join(problems))


if __name__ == "__main__":
    main()
