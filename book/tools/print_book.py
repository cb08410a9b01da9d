"""Print the built book as one PDF, by the system's Chromium.

::

    python book/tools/print_book.py    # _build/html to _build/pdf/tdfusion.pdf; make pdf does both

The articles of all pages, in the order of the contents, become one page, on which links of the book lead from place to
place; Chromium prints it, with bookmarks, once every equation, picture and explorer stands.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path
from urllib.parse import unquote, urlsplit

from browser import REPORT, SETTLE, Browser, chromium, opened
from bs4 import BeautifulSoup, Tag

from tdfusion.files import whole_file

ROOT = Path(__file__).resolve().parents[2]
STYLE = Path(__file__).with_suffix(".css")
SCALE = 0.8  # of a screen's sizes
WIDTH = int((210 - 2 * 18) / 25.4 * 96 / SCALE)  # of the text on A4, in the page's pixels
PATIENCE = 900.0  # seconds for any one step: the whole book is one page, and the machine may be busy
MARGIN = {"top": "16mm", "bottom": "18mm", "left": "18mm", "right": "18mm"}
NUMBER = '<div style="width: 100%; text-align: center; font: 9px sans-serif"><span class="pageNumber"></span></div>'
PAPER = {
    "format": "A4", "scale": SCALE, "margin": MARGIN, "print_background": True,
    "display_header_footer": True, "header_template": "<span></span>", "footer_template": NUMBER,
    "outline": True, "tagged": True,
}  # fmt: skip
TALL = 500  # pixels, two fifths of a page: such a listing goes on overleaf rather than leave a hole before it
LONG_WORD = re.compile(
    r"\S{20,}"
)  # would hold a column of a table open: it may end a line where it has a joint
JOINT = re.compile(r"(?<=[./_])(?=\w)")
# What is wider than the paper is made smaller: nothing can be scrolled there.
FIT = """(tall) => {
  for (const part of document.querySelectorAll(".libcode, div[class*='highlight']"))
    if (part.offsetHeight > tall) part.style.breakInside = "auto";
  const wide = "table, pre, div.math, .cell_output > .output, .tdx";
  for (const part of document.querySelectorAll(wide)) {
    const room = part.parentElement.clientWidth;
    const math = part.querySelector(":scope > mjx-container"); // gives way to the equation's number
    const needed = Math.max(part.scrollWidth, part.getBoundingClientRect().width)
      + (math ? math.scrollWidth - math.clientWidth : 0);
    if (room && needed > room + 1) part.style.zoom = room / needed;
  }
}"""


# What would stand beyond the paper's edge, or behind the edge of a box that only a screen could scroll.
CUT = """() => {
  const edge = document.documentElement.clientWidth + 1;
  const seen = (box) => box.width > 1 && box.height > 1;
  const cut = [...document.querySelectorAll("body *:not(mjx-container *)")].filter((part) => {
    const box = part.getBoundingClientRect();
    if (!seen(box)) return false;
    if (box.right > edge || box.left < -1) return true;
    const math = part.matches(".math") && part.querySelector("mjx-container"); // holds a second, hidden form
    if (math) return math.getBoundingClientRect().right > box.right + 1;
    return part.clientWidth > 1 && part.scrollWidth > part.clientWidth + 1
      && getComputedStyle(part).overflowX !== "visible";
  });
  return cut.map((part) => `${part.localName} at ${part.closest("[id]")?.id}: ${part.textContent.trim().slice(0, 60)}`);
}"""
# The numbers of the pages, into the contents; and what of them has none.
NUMBERED = """(numbers) => {
  const places = [...document.querySelectorAll(".book-contents [data-page-of]")];
  places.forEach((place) => { place.textContent = numbers[place.dataset.pageOf] ?? ""; });
  return places.filter((place) => !place.textContent).map((place) => place.dataset.pageOf);
}"""


@dataclass(frozen=True)
class Chapter:
    """A page of the book: its part (the first has none), title and file."""

    part: str
    title: str
    file: Path

    def anchor(self, inside: str = "") -> str:
        """The name of a place of this page in the whole book."""
        return "--".join(filter(None, (self.file.parent.name, self.file.stem, inside)))


def read_html(file: Path) -> BeautifulSoup:
    return BeautifulSoup(file.read_text("utf-8"), "html.parser")


def first_page(html: Path) -> Path:
    """The page to which the built book's ``index.html`` forwards."""
    return (
        html / urlsplit(read_html(html / "index.html").meta["content"].partition("url=")[2]).path
    ).resolve()


def chapters(first: Path) -> list[Chapter]:
    """Every page, in the order of the contents, which stand beside each of them."""
    found, part = [], ""
    for entry in read_html(first).select("nav.bd-links :is(.caption-text, a.reference.internal)"):
        text = entry.get_text(" ", strip=True)
        if entry.name == "span":
            part = text
            continue
        place = unquote(urlsplit(entry["href"]).path)
        found.append(Chapter(part, text, (first.parent / place).resolve() if place else first))
    return found


def joint_long_names(content: Tag) -> None:
    """Let the long names in tables end a line at their joints."""
    for cell in content.select("td"):
        for text in cell.find_all(string=LONG_WORD):
            if not text.find_parent(class_="math"):
                text.replace_with(BeautifulSoup(JOINT.sub("<wbr>", escape(text)), "html.parser"))


def article(chapter: Chapter, places: dict[Path, Chapter]) -> Tag:
    """What a page says, with its anchors and links as those of the whole book."""
    content = read_html(chapter.file).select_one("article.bd-article")
    content.name = "section"
    content["id"] = chapter.anchor()
    for script in content.select("script:not([type])") + content.select("script[src]"):
        script.decompose()  # what only a reader can start
    for hidden in content.select("details"):
        if "hide" in hidden["class"]:
            hidden.decompose()
        else:
            hidden["open"] = ""
    joint_long_names(content)
    for node in content.find_all(True):
        if node.find_parent("svg"):
            continue
        if "id" in node.attrs and node is not content:
            node["id"] = chapter.anchor(node["id"])
        for name in ("src", "href"):
            if name in node.attrs:
                redirect(node, name, chapter, places)
    return content


def redirect(node: Tag, name: str, chapter: Chapter, places: dict[Path, Chapter]) -> None:
    """Lead a link to its place in the whole book, and find a picture from anywhere."""
    parts = urlsplit(node[name])
    if parts.scheme:
        return
    file = (chapter.file.parent / unquote(parts.path)).resolve() if parts.path else chapter.file
    if node.name != "a":
        node[name] = file.as_uri()
    elif file in places:
        node[name] = "#" + places[file].anchor(unquote(parts.fragment))
    else:
        del node[name]  # a file beside the page: nothing in print


def contents(book: list[Chapter]) -> Iterator[str]:
    """Cover and table of contents."""
    cover = book[0]
    picture = read_html(cover.file).select_one("article.bd-article img")
    yield f'<header class="cover"><p class="cover-title">{escape(cover.title)}</p>'
    yield "<p>A research book on <em>Task-driven Image Fusion with Learnable Fusion Loss</em>, CVPR 2025</p>"
    yield f'<img src="{(cover.file.parent / picture["src"]).resolve().as_uri()}" alt="{escape(picture["alt"])}">'
    yield '<p>the tdfusion authors</p></header><nav class="book-contents"><h1>Contents</h1><ul>'
    part = ""
    for chapter in book:
        if chapter.part != part:
            part = chapter.part
            yield f'<li class="part">{escape(part)}</li>'
        link = f'<a href="#{chapter.anchor()}">{escape(chapter.title)}</a>'
        yield f'<li>{link}<i class="leader"></i><span data-page-of="{chapter.anchor()}"></span></li>'
    yield "</ul></nav>"


def one_page(html: Path) -> str:
    """The whole book as one page.

    Args:
        html: the folder of the built book.
    """
    first = first_page(html)
    book = chapters(first)
    places = {chapter.file: chapter for chapter in book}
    head = read_html(first).head
    sheets = list(head.select("link[rel=stylesheet]"))
    math = [script for script in head.select("script") if "mathjax" in str(script).lower()]
    for node in sheets + math:
        for name in ("href", "src"):
            if name in node.attrs:
                node[name] = (first.parent / urlsplit(node[name]).path).resolve().as_uri()
    return "\n".join(
        [
            '<!doctype html><html lang="en" data-theme="light" data-mode="light"><head><meta charset="utf-8">',
            f"<title>{escape(book[0].title)}</title>",
            *map(str, sheets + math),
            f"<style>{STYLE.read_text('utf-8')}</style></head><body>",
            *contents(book),
            *(str(article(chapter, places)) for chapter in book),
            "</body></html>",
        ]
    )


def page_numbers(pdf: bytes) -> dict[str, int]:
    """The page of each named place, counted from 1, from a PDF as Chromium writes it: its objects are plain text."""
    pages = re.findall(rb"(\d+) 0 obj\s*<<\s*/Type /Page\b", pdf)
    places = re.findall(rb"/([\w-]+) \[(\d+) 0 R /XYZ ", pdf)
    return {name.decode(): pages.index(page) + 1 for name, page in places}


def print_book(browser: Browser, html: Path, out: Path) -> list[str]:
    """Print the built book into ``out``, whole or not at all; the problems that were met."""
    out.parent.mkdir(parents=True, exist_ok=True)
    whole = out.with_suffix(".html")
    whole.write_text(one_page(html), encoding="utf-8")
    with opened(browser, whole, width=WIDTH, patience=PATIENCE) as (page, problems):
        page.emulate_media(media="print", color_scheme="light")
        page.evaluate(SETTLE)
        for kind in page.evaluate("[...document.querySelectorAll('.tdx-twin')].map((t) => t.dataset.tdx)"):
            page.wait_for_selector(f"[data-tdx='{kind}'] .tdx[data-drawn]", state="attached")
        page.evaluate(FIT, TALL)
        report = page.evaluate(REPORT)
        problems += [f"{key}: {said}" for key in ("images", "wrong", "bare") for said in report[key]]
        problems += [f"cut off: {said}" for said in page.evaluate(CUT)]
        page.evaluate(
            NUMBERED, page_numbers(page.pdf(**PAPER))
        )  # no style sheet can ask for a page's number here
        with whole_file(out) as part:
            page.pdf(path=part, **PAPER)
    whole.unlink()
    return problems


def main() -> None:
    parser = argparse.ArgumentParser(description="Print the built book as one PDF.")
    parser.add_argument("--html", type=Path, default=ROOT / "_build" / "html", help="the built book")
    parser.add_argument("--out", type=Path, default=ROOT / "_build" / "pdf" / "tdfusion.pdf", help="the PDF")
    args = parser.parse_args()
    if not (args.html / "index.html").is_file():
        sys.exit(f"{args.html}: no book to print; build it first (make book)")
    with chromium() as browser:
        problems = print_book(browser, args.html, args.out)
    if problems:
        sys.exit("\n".join(problems))
    print(f"{args.out}: {args.out.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
