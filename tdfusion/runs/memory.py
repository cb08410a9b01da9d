"""Process-wide settings that change speed, never values."""

from __future__ import annotations

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3  # <malloc.h>


def keep_freed_memory() -> bool:
    """Let glibc keep freed memory for the next tensor instead of returning it to the kernel.

    F is bound by memory traffic on a CPU, and by default every large activation is mapped afresh, its
    pages cleared one fault at a time. Keeping them about halves the time of F at 480x640; the process holds
    on to its peak memory instead. The commands and the training notebook call this; importing does not.

    Returns:
        True if the allocator took the settings; False elsewhere than on Linux with glibc.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    settings = ((_M_MMAP_THRESHOLD, 1 << 30), (_M_TRIM_THRESHOLD, 2**31 - 1), (_M_TOP_PAD, 1 << 28))
    taken = [mallopt(name, value) == 1 for name, value in settings]  # each is tried
    return all(taken)
