"""`.cache/pairs.json`: how alike the images of each pair are.

What copies show beside each other is there too (keeping/copy_traits.py).
"""

from __future__ import annotations

import contextlib
import os

from common import json_files
from common.errors import UserError
from common.topics import Topic

PAIRS_FILE = "pairs.json"  # {"a.jpg": {"b.jpg": ["mirrored", 0.98]}}, each pair once


def pairs_path(topic: Topic) -> str:
    return os.path.join(topic.cache_folder, PAIRS_FILE)


def read_pair_likeness(topic: Topic) -> dict[tuple[str, str], float]:
    """Return how alike the images of each pair are (0 to 1), by their paths in both orders.

    Pairs whose figure is missing or damaged are left out.
    """
    likeness: dict[tuple[str, str], float] = {}
    with contextlib.suppress(UserError, AttributeError, LookupError, TypeError, ValueError):
        figures = json_files.read_json(pairs_path(topic), {})
        for name, others in figures.items():
            for other, (_, alike) in others.items():
                if 0 <= alike <= 1:
                    first, second = topic.path_of(name), topic.path_of(other)
                    likeness[first, second] = likeness[second, first] = alike
    return likeness
