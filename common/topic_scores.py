"""A topic's scores held against its folder as it is now: which of them count, which cannot, and what made them.

Needs the standard library alone; reads and never writes. Goes by names: whether an image is still the one that was
scored is for the scorer to see, since asking for a million sizes and times takes longer than all the rest.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from common import cache, json_files
from common.cache import ScoresRead
from common.clip.model import AESTHETICS, TECHNICAL, TINY
from common.tree import Topic

UNKNOWN_MAKER = "something not recorded"


@dataclass(frozen=True)
class TopicScores:
    """`usable` holds the scores of images that are there; the lists name, sorted, what has none or is none."""

    topic: Topic
    usable: Mapping[str, float]
    unscored: list[str]  # images that the file does not name
    unusable: list[str]  # images whose score is NaN, infinite or no number
    vanished: list[str]  # in the file, not in the folder
    makers: Mapping[str, int]  # what made the usable scores: their number each
    judges: str  # what the scores mean; aesthetics where that is not recorded


def load_topic_scores(topic: Topic, scored: ScoresRead | None = None) -> TopicScores:
    """Empty but for `unscored` where the topic has no scores; those in `scored` are not read again. Raises Damaged."""
    there = topic.names()
    found, known, _ = scored or cache.read_with_provenance(
        topic, "scores", json_files.parse_scores, lambda: cache.load_score_provenance(topic)
    )
    usable = {
        name: score for name, score in found.items() if name in there and score == score
    }  # NaN is none
    made = known.scores if found else None
    unrecorded = len(usable.keys() - made.images.keys()) if made else len(usable)
    makers = Counter({UNKNOWN_MAKER: unrecorded})
    if made:
        makers[maker_in_words(made.made_by)] += len(usable) - unrecorded
    return TopicScores(
        topic,
        usable,
        unscored=sorted(filter(topic.holds, there - found.keys())),
        unusable=sorted(there & found.keys() - usable.keys()),
        vanished=sorted(found.keys() - there),
        makers=+makers,
        judges=score_meaning_of(made.made_by) if made else AESTHETICS,
    )


def score_meaning_of(made_by: Mapping[str, Any]) -> str:
    return str(made_by.get("judges") or (TECHNICAL if made_by.get("model") == TINY else AESTHETICS))


def maker_in_words(made_by: Mapping[str, Any]) -> str:
    """What made scores, in words that differ where scores cannot be compared; so without the precision."""
    model, weights, head, decode = (
        str(made_by.get(key) or "") for key in ("model", "weights", "head", "decode")
    )
    said = (
        (model or "an unnamed model")
        + (f" ({weights})" if weights else "")
        + (f" + {head}" if head else "")
    )
    return said + (f", {decode} decoding" if decode not in ("", "exact") else "")
