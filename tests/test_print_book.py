"""The book as one PDF: every page of it, its equations typeset, its links inside the file."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from browser import Browser
from conftest import ROOT
from print_book import chapters, one_page, print_book, read_html
from test_book import toc_files

HTML = Path(os.environ.get("TDFUSION_HTML") or ROOT / "_build" / "html")
TEX = r"\\(frac|mathcal|theta|sum|partial|begin|left|tag)\b"

pytestmark = pytest.mark.slow


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


def first_page(built: Path) -> Path:
    return (built / toc_files()[0]).with_suffix(".html")


def test_every_page_is_printed_in_the_order_of_the_contents(built: Path) -> None:
    found = [
        chapter.file.relative_to(built).with_suffix("").as_posix() for chapter in chapters(first_page(built))
    ]
    assert found == toc_files()


def test_links_lead_to_places_that_are_printed_and_names_are_given_once(built: Path, tmp_path: Path) -> None:
    whole = tmp_path / "whole.html"
    whole.write_text(one_page(built), encoding="utf-8")
    page = read_html(whole)
    names = [node["id"] for node in page.select("[id]") if not node.find_parent("svg")]
    assert len(names) == len(set(names))
    inside = {link["href"] for link in page.select("a[href]") if not link["href"].startswith("http")}
    assert len(inside) > 100
    assert {link for link in inside if link.removeprefix("#") not in set(names)} == set()


def test_it_has_pages_bookmarks_and_no_link_to_a_file(pdf: Path, built: Path) -> None:
    content = pdf.read_bytes()
    pages = len(re.findall(rb"/Type /Page\b", content))
    assert 2 * len(toc_files()) < pages < 1000
    assert b"/Outlines" in content and b"/Dest" in content
    assert b"file://" not in content


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
    for number, text in enumerate(pages, 1):
        assert str(number) in map(str.strip, text.splitlines()), f"page {number} does not bear its number"


def flat(text: str) -> str:
    return "".join(text.split())


def test_TeX_that_was_left_would_be_found() -> None:
    assert re.findall(TEX, r"as in \frac{1}{2}") == ["frac"]
