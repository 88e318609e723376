"""What a merge does with images: the options of merge_clusters.py, as data."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from keeping.preference import Preference


@dataclass(frozen=True)
class MergePolicy:
    """Which images a merge drops in favour of others."""

    drop_copies: bool = True  # within a topic
    drop_references: bool = True  # copies of reference images
    drop_variants: Collection[str] = ()  # the kinds of variants to drop, within a topic
    drop_across: bool = False  # copies and these kinds in other topics of the dataset, too
    captions: str = "keeper"  # a captions_carry.CaptionRule
    keep_unreadable: bool = False  # take damaged images too
    prefer: Preference = Preference.BEST
    for_search: bool = False  # the target holds links to the sources, and nothing else
