"""Which of several matching images is kept: the one rule that all scripts share.

Works on names and numbers, not on pixels. Loads Pillow only for images whose size no cache knows.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

from common import cache, decisions, equal_images, terminal, topic_scores
from common.atomic_files import Damaged
from common.cache import Cache
from common.equal_images import NO_SETS, EqualSets
from common.topics import Stamp, Topic


@dataclass(frozen=True, slots=True)
class Candidate:
    """What the rule needs to know about an image."""

    name: str
    pixels: int  # 0 if they are not known
    size: int  # bytes
    score: float | None  # None if the image has none
    keep: bool = False  # a person decided to keep it
    width: int = 0

    @property
    def extent(self) -> cache.Extent:
        """Width and height in pixels; zeros if they are not known."""
        return self.width, self.pixels // max(1, self.width)


def scores_for_ranking(topic: Topic, warn: Callable[[str], None]) -> Mapping[str, float]:
    """Read the topic's scores. Returns none, with a warning, if their file is damaged."""
    try:
        return topic_scores.read_scores(topic)
    except Damaged as error:
        warn(f"{terminal.escape(error)}; until then images are ranked by resolution alone")
        return {}


def make_candidates(
    topic: Topic,
    stamps: Mapping[str, Stamp],
    cached: Cache,
    scores: Mapping[str, float],
    report_unreadable: Callable[[str, str], None],
    matched: Collection[str] | None = None,
) -> list[Candidate]:
    """Return a Candidate for each image in `stamps` that a person did not decide to drop.

    An image whose size cannot be read is reported, and counts 0 pixels. With `matched`, sizes are
    looked up for these images only; the others are kept at any rank, and may count 0 pixels.
    """
    candidates = []
    decided = decisions.decisions_for_topic(topic)
    for name, stamp in stamps.items():
        if name in decided.drop:
            continue
        extent = None
        if matched is None or name in matched:
            extent = image_extent(topic, name, stamp, cached, report_unreadable)
        width, height = extent or (0, 0)
        score = scores.get(name)
        if score is not None and score != score:  # NaN
            score = None
        candidates.append(
            Candidate(name, width * height, stamp[0], score, name in decided.keep, width)
        )
    return candidates


def image_extent(
    topic: Topic,
    name: str,
    stamp: Stamp,
    cached: Cache,
    report_unreadable: Callable[[str, str], None],
) -> cache.Extent | None:
    """Return width and height from the cache if it fits the file, else from the file's header.

    Returns None, after a report, if the header cannot be read.
    """
    known_extent = cached.extent(name, stamp)
    if known_extent:
        return known_extent
    from common import images  # Pillow, only if the cache does not know the size

    path = topic.path_of(name)
    try:
        header = images.read_header(path)
    except images.Unreadable as error:
        report_unreadable(path, str(error))
        return None
    return header.width, header.height


def topic_redundant(
    topic: Topic,
    stamps: Mapping[str, Stamp],
    cached: Cache,
    scores: Mapping[str, float],
    matches: Mapping[str, Collection[str]],
    report_unreadable: Callable[[str, str], None],
    equals: EqualSets = NO_SETS,
) -> dict[str, str]:
    """Return the redundant images of a topic, each with its keeper.

    Opens images whose size the cache does not know.
    """
    matched = {name for name, others in matches.items() if others}
    matched.update(*equals.members.values())
    if not matched:
        return {}
    candidates = make_candidates(topic, stamps, cached, scores, report_unreadable, matched)
    return select_redundant(candidates, matches, equals=equals)


def rank_candidates(candidates: Iterable[Candidate]) -> list[Candidate]:
    """Sort from best to worst.

    Images that a person decided to keep come first. Then counts resolution x score if every image
    has a score above 0, else resolution; then bytes, then the name.
    """
    candidates = list(candidates)
    by_score = all_scored(candidates)

    def worth(image: Candidate) -> float:
        if by_score and image.score is not None:
            return image.pixels * image.score
        return image.pixels

    def sort_key(image: Candidate) -> tuple[bool, float, int, str]:
        return not image.keep, -worth(image), -image.size, image.name

    return sorted(candidates, key=sort_key)


def all_scored(candidates: Iterable[Candidate]) -> bool:
    """Tell whether these images are ranked by their scores too."""
    return all(image.score is not None and image.score > 0 for image in candidates)


def select_redundant(
    candidates: Iterable[Candidate],
    matches: Mapping[str, Collection[str]],
    references: Mapping[str, str] | None = None,
    equals: EqualSets = NO_SETS,
) -> dict[str, str]:
    """Return the redundant images, each with its keeper.

    Walks from best to worst and keeps each image that matches none already kept. So each redundant
    image has a kept direct match (the best one is its keeper), and a chain of matches does not
    swallow strangers. What a person decided to keep is kept, whatever it matches. `references`
    maps images to a keeper outside of the candidates. `equals` are sets whose pairs match although
    `matches` does not list them.
    """
    redundant: dict[str, str] = {}
    kept = equal_images.KeptImages(matches, equals)
    for image in rank_candidates(candidates):
        if references and image.name in references and not image.keep:
            redundant[image.name] = references[image.name]
            continue
        keeper = None if image.keep else kept.best_match(image.name)
        if keeper:
            redundant[image.name] = keeper
        else:
            kept.add(image.name)
    return redundant
