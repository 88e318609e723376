"""Keeps small matrix products in one thread: more are many times slower, and round differently."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController


@contextlib.contextmanager
def limit_to_one_thread() -> Iterator[None]:
    """Compute in one thread while the block runs."""
    with _libraries().limit(limits=1):
        yield


@functools.cache  # looking for the libraries takes as long as some looks at a pair
def _libraries() -> ThreadpoolController:
    import numpy  # noqa: F401  its products are meant
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
