"""The images of one topic that a split may choose: which they are, and how they rank."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import NamedTuple

from common.json_files import COPY, Kinds
from common.topics import Topic
from keeping.keeper_order import Candidate
from keeping.preference import Preference
from splitting.earlier_split import NO_SPLIT, TRAIN, VALID, EarlierSplit
from splitting.left_out import Examples

PIXELS_PER_MEGAPIXEL = 1_000_000


@dataclass(frozen=True)
class SplitPolicy:
    """What a split chooses."""

    train_count: int  # images per topic
    valid_count: int
    require_full: bool  # choose nothing from a topic that is too small for both sets
    # choose no copy of a better image, and for validation nothing related to a training image
    exclude_duplicates: bool
    allow_variants: bool = False  # with that, choose unclean variants of other images too
    min_score: float = -math.inf
    min_side: int = 0  # pixels of the shorter side
    max_megapixels: float = math.inf  # more of them do not rank an image higher
    prefer: Preference = Preference.BEST  # which of several copies may be chosen
    earlier: EarlierSplit = NO_SPLIT  # whose images are chosen first, for the same set

    @property
    def full_count(self) -> int:
        return self.train_count + self.valid_count

    def ranking_value(self, image: Candidate) -> float:
        """Return what images are ranked by: megapixels that count x score, in pixels.

        Below a score of 0 it is the score alone.
        """
        score = image.score or 0
        if score <= 0:  # few pixels do not make a bad score better
            return score
        return min(image.pixels, self.max_megapixels * PIXELS_PER_MEGAPIXEL) * score

    def sort_key(self, image: Candidate) -> tuple[float, str]:
        """Return what images are ranked by, least first."""
        return -self.ranking_value(image), image.name

    def is_good_enough(self, image: Candidate) -> bool:
        score = image.score or 0
        return score >= self.min_score and min(image.extent) >= self.min_side


RELATED = "related"  # through other images


class Leak(NamedTuple):
    """A validation image that is related to a training image."""

    valid_name: str
    train_path: str
    kind: str  # of their match, or RELATED
    through: Sequence[str] = ()  # the images between them, by path, if they do not match directly


@dataclass(slots=True)
class Split:
    """The images chosen from one topic, best first, and those they were chosen from.

    Related images are copies and variants, in the topic and elsewhere, but no doubtful pairs.
    """

    topic: Topic
    ranked: list[Candidate]  # those that may be chosen, best first, as many as a choice can need
    related: Kinds  # of these images: name to the paths of related images, and their kind
    links: Mapping[str, Set[str]]  # of all images of the topic, by path: what they match
    total: int  # images that may be chosen
    excluded: dict[str, int]  # number of images that may not be chosen, by reason
    left_out: Examples = field(default_factory=dict)  # some of those, by the same reasons
    left_out_copies: Sequence[str] = ()  # of better images, best first
    dropped: Set[str] = frozenset()  # by a person
    earlier: Mapping[str, str] = field(default_factory=dict)  # set that an image was in before
    # those of all images that may be chosen which match some of other topics, and their pixels
    choosable_across: Mapping[str, int] = field(default_factory=dict)
    has_scores: bool = True
    train: list[str] = field(default_factory=list)
    valid: list[str] = field(default_factory=list)
    skipped: set[str] = field(default_factory=set)  # not chosen because of a related image
    leaks: list[Leak] = field(default_factory=list)
    sets_by_size: int = 0  # of copies, with an image whose originality was not measured
    best_score: float | None = None  # among all readable images
    lowest_score: float | None = None  # among the chosen images
    lowest_resolution: str | None = None

    @property
    def available(self) -> int:
        """The number of images that could be chosen."""
        return self.total - len(self.skipped)

    @property
    def chosen_count(self) -> int:
        return len(self.train) + len(self.valid)

    @property
    def kept_count(self) -> int:
        """The number of images that are in the set in which they were before."""
        sets = dict.fromkeys(self.train, TRAIN) | dict.fromkeys(self.valid, VALID)
        return sum(self.earlier.get(name) == chosen for name, chosen in sets.items())

    @property
    def counts(self) -> dict[str, int]:
        """What became of the images found, by the number of images."""
        return {
            "train": len(self.train),
            "valid": len(self.valid),
            "not_chosen": self.available - self.chosen_count,
            **self.excluded,
            "related_to_chosen": len(self.skipped),
        }

    def leave_out(self, names: Set[str], reason: str) -> None:
        """Make images that may be chosen ones that may not."""
        if names:
            self.ranked = [image for image in self.ranked if image.name not in names]
            self.total -= len(names)
            self.excluded[reason] += len(names)

    def path_of(self, image: Candidate) -> str:
        return self.topic.path_of(image.name)

    def matches_of(self, image: Candidate) -> dict[str, str]:
        """Return the paths of related images, with the kind of each match."""
        return self.related.get(image.name, {})

    def copies_of(self, image: Candidate) -> set[str]:
        """Return the paths of copies."""
        return {path for path, kind in self.matches_of(image).items() if kind == COPY}
