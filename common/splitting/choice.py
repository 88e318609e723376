"""Chooses one topic's images for training and validation: the best by width x height x score.

Needs the standard library alone, and Pillow only for an image whose size no cache knows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from common import text
from common.dataset import cache, records
from common.dataset.tree import Topic
from common.duplicates import keepers
from common.duplicates.keepers import Candidate, Matches
from common.output import Talk
from common.scores.standing import Standing, standing

MEGAPIXEL = 1_000_000


@dataclass(frozen=True)
class Rules:
    train: int  # images a topic
    valid: int
    require_full: bool  # choose none of a topic that is too small for both
    exclude_duplicates: bool  # choose none that matches a better one
    min_score: float = -math.inf  # choose none below it
    min_side: int = 0  # choose none whose shorter side has fewer pixels
    count_megapixels: float = math.inf  # more of them do not make an image better

    def worth(self, image: Candidate) -> float:
        """What images are chosen by."""
        return min(image.pixels, self.count_megapixels * MEGAPIXEL) * (image.score or 0)


@dataclass(frozen=True)
class Split:
    """One topic's choice, best first. `leaks` pairs a validation image with a training image that it matches."""

    topic: Topic
    train: list[str]
    valid: list[str]
    leaks: list[tuple[str, str]]
    available: int  # images that could be chosen
    lowest: Mapping[str, Any]  # score and resolution among the chosen, None where none is
    counts: Mapping[str, int]  # of the images found, what became of them


def split(topic: Topic, rules: Rules, talk: Talk) -> Split:
    """The topic's choice; ties go by name. Raises Damaged."""
    stamps, cached, known = topic.stamps(), cache.load(topic), standing(topic)
    scored = {name: stamp for name, stamp in stamps.items() if name in known.usable}
    listed = keepers.candidates(topic, scored, cached, known.usable, talk.bad)
    readable = [image for image in listed if image.pixels]
    matches = keepers.matches(topic, stamps, cached)
    seen = cached.scores.images if cached.scores else {}
    changed = [name for name, stamp in scored.items() if seen.get(name, stamp) != stamp]
    _warn(topic, known, changed, matches, rules, talk)
    usable = matches.usable if matches else {}
    above = [image for image in readable if (image.score or 0) >= rules.min_score]
    if rules.min_side:
        extents = {i.name: keepers.extent(topic, i.name, stamps[i.name], cached, talk.bad) or (0, 0) for i in above}
        above = [image for image in above if min(extents[image.name]) >= rules.min_side]
    out = keepers.left_out(above, usable) if rules.exclude_duplicates else {}
    ranked = sorted((i for i in above if i.name not in out), key=lambda i: (-rules.worth(i), i.name))
    wanted = 0 if rules.require_full and len(ranked) < rules.train + rules.valid else rules.train + rules.valid
    chosen = ranked[:wanted]
    names = [image.name for image in chosen]
    train, valid = names[: rules.train], names[rules.train :]
    smallest = min(chosen, key=lambda image: image.pixels, default=None)
    extent = smallest and keepers.extent(topic, smallest.name, stamps[smallest.name], cached, talk.bad)
    return Split(
        topic,
        train,
        valid,
        leaks=[(image, other) for image in valid for other in train if other in usable.get(image, ())],
        available=len(ranked),
        lowest={
            "lowest_score": min((known.usable[name] for name in names), default=None),
            "lowest_resolution": f"{extent[0]}x{extent[1]}" if extent else None,
        },
        counts={
            "train": len(train),
            "valid": len(valid),
            "not_chosen": len(ranked) - len(chosen),
            "below_the_cut": len(readable) - len(above),
            "duplicates": len(out),
            "without_score": len(stamps) - len(listed),
            "unreadable": len(listed) - len(readable),
        },
    )


def _warn(topic: Topic, known: Standing, changed: list[str], matches: Matches | None, rules: Rules, talk: Talk) -> None:
    """Say what of a topic cannot be chosen or relied on, by name."""
    parts = (
        (known.unscored if known.usable else [], "without a score"),
        (known.unusable, "whose score is no number"),
        (known.vanished, "scored but gone"),
        (changed, "changed since scored"),
    )
    named = "; ".join(f"{len(names):,} {what} ({text.sampled(names)})" for names, what in parts if names)
    if named:
        talk.warn(f"{text.shown(topic.path)}: {named}; run aesthetic_scorer.py on it")
    if matches and not matches.fits:
        talk.warn(f"{text.shown(records.duplicates_path(topic))}: {matches.misfit}")
    if rules.exclude_duplicates and not matches and known.usable:
        talk.warn(f"{text.shown(topic.path)}: not searched for duplicates, none is excluded; run find_duplicates.py")
