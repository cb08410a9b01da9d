"""Docstrings as page content: paragraphs, lists, ``Args:`` and its kin, code, links.

A plain subset that reads alike in a terminal and on a page; what it does not know stays a paragraph.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from docutils import nodes
from libcode import soft_reference

SECTION = re.compile(r"(Args|Attributes|Returns|Yields|Raises|Sources?|Notes?|Examples?):")
Names = Mapping[str, str]  # a name as a docstring writes it, and the full name it stands for
INLINE = re.compile(r"``(.+?)``|`([^`]+)`|(Eqs?\. )\(([0-9]+)\)")
ITEM = re.compile(r"(\*{0,2}[A-Za-z_][\w., ]*?)(?: \([^)]*\))?: (.*)")


def link(name: str, names: Names) -> nodes.Node:
    """A name as code, linked where the reference describes it."""
    shown = nodes.literal(name, name)
    head, dot, rest = name.removesuffix("()").partition(".")
    if not re.fullmatch(r"\w+(\.\w+)*", name.removesuffix("()")):
        return shown
    return soft_reference("py", "obj", names.get(head, head) + dot + rest, shown)


def inline(text: str, names: Names) -> list[nodes.Node]:
    """Running text: ``code``, `name of this module` and Eq. (n) become literals and links."""
    out: list[nodes.Node] = []
    at = 0
    for match in INLINE.finditer(text):
        out.append(nodes.Text(text[at : match.start()]))
        code, name, eq, number = match.groups()
        if code:
            out.append(nodes.literal(code, code))
        elif name:
            out.append(link(name, names))
        else:
            out.append(nodes.Text(eq))
            out.append(soft_reference("math", "eq", f"eq-{number}", nodes.inline("", f"({number})")))
        at = match.end()
    out.append(nodes.Text(text[at:]))
    return [n for n in out if not isinstance(n, nodes.Text) or n.astext()]


def blocks(lines: list[str]) -> list[list[str]]:
    """Split lines into runs of the same kind: sections and items take the indented lines below them."""
    out: list[list[str]] = []
    for line in lines:
        indented = line.startswith(" ")
        starts = SECTION.fullmatch(line) or line.startswith(("- ", "* "))
        last = out[-1] if out else []
        holds = bool(last) and (SECTION.fullmatch(last[0]) or last[0].startswith(("- ", "* ", " ")))
        if not line.strip():
            if last and holds and SECTION.fullmatch(last[0]):
                last.append("")  # a section may have several paragraphs
            elif last:
                out.append([])
        elif starts or not last or (not indented and (holds or not last)):
            out.append([line])
        elif indented and not holds and last[-1].rstrip().endswith(":"):
            out.append([line])  # an indented example after "such as:"
        else:
            last.append(line)
    return [b for b in out if b]


def render(lines: list[str], names: Names) -> list[nodes.Node]:
    """A docstring's lines as nodes: paragraphs, lists, sections, code."""
    out: list[nodes.Node] = []
    for block in blocks(lines):
        head, rest = block[0], block[1:]
        if SECTION.fullmatch(head):
            inner = "\n".join(rest).strip("\n").split("\n")
            indent = min((len(x) - len(x.lstrip()) for x in inner if x.strip()), default=0)
            out.append(nodes.paragraph("", "", nodes.strong("", head.removesuffix(":"))))
            inner = [x[indent:] for x in inner]
            items = _items(inner) if head in ("Args:", "Attributes:", "Raises:") else []
            out += [bullets(items, names)] if items else render(inner, names)
        elif head.startswith(("- ", "* ")):
            item = nodes.list_item("", nodes.paragraph("", "", *inline(_join([head[2:], *rest]), names)))
            if out and isinstance(out[-1], nodes.bullet_list):
                out[-1] += item
            else:
                out.append(nodes.bullet_list("", item, bullet="-"))
        elif head.startswith((" ", ">>>")):
            indent = min(len(x) - len(x.lstrip()) for x in block if x.strip())
            text = "\n".join(x[indent:] for x in block)
            out.append(nodes.literal_block(text, text, language="python" if ">>>" in text else "text"))
        else:
            text = _join(block)
            text = text[:-1] if text.endswith("::") else text
            out.append(nodes.paragraph("", "", *inline(text, names)))
    return out


def _join(lines: list[str]) -> str:
    return " ".join(x.strip() for x in lines)


def _items(lines: list[str]) -> list[tuple[str, str]]:
    """``name: text`` items, continued on indented lines; empty if the section is written otherwise."""
    items: list[tuple[str, str]] = []
    for line in filter(str.strip, lines):
        match = ITEM.fullmatch(line)
        if match:
            items.append((match[1], match[2]))
        elif items and line.startswith(" "):
            items[-1] = (items[-1][0], f"{items[-1][1]} {line.strip()}")
        else:
            return []
    return items


def bullets(items: list[tuple[str, str]], names: Names) -> nodes.bullet_list:
    out = nodes.bullet_list(bullet="-")
    for name, said in items:
        text = [nodes.Text(": "), *inline(said, names)] if said else []
        out += nodes.list_item("", nodes.paragraph("", "", link(name, names), *text))
    return out
