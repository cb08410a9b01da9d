"""Task-driven image fusion with a learnable fusion loss: the library behind the book.

Imports are explicit (``from tdfusion.models import FusionNet``) so that ``import tdfusion`` costs nothing.
"""

from __future__ import annotations

__version__ = "0.1.0"
