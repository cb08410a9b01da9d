"""Make the built book into an EPUB, by the system's Chromium.

::

    python book/tools/make_epub.py    # _build/html to _build/epub/tdfusion.epub; make epub does both

A reader of EPUB runs no script. Formulas become MathML, which the book's own MathJax writes; explorers become pictures
of how they stand on the page. What is made is checked before it is written: see ``faults``. Sphinx's own builder is
not used: it leaves formulas as TeX, and loses the pages that lie in another folder than the first.
"""

from __future__ import annotations

import argparse
import re
import sys
import unicodedata
import uuid
from datetime import UTC, datetime
from html import escape
from io import BytesIO
from pathlib import Path
from urllib.parse import unquote, urlsplit
from xml.etree import ElementTree
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile

from browser import SETTLE, Browser, chromium, opened
from bs4 import BeautifulSoup, Tag
from print_book import ROOT, Chapter, chapters, first_page, joint_long_names, read_html

from tdfusion.files import whole_file

STYLE = Path(__file__).with_name("epub.css")
KINDS = {".xhtml": "application/xhtml+xml", ".css": "text/css", ".png": "image/png", ".svg": "image/svg+xml"}
LEFT_OUT = "script, style, link, button, noscript, details.hide, .tdx, .launched, .headerlink, .sd-summary-state-marker"
TO_MATHML = "(all) => all.map(([tex, display]) => MathJax.tex2mml(tex, {display}))"
STILL = """.tdx-bar, .tdx button { display: none !important; }
.tdx-chart { margin: 0.6rem auto 1rem !important; max-width: 30rem !important; overflow: visible !important; }"""
ALPHABET = re.compile(r'<mi mathvariant="(script|double-struck|bold)">([A-Z])</mi>')
PAGE = """<?xml version="1.0" encoding="utf-8"?>
<!DOCTYPE html>
<html xmlns="http://www.w3.org/1999/xhtml" xmlns:epub="http://www.idpf.org/2007/ops" lang="en" data-theme="light">
<head><title>{title}</title><link rel="stylesheet" href="pygments.css"/><link rel="stylesheet" href="epub.css"/></head>
<body>{body}</body></html>
"""
CONTAINER = """<?xml version="1.0"?>
<container version="1.0" xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>
<rootfile full-path="book.opf" media-type="application/oebps-package+xml"/></rootfiles></container>
"""
PACKAGE = """<?xml version="1.0" encoding="utf-8"?>
<package xmlns="http://www.idpf.org/2007/opf" version="3.0" xml:lang="en" unique-identifier="id">
<metadata xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:identifier id="id">urn:uuid:{id}</dc:identifier>
<dc:title>{title}</dc:title><dc:language>en</dc:language><dc:creator>the tdfusion authors</dc:creator>
<meta property="dcterms:modified">{now}</meta></metadata>
<manifest>{manifest}</manifest><spine>{spine}</spine></package>
"""


def letter(found: re.Match[str]) -> str:
    """A calligraphic letter as itself: few readers know MathML's ``mathvariant``."""
    for start in ("MATHEMATICAL ", ""):  # the older ones of Unicode, such as that of F, go without
        try:
            return f"<mi>{unicodedata.lookup(f'{start}{found[1].upper()} CAPITAL {found[2]}')}</mi>"
        except KeyError:
            continue
    return found[0]


def tex_of(formula: Tag) -> tuple[str, bool]:
    """The TeX of a formula of a page, and whether it stands on a line of its own."""
    said = "".join(
        text for text in formula.find_all(string=True) if not text.find_parent(class_="eqno")
    ).strip()
    return said[2:-2].strip(), said.startswith(r"\[")


def mathml(
    browser: Browser, page_of_book: Path, formulas: list[tuple[str, bool]]
) -> dict[tuple[str, bool], str]:
    """Formulas in MathML, by the MathJax of a page, which knows the book's macros."""
    with opened(browser, page_of_book, patience=120) as (page, _):
        page.evaluate(SETTLE)
        said = page.evaluate(TO_MATHML, formulas)
    found = {}
    for (tex, display), code in zip(formulas, said, strict=True):
        code = re.sub(r' data-mjx-[\w-]+="[^"]*"', "", code).replace(
            "<math ", f'<math alttext="{escape(tex)}" ', 1
        )
        found[tex, display] = ALPHABET.sub(letter, code)
    return found


def explorers(browser: Browser, file: Path) -> list[tuple[str, bytes]]:
    """The explorers of a page: the name of each, and how it looks before anything is chosen."""
    if "tdx-twin" not in file.read_text("utf-8"):
        return []
    with opened(browser, file, width=800, patience=120) as (page, _):
        page.emulate_media(media="print", color_scheme="light")  # without the bar that stays above the page
        page.evaluate(SETTLE)
        page.add_style_tag(content=STILL)
        page.wait_for_function(
            "() => document.querySelectorAll('.tdx-twin:not(:has([data-drawn]))').length === 0"
        )
        drawn = page.locator(".tdx-twin .tdx").all()
        return [(one.get_attribute("aria-label"), one.screenshot()) for one in drawn]


def article(
    chapter: Chapter, places: dict[Path, Chapter], said: dict, shown: list, files: dict[str, bytes]
) -> str:
    """What a page says, as XHTML, with formulas and explorers as said and shown; its pictures go into ``files``."""
    content = read_html(chapter.file).select_one("article.bd-article")
    content.name = "section"
    for at, (twin, (label, picture)) in enumerate(zip(content.select(".tdx-twin"), shown, strict=True)):
        name = f"images/{chapter.anchor()}-{at}.png"
        files[name] = picture
        twin.replace_with(BeautifulSoup().new_tag("img", src=name, alt=f"{label}, before anything is chosen"))
    joint_long_names(content)
    for node in content.select(LEFT_OUT):
        node.decompose()
    for node in content.select("details"):
        node["open"] = ""  # not every reader can open one
    for node in content.select("dt dl, dt dd"):
        node.name = "div"  # a signature of several lines: no list of definitions
    for node in content.select("[role]"):
        del node["role"]
    for node in content.select(".math"):
        formula = BeautifulSoup(said[tex_of(node)], "html.parser")
        for text in [text for text in node.find_all(string=True) if not text.find_parent(class_="eqno")]:
            text.extract()
        node.append(formula)
    for link in content.select("a[href]"):
        parts = urlsplit(link["href"])
        if parts.scheme:
            continue
        target = (chapter.file.parent / unquote(parts.path)).resolve() if parts.path else chapter.file
        if target in places:
            link["href"] = f"{places[target].anchor()}.xhtml" + f"#{parts.fragment}" * bool(parts.fragment)
        else:
            link.unwrap()  # a file beside the page: nothing here
    for image in content.select("img:not([src^='images/'])"):
        file = (chapter.file.parent / unquote(image["src"])).resolve()
        image["src"] = f"images/{file.name}"
        files[image["src"]] = file.read_bytes()
    return str(content)


def contents(book: list[Chapter]) -> str:
    """The table of contents, by parts."""
    items, part = [], ""
    for chapter in book:
        if chapter.part != part:
            items += ["</ol></li>"] * bool(part) + [f"<li><span>{escape(chapter.part)}</span><ol>"]
            part = chapter.part
        items.append(f'<li><a href="{chapter.anchor()}.xhtml">{escape(chapter.title)}</a></li>')
    items += ["</ol></li>"] * bool(part)
    return f'<nav epub:type="toc"><h1>Contents</h1><ol>{"".join(items)}</ol></nav>'


def package(book: list[Chapter], files: dict[str, bytes]) -> str:
    """The list of files, and of pages in their order."""
    names = list(files)[2:]  # the first two stand outside
    cover = next(name for name in names if name.startswith("images/"))
    items = []
    for name in names:
        holds = "mathml" if b"<math" in files[name] and name.endswith(".xhtml") else ""
        special = {"contents.xhtml": "nav", cover: "cover-image"}.get(name, holds)
        kind = KINDS[Path(name).suffix] + f'" properties="{special}' * bool(special)
        items.append(f'<item id="f{len(items)}" href="{name}" media-type="{kind}"/>')
    order = ["contents.xhtml", *(f"{chapter.anchor()}.xhtml" for chapter in book)]
    return PACKAGE.format(
        id=uuid.uuid5(uuid.NAMESPACE_URL, "tdfusion"),
        title=escape(book[0].title),
        now=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        manifest="".join(items),
        spine="".join(f'<itemref idref="f{names.index(name)}"/>' for name in order),
    )


def made(browser: Browser, html: Path) -> bytes:
    """The built book as EPUB."""
    book = chapters(first_page(html))
    places = {chapter.file: chapter for chapter in book}
    formulas = {tex_of(node): c.file for c in book for node in read_html(c.file).select("article .math")}
    said = mathml(browser, next(iter(formulas.values())), list(formulas))
    files = {
        "mimetype": b"application/epub+zip",
        "META-INF/container.xml": CONTAINER.encode(),
        "epub.css": STYLE.read_bytes(),
        "pygments.css": (html / "_static" / "pygments.css").read_bytes(),
        "contents.xhtml": PAGE.format(title="Contents", body=contents(book)).encode(),
    }
    for chapter in book:
        text = article(chapter, places, said, explorers(browser, chapter.file), files)
        files[f"{chapter.anchor()}.xhtml"] = PAGE.format(title=escape(chapter.title), body=text).encode()
    files["book.opf"] = package(book, files).encode()
    whole = BytesIO()
    with ZipFile(whole, "w") as archive:
        for name, content in files.items():  # the type first and as it is, so that it stands at a known place
            archive.writestr(name, content, ZIP_STORED if name == "mimetype" else ZIP_DEFLATED)
    return whole.getvalue()


def faults(epub: bytes) -> list[str]:
    """What is not well-formed, not listed, missing, linked to nothing, from elsewhere, a script, or left as TeX."""
    found, places, links = [], set(), []
    if not epub[30:].startswith(b"mimetypeapplication/epub+zip"):
        found.append("mimetype does not stand first, as it is")
    with ZipFile(BytesIO(epub)) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    listed = {"mimetype", "META-INF/container.xml", "book.opf"}
    listed |= set(re.findall(r'<item [^>]*href="([^"]+)"', files["book.opf"].decode()))
    found += [f"{name}: not listed, or listed and not there" for name in sorted(listed ^ set(files))]
    for name, content in files.items():
        if name.endswith(".css") and re.search(rb"@import|url\(", content):
            found.append(f"{name}: loads something")
        if not name.endswith((".xhtml", ".xml", ".opf", ".svg")):
            continue
        try:
            nodes = list(ElementTree.fromstring(content).iter())
        except ElementTree.ParseError as error:
            found.append(f"{name}: {error}")
            continue
        if not name.endswith(".xhtml"):
            continue
        own = [f"{name}#{node.get('id')}" for node in nodes if node.get("id")]
        found += [
            f"{place}: two places of this name" for place in sorted({p for p in own if own.count(p) > 1})
        ]
        places |= {name, *own}
        for node in nodes:
            kind = node.tag.rpartition("}")[2]
            loads = node.get("src") or (node.get("href") if kind == "link" else None)
            if loads and loads not in files:
                found.append(f"{name}: no file for {loads}")
            if kind == "a" and not urlsplit(node.get("href", name)).scheme:
                links.append((name, node.get("href", name)))
            if kind == "script" or any(key.startswith("on") for key in node.attrib):
                found.append(f"{name}: a script")
            if "math" in node.get("class", "").split() and not node.findall("{*}math"):
                found.append(f"{name}: no formula made of {''.join(node.itertext()).strip()[:40]}")
    return found + [f"{name}: nothing at {link}" for name, link in links if link not in places]


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the built book into an EPUB.")
    parser.add_argument("--html", type=Path, default=ROOT / "_build" / "html", help="the built book")
    parser.add_argument(
        "--out", type=Path, default=ROOT / "_build" / "epub" / "tdfusion.epub", help="the EPUB"
    )
    args = parser.parse_args()
    if not (args.html / "index.html").is_file():
        sys.exit(f"{args.html}: no book to take; build it first (make book)")
    with chromium() as browser:
        epub = made(browser, args.html)
    found = faults(epub)
    if found:
        sys.exit("\n".join(found))
    with whole_file(args.out) as part:
        part.write_bytes(epub)
    print(f"{args.out}: {len(epub) / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
