"""Some of the images that a split may not choose, for its page: all of them may be a million."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Set

from keeping.keepers import KeeperChoice

MAX_EXAMPLES = 24  # of a reason in a topic

Examples = Mapping[str, Mapping[str, str]]  # by reason: name to what else there is to say


def find_examples(choice: KeeperChoice, names_by_reason: Mapping[str, Set[str]]) -> Examples:
    """Return the first names of each reason, and copies with their keeper."""
    examples: dict[str, Mapping[str, str]] = {}
    for reason, names in names_by_reason.items():
        examples[reason] = dict.fromkeys(heapq.nsmallest(MAX_EXAMPLES, names), "") if names else {}
    copies = {}
    for name in heapq.nsmallest(MAX_EXAMPLES, choice.keepers) if choice.keepers else ():
        reason = choice.reasons.get(name, "")
        copies[name] = f"keep {choice.keepers[name]}" + (f": {reason}" if reason else "")
    return examples | {"duplicates": copies}
