"""The book as EPUB: formulas as MathML, explorers as pictures, and a check that finds what is wrong."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from xml.etree import ElementTree
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile

import pytest
from browser import Browser
from conftest import ROOT
from make_epub import faults, made
from test_book import toc_files
from test_print_book import PICTURE, built, small_book  # noqa: F401

MATHJAX = (ROOT / "book" / "_static" / "mathjax" / "tex-chtml-full.js").as_uri()
COVER = f"""{PICTURE}<script src="{MATHJAX}"></script>
<p>A network <span class="math">\\(\\mathcal{{G}} &lt; 1\\)</span>, and <a href="end.html#here">a place</a>,
<a href="../end.py">a file</a>, <a href="https://example.org">elsewhere</a>.</p>
<div class="math" id="eq"><span class="eqno">(7)<a class="headerlink" href="#eq">#</a></span>
\\[\\begin{{split}}a &amp;= \\mathcal{{F}}\\end{{split}}\\]</div>
<details class="hide"><summary>code</summary><pre>hidden</pre></details>
<details><summary>Solution</summary><p>It is 3.</p></details>"""
END = """<p id="here">Last.</p><br><script>document.title = "x"</script>
<div class="tdx-twin"><p>This explorer needs JavaScript.</p><script type="module">1 &lt; 2</script>
<section class="tdx" data-drawn aria-label="Lens">seen</section></div>"""


@pytest.fixture(scope="module")
def small(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    html = small_book(tmp_path_factory.mktemp("html"), cover=COVER, end=END)
    (html / "_static").mkdir()
    (html / "_static" / "pygments.css").write_text(".k { color: green }")
    return made(browser, html)


def pages(epub: bytes) -> dict[str, bytes]:
    with ZipFile(BytesIO(epub)) as archive:
        return {name.rpartition("--")[2]: archive.read(name) for name in archive.namelist()}


def test_a_small_book_has_no_faults_and_is_an_epub(small: bytes) -> None:
    assert faults(small) == []
    with ZipFile(BytesIO(small)) as archive:
        assert archive.testzip() is None
        first = archive.infolist()[0]
    assert (first.filename, first.compress_type) == ("mimetype", ZIP_STORED)
    package = ElementTree.fromstring(pages(small)["book.opf"])
    ids = {item.get("id"): item.get("href") for item in package.findall(".//{*}item")}
    spine = [ids[item.get("idref")].rpartition("--")[2] for item in package.findall(".//{*}itemref")]
    assert spine == ["contents.xhtml", "cover.xhtml", "end.xhtml"]
    said = {
        item.get("href").rpartition("--")[2]: item.get("properties") for item in package.findall(".//{*}item")
    }
    assert (said["cover.xhtml"], said["end.xhtml"]) == ("mathml", None)
    assert (said["contents.xhtml"], said["images/scene.png"]) == ("nav", "cover-image")


def test_formulas_are_mathml_with_letters_that_every_reader_has(small: bytes) -> None:
    page = ElementTree.fromstring(pages(small)["cover.xhtml"])
    inline, alone = page.iter("{http://www.w3.org/1998/Math/MathML}math")
    assert "".join("".join(inline.itertext()).split()) == "\N{MATHEMATICAL SCRIPT CAPITAL G}<1"
    assert inline.get("alttext") == r"\mathcal{G} < 1" and inline.get("display") is None
    assert "".join("".join(alone.itertext()).split()) == "a=\N{SCRIPT CAPITAL F}"
    assert alone.get("display") == "block"


def test_what_needs_a_script_or_a_click_is_shown_or_left_out(small: bytes) -> None:
    cover, end = pages(small)["cover.xhtml"].decode(), pages(small)["end.xhtml"].decode()
    assert "hidden" not in cover and '<details open="">' in cover and "(7)" in cover
    assert "end.xhtml#here" in cover and "end.py" not in cover and "https://example.org" in cover
    assert "script" not in end.lower() and 'alt="Lens, before anything is chosen"' in end
    picture = next(content for name, content in pages(small).items() if name.endswith("end-0.png"))
    assert picture.startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (b"<p ", b"<p><p ", "mismatched tag"),
        (b'id="here"', b'id="there"', "nothing at"),
        (b'id="here"', b'id="top"', "two places of this name"),
        (b"<p ", b"<script></script><p ", "a script"),
        (
            b"<p ",
            b'<img src="https://example.org/x.png" alt="x"/><p ',
            "no file for https://example.org/x.png",
        ),
        (b"<p ", b'<img src="images/gone.png" alt="x"/><p ', "no file for images/gone.png"),
        (b"<p ", b'<p class="math">\\(x\\)</p><p ', r"no formula made of \(x\)"),
        (b"pygments.css", b"https://example.org/a.css", "no file for https://example.org/a.css"),
    ],
)
def test_faults_of_a_page_are_found(small: bytes, old: bytes, new: bytes, said: str) -> None:
    found = faults(rewritten(small, {"end.xhtml": lambda page: page.replace(old, new, 1)}))
    assert said in found[0]


def test_faults_of_the_whole_are_found(small: bytes) -> None:
    assert faults(rewritten(small, {"mimetype": lambda said: said}, method=ZIP_DEFLATED)) == [
        "mimetype does not stand first, as it is"
    ]
    assert faults(rewritten(small, {"epub.css": lambda said: said + b"@import 'x.css'"})) == [
        "epub.css: loads something"
    ]
    unlisted = faults(
        rewritten(small, {"book.opf": lambda said: said.replace(b"pygments.css", b"other.css")})
    )
    assert [line.partition(":")[0] for line in unlisted] == ["other.css", "pygments.css"]


def rewritten(epub: bytes, changes: dict, method: int = ZIP_STORED) -> bytes:
    """The same EPUB, with files changed; its first file is stored by a method."""
    whole = BytesIO()
    with ZipFile(BytesIO(epub)) as old, ZipFile(whole, "w") as new:
        for name in old.namelist():
            change = changes.get(name.rpartition("--")[2], lambda said: said)
            new.writestr(name, change(old.read(name)), method if name == "mimetype" else ZIP_DEFLATED)
    return whole.getvalue()


@pytest.mark.slow
def test_the_built_book_has_every_page_and_no_faults(built: Path, browser: Browser) -> None:  # noqa: F811
    epub = made(browser, built)
    assert faults(epub) == []
    files = pages(epub)
    wanted = {Path(name).name + ".xhtml" for name in toc_files()}
    assert wanted <= set(files) and len(files) > 2 * len(wanted)
    assert sum(content.count(b"<math ") for content in files.values()) > 1000
