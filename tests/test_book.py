"""The book holds together: its table of contents, its notebook pairs, its links, and reading it offline."""

from __future__ import annotations

import json
import re
import tempfile
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import jupytext
import nbformat
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
HTML = ROOT / "_build" / "html"
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))

from browser import Browser, visit  # noqa: E402
from vendor_mathjax import MATHJAX  # noqa: E402
from vendored import differences  # noqa: E402

MACROS = yaml.safe_load((ROOT / "_config.yml").read_text())["sphinx"]["config"]["mathjax3_config"]["tex"][
    "macros"
]
each_notebook = pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)


# The table of contents and the notebooks


def toc_files() -> list[str]:
    """Every file the table of contents names, in its order, without suffix."""

    def walk(node: object) -> list[str]:
        if isinstance(node, list):
            return [name for item in node for name in walk(item)]
        if not isinstance(node, dict):
            return []
        own = [node[key] for key in ("root", "file") if key in node]
        return own + [name for value in node.values() for name in walk(value)]

    names = walk(yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8")))
    return [re.sub(r"\.(md|ipynb)$", "", name) for name in names]


def test_every_entry_of_the_table_of_contents_is_one_file() -> None:
    for name in toc_files():
        found = [s for s in (".md", ".ipynb") if (ROOT / (name + s)).is_file()]
        assert len(found) == 1, f"{name}: {found or 'no such file'}"


def test_no_page_stands_twice_in_the_table_of_contents() -> None:
    names = toc_files()
    assert len(names) == len(set(names))


def test_every_notebook_script_has_its_notebook() -> None:
    scripts = {path.stem for path in (ROOT / "notebooks").glob("*.py")}
    assert scripts == {path.stem for path in NOTEBOOKS}


def cells(notebook: nbformat.NotebookNode) -> list[tuple]:
    """What the two forms share of each cell: type, source, tags, and how the book shows its outputs."""
    return [
        (c.cell_type, c.source.rstrip(), sorted(c.metadata.get("tags", [])), c.metadata.get("mystnb", {}))
        for c in notebook.cells
    ]


@each_notebook
def test_notebook_and_script_hold_the_same_cells(notebook: Path) -> None:
    pair = notebook.with_suffix(".py")
    assert pair.is_file(), f"{pair.name} is missing: jupytext --sync {notebook.name}"
    ours, theirs = cells(nbformat.read(notebook, as_version=4)), cells(jupytext.read(pair))
    for at, (one, other) in enumerate(zip(ours, theirs)):
        assert one == other, f"cell {at} of {notebook.name} differs from {pair.name}"
    assert len(ours) == len(theirs)


@each_notebook
def test_notebook_runs_on_the_ordinary_kernel(notebook: Path) -> None:
    metadata = nbformat.read(notebook, as_version=4).metadata
    assert metadata["kernelspec"]["name"] == "python3"
    assert "widgets" not in metadata  # state of live widgets: the page shows their text/html instead


def machine_paths(outputs: list[dict]) -> list[str]:
    """Paths of the machine that ran a notebook, in the text of its outputs."""
    folders = [re.escape(str(p)) for p in (ROOT, Path.home(), Path(tempfile.gettempdir()))]
    pattern = re.compile("|".join([*folders, r"/home/\w+", r"/Users/\w+", r"/root/", r"[A-Z]:\\\\?Users"]))
    text = []
    for output in outputs:
        bundle = output.get("data", {})
        text += [json.dumps(value) for kind, value in bundle.items() if not kind.startswith("image/")]
        text += [json.dumps(output.get(key, "")) for key in ("text", "traceback")]
    return pattern.findall("\n".join(text))


@each_notebook
def test_outputs_name_no_place_of_the_machine(notebook: Path) -> None:
    for cell in nbformat.read(notebook, as_version=4).cells:
        assert not machine_paths(cell.get("outputs", []))


@each_notebook
def test_outputs_keep_no_progress_bar(notebook: Path) -> None:
    """A bar says how far a run is; on a page it stands at what it said first."""
    assert not re.search(r"\d%\||\| \d+/\d+ \[", notebook.read_text("utf-8"))


def test_a_path_in_an_output_would_be_found() -> None:
    assert machine_paths([{"output_type": "stream", "text": f"written to {Path.home()}/x.png"}])
    assert machine_paths([{"data": {"text/plain": str(ROOT / "runs")}}])
    assert not machine_paths([{"data": {"image/png": str(ROOT), "text/plain": "runs/x"}}])


@each_notebook
def test_notebook_writes_plain_tex(notebook: Path) -> None:
    """The macros of _config.yml exist on the built pages only, not where a notebook is worked with."""
    for cell in nbformat.read(notebook, as_version=4).cells:
        if cell.cell_type == "markdown":
            used = set(re.findall(r"\\([A-Za-z]+)", cell.source)) & MACROS.keys()
            assert not used, f"{notebook.name}: write out {sorted(used)}"


# How a page begins

NO_ANSWER = ["book/notation", "book/use/api", "book/bibliography"]  # lists to look things up in
OPENED_OTHERWISE = [  # opened otherwise
    "book/index",
    "notebooks/read_45_ablations",
    "book/reproduce/lookahead_plan",
    "book/reproduce/recipes_plan",
    "book/reproduce/photographs_plan",
    "book/reproduce/mechanism_plan",
    "book/reproduce/differences",
]


def first_text(name: str) -> str:
    """A page up to its first code or its first section."""
    page = ROOT / f"{name}.ipynb"
    if page.is_file():
        return nbformat.read(page, as_version=4).cells[0].source.partition("\n## ")[0]
    return (ROOT / f"{name}.md").read_text("utf-8").partition("\n## ")[0]


def opening_fault(text: str) -> str:
    """What a page's beginning lacks: a title, its answer in bold, and then what the page shows."""
    title, *paragraphs = re.split(r"\n\s*\n", text.strip())
    if not title.startswith("# ") or len(paragraphs) < 2:
        return "no title, or nothing below it"
    bold = re.match(r"\*\*(.+?)\*\*", paragraphs[0], re.S)
    if not bold or bold[1].startswith("What "):
        return "the title is not followed by an answer in bold"
    said = re.sub(r"\b(Eq|Sec|Fig|Figs|Exp)\.", r"\1", bold[1])
    if not said.endswith(".") or len(re.findall(r"[.?!](?=\s|$)", said)) > 3:
        return "the answer is not one to three sentences"
    if not paragraphs[1].startswith("**What this page shows.** "):
        return "the answer is not followed by what the page shows"
    return ""


@pytest.mark.parametrize("name", [n for n in toc_files() if n not in NO_ANSWER + OPENED_OTHERWISE])
def test_a_page_begins_with_its_answer(name: str) -> None:
    assert opening_fault(first_text(name)) == ""


def test_a_page_that_begins_otherwise_would_be_found() -> None:
    shows = "**What this page shows.** Runs."
    assert opening_fault(f"# A page\n\n**It is so.** See Eq. (2).\n\n{shows}\n") == ""
    assert opening_fault(f"# A page\n\n**One, Eq. (2).\nTwo. Three.**\n\n{shows}\n") == ""
    for text, fault in (
        (f"{shows}\n\nIt is so.", "no title"),
        (f"# A page\n\n{shows}\n\n**What it needs.** Nothing.", "not followed by an answer"),
        (f"# A page\n\nIt is **so**.\n\n{shows}", "not followed by an answer"),
        (f"# A page\n\n**Results**\n\n{shows}", "one to three sentences"),
        (f"# A page\n\n**One. Two. Three. Four.**\n\n{shows}", "one to three sentences"),
        ("# A page\n\n**It is so.**\n\nAnd more.", "what the page shows"),
    ):
        assert fault in opening_fault(text)


# The built book


class Page(HTMLParser):
    """The anchors of a page, what it links to, and what it loads."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.feed(file.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = {key: value for key, value in attrs if value}
        self.anchors |= {named[key] for key in ("id", "name") if key in named}
        if tag == "a" and "href" in named:
            self.links.append(named["href"])
        elif tag == "link" and named.get("rel") not in ("canonical", "author", "license"):
            self.loads.append(named.get("href", ""))
        elif tag in ("script", "img", "iframe", "source", "video", "audio", "embed", "object"):
            self.loads += [named[key] for key in ("src", "data", "srcset") if key in named]


@cache
def parsed(file: Path) -> Page:
    return Page(file)


def reachable(start: Path) -> list[Path]:
    """The pages a reader can come to: an old build may have left others in the folder."""
    found, waiting = [], [start]
    while waiting:
        page = waiting.pop()
        found.append(page)
        for link in parsed(page).links:
            parts = urlsplit(link)
            file = (page.parent / unquote(parts.path)).resolve()
            if not parts.scheme and file.suffix == ".html" and file.is_file() and file not in found + waiting:
                waiting.append(file)
    return sorted(found)


def faults(pages: list[Path]) -> list[str]:
    """Links to nothing, anchors that are not there, files that are missing, and what comes from elsewhere."""
    found = []
    for page in pages:
        for link in parsed(page).links + parsed(page).loads:
            parts = urlsplit(link)
            loaded = link in parsed(page).loads
            if parts.scheme == "data" or (parts.scheme and not loaded):
                continue
            if parts.scheme or parts.netloc:
                found.append(f"{page.name}: loads {link}")
                continue
            file = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            if not file.is_file():
                found.append(f"{page.name}: no file for {link}")
            elif file.suffix == ".html" and unquote(parts.fragment) not in {"", *parsed(file).anchors}:
                found.append(f"{page.name}: no anchor for {link}")
    return found


@pytest.fixture(scope="session")
def built() -> list[Path]:
    """The pages of the built book."""
    if not (HTML / "index.html").is_file():
        pytest.skip("the book is not built here: make book")
    # index.html only forwards to the first page, with a meta tag
    return reachable((HTML / toc_files()[0]).with_suffix(".html"))


def test_the_built_book_holds_every_page_of_its_contents(built: list[Path]) -> None:
    assert {(HTML / name).with_suffix(".html") for name in toc_files()} <= set(built)


def test_every_link_anchor_and_picture_resolves_and_nothing_comes_from_elsewhere(built: list[Path]) -> None:
    assert faults(built) == []


def test_style_sheets_load_nothing_from_elsewhere(built: list[Path]) -> None:
    for sheet in (HTML / "_static").rglob("*.css"):
        loaded = re.findall(r"(?:@import|url\()\s*[\"']?(?:https?:)?//[^\"')]+", sheet.read_text("utf-8"))
        assert not loaded, f"{sheet.name}: {loaded}"


def test_every_picture_of_a_page_is_described(built: list[Path]) -> None:
    """In words, that is: a notebook's picture is otherwise described by the name of its file."""
    for page in built:
        article = page.read_text("utf-8").partition("<article")[2].partition("</article>")[0]
        for picture in re.findall(r"<img[^>]*>", article):
            said = re.search(r'\balt="([^"]*)"', picture)
            words = said[1] if said and not re.search(r"\.(png|svg|jpe?g)$", said[1]) else ""
            assert re.search(r"\w", words), f"{page.name}: no alt text in {picture[:120]}"


def test_a_broken_book_would_be_found(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text(
        '<h1 id="top">A</h1><a href="b.html#here">b</a><a href="b.html#gone">b</a><a href="c.html">c</a>'
        '<img src="no.png" alt="x"><script src="https://example.org/x.js"></script>'
        '<a href="https://example.org">out</a><link rel="stylesheet" href="//example.org/x.css">'
    )
    (tmp_path / "b.html").write_text('<p id="here">B</p><a href="a.html#top">a</a><a href="#">top</a>')
    pages = reachable(tmp_path / "a.html")
    assert [page.name for page in pages] == ["a.html", "b.html"]
    assert faults(pages) == [
        "a.html: no anchor for b.html#gone",
        "a.html: no file for c.html",
        "a.html: no file for no.png",
        "a.html: loads https://example.org/x.js",
        "a.html: loads //example.org/x.css",
    ]


def test_mathjax_is_the_published_one() -> None:
    assert differences(MATHJAX.target) == []


# The built book in a browser


@pytest.mark.slow
def test_every_page_opens_from_disk_without_a_problem(built: list[Path], browser: Browser) -> None:
    """On a phone: no failed request, none to another host, no error, equations rendered, nothing too wide."""
    problems = {}
    for page in built:
        seen = visit(browser, page, width=390, dark=True)
        if seen.problems:
            problems[page.relative_to(HTML).as_posix()] = seen.problems
        assert bool(seen.equations) == ('class="math' in page.read_text("utf-8"))
    assert problems == {}


def test_the_browser_reports_what_is_wrong(tmp_path: Path, browser: Browser) -> None:
    page = tmp_path / "bad.html"
    page.write_text(
        '<meta name="viewport" content="width=device-width"><div style="width: 900px">wide</div>'
        '<img src="no.png"><span class="math">x</span>'
        '<script>console.error("planted"); setTimeout(() => fall(), 0);</script>'
        '<script src="http://localhost:9/x.js"></script>'
    )
    said = "\n".join(visit(browser, page, width=390).problems)
    for part in (
        "image does not load: no.png",
        "equation is not rendered: x",
        "px wider than the screen",
        "console error: planted",
        "fall is not defined",
        "asks the network for http://localhost:9/x.js",
        "request failed: http://localhost:9/x.js",
    ):
        assert part in said
