"""Which levels the datasets of a report have. Datasets may lack clusters and subclusters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def distinct_levels(data: Mapping[str, Any]) -> list[str]:
    """Return the levels from the dataset down to the topic, without missing ones.

    `data` has the folders of each level: `datasets`, `clusters`, `subclusters`. If a level is
    missing, its folders are those of the level above.
    """
    levels = ["dataset"]
    for level in ("cluster", "subcluster"):
        if data[f"{level}s"].keys() != data[f"{levels[-1]}s"].keys():
            levels.append(level)
    return [*levels, "topic"]


def level_title(data: Mapping[str, Any], level: str) -> str:
    """Return a heading for the folders of a level: if it is missing, of the level above."""
    levels = distinct_levels(data)
    while level not in levels:
        level = {"subcluster": "cluster", "cluster": "dataset"}[level]
    return f"{level.capitalize()}s"
