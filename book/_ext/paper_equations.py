"""Equations carry the number that their label states, so that the book counts as the paper does.

``eq-7`` is the paper's Eq. (7), whatever page it stands on and whatever stands before it. The book's own
equations have a letter: ``eq-B1`` is shown as (B1).
"""

from __future__ import annotations

import re
from typing import Any

from sphinx.application import Sphinx
from sphinx.domains.math import MathDomain
from sphinx.util import logging

logger = logging.getLogger(__name__)
PAPER_EQUATIONS = 11  # the paper numbers its equations (1) to (11)
LABEL = re.compile(r"eq-([1-9][0-9]*|[A-Z][1-9][0-9]*)")


def number_of(label: str) -> str | None:
    """What a label says should stand in the brackets, or None for a label outside the convention."""
    match = LABEL.fullmatch(label)
    if match is None or (match[1].isdigit() and int(match[1]) > PAPER_EQUATIONS):
        return None
    return match[1]


class PaperMathDomain(MathDomain):
    """Sphinx's math domain, with numbers taken from the labels."""

    def note_equation(self, docname: str, labelid: str, location: Any = None) -> None:
        super().note_equation(docname, labelid, location)
        number = number_of(labelid)
        if number is None:
            logger.warning(
                "equation label %r: write eq-N for the paper's Eq. (N), N from 1 to %d, or eq-B1 for the "
                "book's own (B1)",
                labelid,
                PAPER_EQUATIONS,
                location=location,
            )
            return
        self.equations[labelid] = (docname, number)


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_domain(PaperMathDomain, override=True)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
