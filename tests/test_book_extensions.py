"""The book's own extensions: what they show is what the source says, and what is missing fails the build."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from html import unescape
from pathlib import Path

import nbformat
import pytest
import yaml

import tdfusion.data.images
import tdfusion.data.pair

ROOT = Path(__file__).resolve().parents[1]

from docstrings import as_rst  # noqa: E402
from fresh import frame_digest  # noqa: E402
from libsource import locate  # noqa: E402
from paper_equations import number_of  # noqa: E402

SOURCE = '''r"""A module, Eq. (7)."""
from __future__ import annotations

from dataclasses import dataclass

from pack.other import helper as aid

LIMIT = 3  # pixels


@aid
def f(I_a: int, /, w: float = 0.5, *rest: int, keep=None, **more: str) -> int:
    r"""First line.

    $$L_f = \\sum_{ij} |I_f^{ij}|
      + 1$$

    The size is |g| where `helper` says so, see Eqs. (7) to (9); `LIMIT` and ``$x``.

    Args:
        I_a, w: $\\theta_{F'}$ of
            `C`.

    Raises:
        ValueError: no good.
    """

    # a comment stays
    return I_a


@dataclass
class C:
    """A class."""

    size: tuple[int, int] = (4, 4)  # side, in pixels of `f`
    name: str = (
        "long"  # wrapped: by a formatter
    )
    _hidden: int = 0

    @property
    def area(self) -> int:
        """How many: a number."""
        return 1

    def method(self, x):
        """Look at `f`."""
        return x


class D:
    """A class with a constructor of its own."""

    def __new__(cls, *args, **kwargs):
        return super().__new__(cls)

    def __init__(self, radius: int) -> None:
        self.radius = radius


def _private():
    pass
'''


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack" / "__init__.py").write_text("")
    (tmp_path / "pack" / "mod.py").write_text(SOURCE)
    (tmp_path / "pack" / "other.py").write_text('def helper(g):\n    """Help."""\n    return g\n')
    return tmp_path


def test_code_is_what_inspect_finds_in_the_running_library() -> None:
    """A second, independent reader: Python's own, on the imported modules."""
    compared = 0
    for module in (tdfusion.data.images, tdfusion.data.pair):
        for name, found in vars(module).items():
            if inspect.isroutine(found) and found.__module__ == module.__name__:
                ours = locate(ROOT, f"{module.__name__}.{name}")
                lines, first = inspect.getsourcelines(found)
                assert (ours.code(), ours.first) == ("".join(lines).rstrip(), first)
                compared += 1
    assert compared > 5


def test_a_method_comes_to_the_left_margin_and_decorators_come_along(root: Path) -> None:
    assert (
        locate(root, "pack.mod.C.method").code()
        == 'def method(self, x):\n    """Look at `f`."""\n    return x'
    )
    assert locate(root, "pack.mod.f").code().startswith("@aid\ndef f(")
    assert locate(root, "pack.mod.LIMIT").code() == "LIMIT = 3  # pixels"


def test_docstrings_can_be_left_out_and_comments_stay(root: Path) -> None:
    code = locate(root, "pack.mod.f").code(docstrings=False)
    assert code.splitlines()[2:] == ["    # a comment stays", "    return I_a"]
    assert locate(root, "pack.other.helper").code(docstrings=False) == "def helper(g):\n    return g"
    assert "Look at" not in locate(root, "pack.mod.C").code(docstrings=False)


def test_an_imported_name_is_followed_to_where_it_is_written(root: Path) -> None:
    assert locate(root, "pack.mod.aid").file.name == "other.py"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("pack.mod.g", "no 'g' in pack.mod"),
        ("pack.mod.C.other", "no 'other' in pack.mod.C"),
        ("pack.mod.f.inner", "no 'inner' in pack.mod.f"),
        ("nothing.at.all", "no module nothing.at.all"),
    ],
)
def test_a_name_that_does_not_exist_is_named(root: Path, name: str, said: str) -> None:
    with pytest.raises(LookupError, match=said):
        locate(root, name)


def test_docstrings_turn_into_restructured_text() -> None:
    for plain, rst in [
        ("the weight $w_a$ of `f`", "the weight :math:`w_a` of :py:obj:`.f`"),
        ("``$PATH`` and ``a | b``", "``$PATH`` and ``a | b``"),
        ("`LIMIT` is a constant", "``LIMIT`` is a constant"),
        ("Eq. (7), Eqs. (8)", "Eq. :eq:`eq-7`, Eqs. :eq:`eq-8`"),
        ("a * b, *c, |g|, **bold**", r"a * b, \*c, \|g\|, **bold**"),
        ("  >>> f(2 * 3)  # `a`\n  | $1 |\n\n|x|", "  >>> f(2 * 3)  # `a`\n  | $1 |\n\n\\|x\\|"),
        ("says:\n\n  $$x\n    + y$$\n", "says:\n\n  .. math::\n\n     x\n     + y\n\n"),
    ]:
        assert as_rst(plain) == rst


@pytest.mark.parametrize(
    ("label", "number"), [("eq-7", "7"), ("eq-11", "11"), ("eq-B2", "B2"), ("eq-12", None), ("eq-loss", None)]
)
def test_the_label_states_the_number(label: str, number: str | None) -> None:
    assert number_of(label) == number


def test_a_changed_style_sheet_or_extension_makes_the_book_anew(tmp_path: Path) -> None:
    for name in ("_ext/a.py", "_static/deep/book.css"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text("one")
    seen = {frame_digest(tmp_path)}
    for name in ("_ext/a.py", "_static/deep/book.css"):
        (tmp_path / name).write_text("two")
        seen.add(frame_digest(tmp_path))
    assert len(seen) == 3


def build(root: Path, page: str) -> tuple[str, str]:
    """Build one page with the extensions and settings of the book; return its HTML and the warnings."""
    (root / "index.md").write_text("# A page\n\n" + page)
    settings = yaml.safe_load((ROOT / "_config.yml").read_text())["sphinx"]["config"]
    ours = {
        name: value for name, value in settings.items() if name.startswith(("autodoc", "napoleon", "nitpick"))
    }
    (root / "conf.py").write_text(
        f"import sys\nsys.path[:0] = [{str(ROOT / 'book' / '_ext')!r}, {str(root)!r}]\n"
        "extensions = ['myst_parser', 'sphinx.ext.mathjax', 'sphinx.ext.autodoc', 'sphinx.ext.napoleon',"
        " 'paper_equations', 'libcode', 'docstrings']\n"
        "myst_enable_extensions = ['dollarmath']\nnumfig = True\nmath_numfig = False\nhtml_theme = 'basic'\n"
        f"exclude_patterns = ['out']\nglobals().update({ours!r})\n"
    )
    command = [sys.executable, "-m", "sphinx", "-n", "-q", "-b", "html", str(root), str(root / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return (root / "out" / "index.html").read_text(), done.stderr


EQUATIONS = "```{math}\n:label: eq-7\nx = 1\n```\n\n$$\ny = 2\n$$ (eq-B1)\n\n"
REFERENCE = (
    "```{eval-rst}\n.. automodule:: pack.mod\n```\n\n```{eval-rst}\n.. automodule:: pack.other\n```\n\n"
)


def test_a_page_shows_code_reference_and_the_papers_numbers(root: Path) -> None:
    page = EQUATIONS + "See {eq}`eq-7`, {eq}`eq-B1`.\n\n```{libcode} pack.mod.f\n:nodoc:\n```\n\n" + REFERENCE
    html, warnings = build(root, page + "{py:func}`pack.mod.f` {py:mod}`pack.mod`\n")
    assert warnings == ""
    assert '<a class="reference internal" href="#equation-eq-7">(7)</a>' in html
    assert '<a class="reference internal" href="#equation-eq-b1">(B1)</a>' in html
    assert 'id="pack.mod.f"' in html
    assert 'id="pack.mod.C.method"' in html
    assert re.search(r"pack/mod.py, lines 11 to \d+", html)
    assert "_private" not in html
    assert html.count('href="#pack.mod.f"') >= 4  # the code's title, a method's docstring, a field, the role


def test_the_reference_shows_formulas_fields_and_signatures(root: Path) -> None:
    html, _ = build(root, EQUATIONS + REFERENCE)
    text = unescape(re.sub(r"<[^>]+>", "", html))
    assert "\\[L_f = \\sum_{ij} |I_f^{ij}|\n+ 1\\]" in text
    assert "\\(\\theta_{F'}\\)" in text
    assert "The size is |g| where" in text
    assert 'id="pack.mod.D"' in html
    assert re.search(r"D\(radius: int\)(?! → None)", text)  # __init__'s, not __new__'s
    assert "C(" not in text  # a dataclass is called with its fields
    assert "size (tuple[int, int] = (4, 4)) – side, in pixels of f" in text
    assert "name (str = 'long') – wrapped: by a formatter" in text
    assert "_hidden" not in text
    assert "How many: a number." in text


def test_what_is_missing_is_a_warning_which_fails_the_book(root: Path) -> None:
    (root / "pack" / "other.py").write_text('def helper(g):\n    """See `gone` and `torch.Tensor`."""\n')
    page = "```{libcode} pack.mod.gone\n```\n\n$$\nx\n$$ (eq-loss)\n\n{eq}`eq-3`\n\n"
    page += "```{eval-rst}\n.. automodule:: pack.other\n```\n"
    _, warnings = build(root, page)
    for part in (
        "index.md:3: WARNING: libcode pack.mod.gone: mod.py: no 'gone' in pack.mod",
        "docstring of pack.other.helper:1: WARNING: py:obj reference target not found: gone",
        "equation label 'eq-loss': write eq-N",
        "equation not found: eq-3",
    ):
        assert part in warnings
    assert "torch" not in warnings  # other libraries have no page here


def launch_links(folder: Path, address: str) -> tuple[dict[str, str], str]:
    """A book of a page and a notebook, by the settings of the book: where its buttons lead, and what the page says."""
    settings = yaml.safe_load((ROOT / "_config.yml").read_text())
    settings["repository"]["url"] = address
    settings["sphinx"]["local_extensions"] = {
        "launch": str(ROOT / "book" / "_ext"),
        "offline": str(ROOT / "book" / "_ext"),
    }
    settings["sphinx"]["config"] = {"html_theme_options": settings["sphinx"]["config"]["html_theme_options"]}
    for key in ("bibtex_bibfiles", "logo", "html"):
        settings.pop(key)
    (folder / "notebooks").mkdir()
    (folder / "_config.yml").write_text(yaml.safe_dump(settings))
    (folder / "_toc.yml").write_text("format: jb-book\nroot: index\nchapters:\n- file: notebooks/small\n")
    (folder / "index.md").write_text(
        "# A page\n\n````{launched}\nRun\n\n```\nclone ADDRESS; cd NAME\n```\n````\n\nThe end.\n"
    )
    cell = nbformat.v4.new_markdown_cell("# A notebook")
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    nbformat.write(
        nbformat.v4.new_notebook(cells=[cell], metadata=kernel), folder / "notebooks" / "small.ipynb"
    )
    command = [sys.executable, "-c", "from jupyter_book.cli.main import main; main()", "build", str(folder)]
    command += ["-W", "-n", "--keep-going", "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    html = folder / "_build" / "html"
    buttons = re.findall(
        r'<a href="(https?://[^"]+)"[^>]*\btitle="Launch on (\w+)"',
        (html / "notebooks" / "small.html").read_text(),
    )
    page = (html / "index.html").read_text()
    assert "Launch on" not in page
    text = unescape(re.sub(r"<[^>]+>", "", page.partition("<article")[2].partition("</article>")[0]))
    return {name: unescape(link) for link, name in buttons}, text


def test_a_notebook_can_be_launched_where_the_repository_has_an_address(tmp_path: Path) -> None:
    buttons, text = launch_links(tmp_path, "https://github.com/someone/the-book/")
    assert buttons == {
        "Binder": "https://mybinder.org/v2/gh/someone/the-book/main?urlpath=lab/tree/notebooks/small.ipynb",
        "Colab": "https://colab.research.google.com/github/someone/the-book/blob/main/notebooks/small.ipynb",
    }
    assert "clone https://github.com/someone/the-book; cd the-book\n" in text


def test_elsewhere_than_on_GitHub_there_is_no_Colab(tmp_path: Path) -> None:
    buttons, _ = launch_links(tmp_path, "https://gitlab.com/someone/the-book")
    assert list(buttons) == ["Binder"]


def test_without_an_address_there_are_no_buttons_and_nothing_is_said_of_them(tmp_path: Path) -> None:
    buttons, text = launch_links(tmp_path, "")
    assert buttons == {}
    assert "clone" not in text and "Run" not in text and "The end." in text
