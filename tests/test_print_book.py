"""The book as one PDF: every page of it, its equations typeset, its links inside the file."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from browser import Browser
from bs4 import BeautifulSoup
from conftest import ROOT
from print_book import chapters, one_page, page_numbers, print_book, read_html
from test_book import toc_files

HTML = Path(os.environ.get("TDFUSION_HTML") or ROOT / "_build" / "html")
TEX = r"\\(frac|mathcal|theta|sum|partial|begin|left|tag)\b"

slow = pytest.mark.slow


def small_book(folder: Path, **articles: str) -> Path:
    """A built book of a few pages, in the frame that the tool reads."""
    shutil.copy(ROOT / "book" / "images" / "cover.png", folder / "scene.png")
    links = "".join(f'<a class="reference internal" href="{name}.html">The {name}</a>' for name in articles)
    for name, content in articles.items():
        (folder / f"{name}.html").write_text(
            f'<!doctype html><html><head></head><body><nav class="bd-links">{links}</nav>'
            f'<article class="bd-article"><section id="top"><h1>The {name}</h1>{content}</section></article>'
        )
    (folder / "index.html").write_text(
        f'<meta http-equiv="Refresh" content="0; url={next(iter(articles))}.html">'
    )
    return folder


PICTURE = '<img alt="the scene" src="scene.png" width="100">'


def test_a_small_book_is_printed_with_the_numbers_of_its_pages(browser: Browser, tmp_path: Path) -> None:
    tall = '<div style="height: 3000px"></div>'
    html = small_book(
        tmp_path, cover=PICTURE + tall, middle='<a href="cover.html#top">back</a>', end="<p>The end.</p>"
    )
    out = tmp_path / "out" / "book.pdf"
    assert print_book(browser, html, out) == []
    pdf = out.read_bytes()
    assert len(re.findall(rb"/Type /Page\b", pdf)) == 7
    wanted = {"cover": 3, "middle": 6, "end": 7}  # after the cover and the contents
    numbers = page_numbers(pdf)
    folder = tmp_path.name
    assert {name: numbers[f"{folder}--{name}"] for name in wanted} == wanted


def test_what_a_screen_would_scroll_is_made_smaller(browser: Browser, tmp_path: Path) -> None:
    cell = '<td style="white-space: nowrap">' + "a wide cell " * 20
    html = small_book(
        tmp_path, cover=f'{PICTURE}<div style="overflow-x: auto"><table><tr>{cell}</table></div>'
    )
    assert print_book(browser, html, tmp_path / "book.pdf") == []


def test_what_is_cut_off_is_reported(browser: Browser, tmp_path: Path) -> None:
    hidden = '<div style="overflow: hidden; white-space: nowrap">' + "long, " * 200 + "</div>"
    beyond = '<p style="width: 2000px">wide</p>'
    html = small_book(tmp_path, cover=PICTURE + hidden, second=beyond)
    problems = print_book(browser, html, tmp_path / "book.pdf")
    assert [problem.partition(" at ")[0] for problem in problems] == ["cut off: div", "cut off: p"]


def test_long_names_in_a_table_may_end_a_line_and_formulas_stay(tmp_path: Path) -> None:
    name, tex = "tdfusion.downstream.scores.segmentation_scores", r"\mathcal{L}_f^{int}.w_a" * 3
    html = small_book(
        tmp_path, cover=f'{PICTURE}<table><tr><td>{name}</td><td><span class="math">{tex}</span></td></table>'
    )
    cells = read_html_text(one_page(html)).select("td")
    assert cells[0].text == name and len(cells[0].select("wbr")) == 4
    assert cells[1].text == tex and cells[1].select("wbr") == []


@pytest.fixture(scope="module")
def built() -> Path:
    if not (HTML / "index.html").is_file():
        pytest.skip("the book is not built here: make book")
    return HTML.resolve()


@pytest.fixture(scope="module")
def pdf(built: Path, browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("pdf") / "book.pdf"
    assert print_book(browser, built, out) == []
    assert [file.name for file in out.parent.iterdir()] == [out.name]
    return out


def read_html_text(text: str) -> BeautifulSoup:
    return BeautifulSoup(text, "html.parser")


def first_page(built: Path) -> Path:
    return (built / toc_files()[0]).with_suffix(".html")


@slow
def test_every_page_is_printed_in_the_order_of_the_contents(built: Path) -> None:
    found = [
        chapter.file.relative_to(built).with_suffix("").as_posix() for chapter in chapters(first_page(built))
    ]
    assert found == toc_files()


@slow
def test_links_lead_to_places_that_are_printed_and_names_are_given_once(built: Path, tmp_path: Path) -> None:
    whole = tmp_path / "whole.html"
    whole.write_text(one_page(built), encoding="utf-8")
    page = read_html(whole)
    names = [node["id"] for node in page.select("[id]") if not node.find_parent("svg")]
    assert len(names) == len(set(names))
    inside = {link["href"] for link in page.select("a[href]") if not link["href"].startswith("http")}
    assert len(inside) > 100
    assert {link for link in inside if link.removeprefix("#") not in set(names)} == set()


@slow
def test_it_has_pages_bookmarks_and_no_link_to_a_file(pdf: Path, built: Path) -> None:
    content = pdf.read_bytes()
    pages = len(re.findall(rb"/Type /Page\b", content))
    assert 2 * len(toc_files()) < pages < 1000
    assert b"/Outlines" in content and b"/Dest" in content
    assert b"file://" not in content


@slow
def test_its_text_is_the_book_s_without_TeX(pdf: Path, built: Path) -> None:
    if shutil.which("pdftotext") is None:
        pytest.skip("no pdftotext here: install poppler-utils")
    run = subprocess.run(["pdftotext", "-layout", pdf, "-"], capture_output=True, text=True, check=True)
    assert re.findall(TEX, run.stdout) == []
    assert "In print there is nothing here" in run.stdout and "try an example" not in run.stdout
    *pages, rest = run.stdout.split("\f")
    assert rest.strip() == ""
    at = 1  # the cover and the contents
    for chapter in chapters(first_page(built)):  # each title begins a page of its own, after the one before
        starts = (i for i in range(at + 1, len(pages)) if flat(pages[i]).startswith(flat(chapter.title)))
        at = next(starts, len(pages))
        assert at < len(pages), chapter.title
        assert flat(chapter.title) + str(at + 1) in flat(pages[1]), f"the contents do not name page {at + 1}"
    for number, text in enumerate(pages, 1):
        assert str(number) in map(str.strip, text.splitlines()), f"page {number} does not bear its number"


def flat(text: str) -> str:
    return "".join(text.split())


def test_TeX_that_was_left_would_be_found() -> None:
    assert re.findall(TEX, r"as in \frac{1}{2}") == ["frac"]
