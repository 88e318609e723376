"""Has the C library keep freed memory: each image needs the same large blocks again.

Without this, glibc gives the 20 MB that SIFT takes for an image back after each, and half of its
time goes to fetching and clearing them anew.
"""

from __future__ import annotations

import ctypes
import functools
import sys

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # names of glibc's malloc.h
MAX_KEPT_BYTES = 64 << 20  # of a process; 16 MB give a third of the gain, 256 MB no more
MIN_MAPPED_BYTES = 32 << 20  # blocks of this size go back at once, as glibc has it at most


@functools.cache
def keep_freed_memory() -> None:
    """Keep what is freed in this process, MAX_KEPT_BYTES at most. Other C libraries: no change."""
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "mallopt"):
        libc.mallopt(TRIM_THRESHOLD, MAX_KEPT_BYTES)
        libc.mallopt(MMAP_THRESHOLD, MIN_MAPPED_BYTES)
