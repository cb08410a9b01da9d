"""How far mystmd, the engine of Jupyter Book 2, gets with the book's sources, as a table.

::

    python -m venv /tmp/mystmd && /tmp/mystmd/bin/pip install mystmd    # runs on Node.js
    python book/tools/try_mystmd.py /tmp/mystmd/bin/myst

The project file is made of ``_toc.yml`` and ``_config.yml`` in a temporary folder. Pages are made as far as their JSON:
the theme that would turn it into HTML is fetched from the network. What is counted is what mystmd says, and two things
of which it says nothing: equations under another number than their label states, and captions that are not there.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "book" / "_ext"))
from paper_equations import number_of  # noqa: E402

SAID = re.compile(r"(?P<sign>[⚠⛔])\ufe0f?\s+(?P<place>\S+\.(?:md|ipynb|yml)\S*\s+)?(?P<text>.+)")


def project(toc: dict, config: dict, root: Path) -> dict:
    """The project file of mystmd that says what ours say."""

    def page(name: str) -> dict[str, str]:
        return {
            "file": next(f"{name}{end}" for end in (".md", ".ipynb") if (root / f"{name}{end}").is_file())
        }

    parts = [
        {"title": part["caption"], "children": [page(chapter["file"]) for chapter in part["chapters"]]}
        for part in toc["parts"]
    ]
    macros = config["sphinx"]["config"]["mathjax3_config"]["tex"]["macros"]
    said = {
        "title": config["title"],
        "toc": [page(toc["root"]), *parts],
        "bibliography": config["bibtex_bibfiles"],
        "math": {f"\\{name}": tex if isinstance(tex, str) else tex[0] for name, tex in macros.items()},
    }
    return {"version": 1, "project": said, "site": {"template": "book-theme"}}


def kinds(log: str) -> Counter[tuple[str, str]]:
    """What mystmd said, by kind: an error or a warning, and its text without the names in it."""
    found: Counter[tuple[str, str]] = Counter()
    for line in re.sub(r"\x1b\[[0-9;]*m", "", log).splitlines():
        said = SAID.match(line.strip())
        if said:
            text = re.sub(r'"[^"]*"|<[^>]*>', "…", said["text"])
            if not text.startswith(("unknown", "required")):  # those end in what it is that is wanting
                text = text.partition(":")[0]
            found["error" if said["sign"] == "⛔" else "warning", text.strip()] += 1
    return found


def nodes(tree: Any) -> Iterator[dict]:
    """Every node of a page's JSON."""
    if isinstance(tree, dict):
        yield tree
    for child in tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ():
        yield from nodes(child)


def unsaid(pages: list[Any], notebooks: list[Any]) -> dict[str, str]:
    """Differences of which mystmd says nothing."""
    equations = [n for p in pages for n in nodes(p) if n.get("type") == "math" and n.get("label")]
    other = sum(number_of(node["label"]) != node.get("enumerator") for node in equations)
    shown = sum(n.get("type") == "caption" for p in pages for n in nodes(p))
    cells = [cell["metadata"].get("mystnb", {}) for notebook in notebooks for cell in notebook["cells"]]
    wanted = sum("caption" in cell.get("figure", {}) for cell in cells)
    return {
        "equations under another number than the paper's": f"{other} of {len(equations)}",
        "captions of notebooks' figures; captions shown, those of pages included": f"{wanted}; {shown}",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Count what mystmd says of the book's sources.")
    parser.add_argument("myst", help="the myst command")
    myst = parser.parse_args().myst
    toc, config = (yaml.safe_load((ROOT / name).read_text("utf-8")) for name in ("_toc.yml", "_config.yml"))
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch)
        for folder in ("book", "notebooks"):
            shutil.copytree(
                ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("_*", "tools", "*.py")
            )
        (copy / "myst.yml").write_text(yaml.safe_dump(project(toc, config, ROOT), sort_keys=False), "utf-8")
        run = subprocess.run([myst, "build", "--site"], cwd=copy, capture_output=True, text=True)
        pages = [json.loads(p.read_text("utf-8")) for p in copy.glob("_build/site/content/*.json")]
    if not pages:
        sys.exit(f"mystmd made no page:\n{run.stdout}{run.stderr}")
    notebooks = [json.loads(p.read_text("utf-8")) for p in sorted(ROOT.glob("notebooks/*.ipynb"))]
    version = subprocess.run([myst, "--version"], capture_output=True, text=True).stdout.strip()
    print(f"mystmd {version}: {len(pages)} pages\n\n| | what | times |\n|---|---|---|")
    for (kind, text), times in sorted(kinds(run.stdout + run.stderr).items(), key=lambda k: (k[0][0], -k[1])):
        print(f"| {kind} | {text} | {times} |")
    for text, times in unsaid(pages, notebooks).items():
        print(f"| unsaid | {text} | {times} |")


if __name__ == "__main__":
    main()
