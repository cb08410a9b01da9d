"""The book's own extensions: what they show is what the source says, and what is missing fails the build."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import tdfusion.data.images
import tdfusion.data.pair

ROOT = Path(__file__).resolve().parents[1]

from fresh import frame_digest  # noqa: E402
from libdocs import render  # noqa: E402
from libsource import fields, full_names, load, locate, parameters, public_names  # noqa: E402
from paper_equations import number_of  # noqa: E402

SOURCE = '''"""A module, Eq. (7)."""
from __future__ import annotations

from pack.other import helper as aid

LIMIT = 3  # pixels


@aid
def f(I_a: int, /, w: float = 0.5, *rest: int, keep=None, **more: str) -> int:
    """First line.

    Raises:
        ValueError: no good.
    """

    # a comment stays
    return I_a


class C:
    """A class."""

    size: int = 4  # side, in pixels
    name: str
    """What it is called."""
    _hidden: int = 0

    def method(self, x):
        """Look at `f`."""
        return x

    @staticmethod
    def make(x): return x


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
                names = [p.split(":")[0].split("=")[0].lstrip("*") for p in parameters(ours.node)]
                assert [n for n in names if n not in "/*"] == list(inspect.signature(found).parameters)
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
    assert full_names(load(root, "pack.mod"))["aid"] == "pack.other.helper"


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


def test_signatures_fields_and_public_names_are_as_written(root: Path) -> None:
    assert parameters(locate(root, "pack.mod.f").node) == [
        "I_a: int", "/", "w: float = 0.5", "*rest: int", "keep=None", "**more: str",
    ]  # fmt: skip
    assert parameters(locate(root, "pack.mod.C.method").node, method=True) == ["x"]
    assert parameters(locate(root, "pack.mod.C.make").node, method=True) == ["x"]
    found = locate(root, "pack.mod.C")
    assert fields(found.node, found.lines) == [
        ("size: int = 4", "side, in pixels"),
        ("name: str", "What it is called."),
    ]
    assert public_names(load(root, "pack.mod")) == ["f", "C"]


def test_docstrings_become_paragraphs_lists_and_code() -> None:
    text = """Fuse, see ``x`` and `f`, Eq. (2).
    second line.

    - one
      more
    - two

    Args:
        I_a: infrared,
            (B, 1, H, W).
        w: weight.

    Returns:
        The image.

    Example::

        >>> f(1)
    """
    shown = render(inspect.cleandoc(text).splitlines(), {"f": "pack.mod.f"})
    kinds = [node.tagname for node in shown]
    assert kinds == [
        "paragraph", "bullet_list", "paragraph", "bullet_list", "paragraph", "paragraph",
        "paragraph", "literal_block",
    ]  # fmt: skip
    assert shown[0].astext() == "Fuse, see x and f, Eq. (2). second line."
    assert [x["reftarget"] for x in shown[0].children if x.tagname == "pending_xref"] == [
        "pack.mod.f",
        "eq-2",
    ]
    assert [item.astext() for item in shown[1]] == ["one more", "two"]
    assert [item.astext() for item in shown[3]] == ["I_a: infrared, (B, 1, H, W).", "w: weight."]
    assert shown[6].astext() == "Example:"
    assert shown[7].astext() == ">>> f(1)"


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
    """Build one page with the extensions, as the book does; return its HTML and the warnings."""
    (root / "index.md").write_text("# A page\n\n" + page)
    (root / "conf.py").write_text(
        f"import sys\nsys.path.append({str(ROOT / 'book' / '_ext')!r})\n"
        "extensions = ['myst_parser', 'sphinx.ext.mathjax', 'paper_equations', 'libcode', 'libapi']\n"
        "myst_enable_extensions = ['dollarmath']\nnumfig = True\nmath_numfig = False\nhtml_theme = 'basic'\n"
        "exclude_patterns = ['out']\n"
    )
    command = [sys.executable, "-m", "sphinx", "-n", "-q", "-b", "html", str(root), str(root / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return (root / "out" / "index.html").read_text(), done.stderr


def test_a_page_shows_code_reference_and_the_papers_numbers(root: Path) -> None:
    page = (
        "```{math}\n:label: eq-7\nx = 1\n```\n\n$$\ny = 2\n$$ (eq-B1)\n\nSee {eq}`eq-7`, {eq}`eq-B1`.\n\n"
        "```{libcode} pack.mod.f\n:nodoc:\n```\n\n```{libapi} pack.mod\n```\n\n"
        "{py:func}`pack.mod.f` {py:mod}`pack.mod`\n"
    )
    html, warnings = build(root, page)
    assert warnings == ""
    assert '<a class="reference internal" href="#equation-eq-7">(7)</a>' in html
    assert '<a class="reference internal" href="#equation-eq-b1">(B1)</a>' in html
    assert 'id="pack.mod.f"' in html
    assert 'id="pack.mod.C.method"' in html
    assert "pack/mod.py, lines 9 to 18" in html
    assert "_private" not in html
    assert html.count('href="#pack.mod.f"') >= 3  # from the code's title, the method's docstring, the role


def test_what_is_missing_is_a_warning_which_fails_the_book(root: Path) -> None:
    page = (
        "```{libcode} pack.mod.gone\n```\n\n```{libapi} pack.gone\n```\n\n$$\nx\n$$ (eq-loss)\n\n{eq}`eq-3`\n"
    )
    _, warnings = build(root, page)
    for part in (
        "index.md:3: WARNING: libcode pack.mod.gone: mod.py: no 'gone' in pack.mod",
        "index.md:6: WARNING: libapi pack.gone: no module pack.gone",
        "equation label 'eq-loss': write eq-N",
        "equation not found: eq-3",
    ):
        assert part in warnings
