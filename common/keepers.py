"""Who stays when images match: the one rule that find_duplicates, duplicates_stats, merge and split share.

Works on names and numbers; knows no pixels. Loads Pillow only for images whose size no cache knows.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from common import cache, decisions, json_files, terminal
from common.cache import Cache, Provenance
from common.tree import Stamp, Topic

SEARCH_COMMAND, VARIANTS_COMMAND = (
    "find_duplicates.py",
    "find_duplicates.py --variants",
)  # what searches for them

Read = TypeVar("Read")
Others = TypeVar(
    "Others", bound=Collection[str]
)  # the names of an image's matches, with the kind of each or without


@dataclass(frozen=True, slots=True)
class Candidate:
    """What the rule weighs of one image; `score` is None where the image has none."""

    name: str
    pixels: int
    size: int  # bytes
    score: float | None
    keep: bool = False  # a person decided that it stays
    width: int = 0

    @property
    def extent(self) -> cache.Extent:
        """Width and height; zeros where nobody looked."""
        return self.width, self.pixels // max(1, self.width)


@dataclass(frozen=True)
class CurrentMatches(Generic[Others]):
    """A topic's file on duplicates or variants held against the folder as it is now.

    `usable` holds the matches between images that are still what the search saw. The lists name the others.
    """

    usable: Mapping[str, Others]
    unknown: list[str]  # in the folder, not seen by the search
    changed: list[str]  # size or time differ from what the search saw
    gone: list[str]  # seen by the search, not in the folder
    search: str = SEARCH_COMMAND  # what makes the file

    @property
    def fits(self) -> bool:
        return not (self.unknown or self.changed or self.gone)

    @property
    def misfit(self) -> str:
        """In words, with examples, how the file no longer fits its folder."""
        parts = ((self.unknown, "not in it"), (self.changed, "changed since"), (self.gone, "gone"))
        named = "; ".join(
            f"{len(names):,} {what} ({terminal.list_few(names)})" for names, what in parts if names
        )
        return f"no longer fits its folder (run {self.search} again): {named}"


def current_matches(
    topic: Topic, stamps: Mapping[str, Stamp], cached: Cache
) -> CurrentMatches[set[str]] | None:
    """The topic's copies as far as they can be relied on, and as a person decided; None where it was not searched.

    Raises Damaged.
    """
    found, cached = _read_consistent(topic, "duplicates", json_files.parse_matches, cached)
    if found is None:
        return None
    current, misfits = _compare_with_folder(
        found, cached.duplicates, json_files.duplicates_path(topic), stamps
    )
    usable = {name: found[name] & current for name in sorted(current)}
    decisions.decisions_for_topic(topic).settle(usable, {})
    return CurrentMatches(usable, *misfits)


def current_variants(
    topic: Topic, stamps: Mapping[str, Stamp], cached: Cache
) -> CurrentMatches[dict[str, str]] | None:
    """The same of its variants, with the kind of each, doubtful ones too. Raises Damaged."""
    found, cached = _read_consistent(topic, "variants", json_files.parse_variants, cached)
    if found is None:
        return None
    seen = cached.variants.images if cached.variants else stamps
    current, misfits = _compare_with_folder(
        seen.keys() | found.keys(), cached.variants, json_files.variants_path(topic), stamps
    )
    usable = {
        name: {other: kind for other, kind in found[name].items() if other in current}
        for name in sorted(current & found.keys())
    }
    decisions.decisions_for_topic(topic).settle({}, usable)
    return CurrentMatches(usable, *misfits, search=VARIANTS_COMMAND)


def _read_consistent(
    topic: Topic, key: str, parsed: Callable[[str, bytes | None], Read], cached: Cache
) -> tuple[Read, Cache]:
    """The file, and the cache as far as it is about these bytes; read again where another run has just written both."""
    known = iter([cached])
    return cache.read_with_provenance(
        topic, key, parsed, lambda: next(known, None) or cache.load_cache(topic)
    )[:2]


def _compare_with_folder(
    known: Collection[str], made: Provenance | None, file: str, stamps: Mapping[str, Stamp]
) -> tuple[set[str], tuple[list[str], list[str], list[str]]]:
    """Which of the images that a search knew are what it saw; and the unknown, the changed and the gone."""
    known = made.images.keys() & known if made else known
    saw = stamps_at_search(made, file, stamps)
    there = {name for name in known if name in stamps}
    current = {name for name in there if saw.get(name) == stamps[name]}
    unknown = [name for name in stamps if name not in known]
    return current, (
        unknown,
        sorted(there - current),
        sorted(name for name in known if name not in stamps),
    )


def stamps_at_search(
    made: Provenance | None, file: str, stamps: Mapping[str, Stamp]
) -> Mapping[str, Stamp]:
    """The images that a search saw, as they were then; one that its record lacks it does not know.

    Where there is no record, an image that is not younger than the search's file is taken to be what it saw.
    """
    if made:
        return made.images
    time = os.stat(file).st_mtime_ns
    return {name: stamp for name, stamp in stamps.items() if stamp[1] <= time}


def scores_for_ranking(topic: Topic, warn: Callable[[str], None]) -> Mapping[str, float]:
    """The topic's scores to rank its images by; none, and a warning, where their file is damaged."""
    try:
        return json_files.read_scores(topic)
    except json_files.Damaged as error:
        warn(f"{terminal.escape(error)}; until then images are weighed by resolution alone")
        return {}


def make_candidates(
    topic: Topic,
    stamps: Mapping[str, Stamp],
    cached: Cache,
    scores: Mapping[str, float],
    bad: Callable[[str, str], None],
    matched: Collection[str] | None = None,
) -> list[Candidate]:
    """What the rule needs to know of each image; one whose size cannot be read goes to `bad` and counts 0 pixels.

    With `matched`, sizes are looked up of these alone: the others stay whatever their rank, and may count 0 pixels.
    """
    listed, keep = [], decisions.decisions_for_topic(topic).keep
    for name, stamp in stamps.items():
        wanted = matched is None or name in matched
        width, height = (image_extent(topic, name, stamp, cached, bad) if wanted else None) or (
            0,
            0,
        )
        score = scores.get(name)
        usable = score is not None and score == score  # NaN is no score
        listed.append(
            Candidate(
                name, width * height, stamp[0], score if usable else None, name in keep, width
            )
        )
    return listed


def image_extent(
    topic: Topic, name: str, stamp: Stamp, cached: Cache, bad: Callable[[str, str], None]
) -> cache.Extent | None:
    """Width and height, from the cache where it fits the file, else from the file's header; None if unreadable."""
    known = cached.extent(name, stamp)
    if known:
        return known
    from common import images  # Pillow, only where the cache does not do

    try:
        read = images.read_header(topic.file(name))
    except images.Unreadable as error:
        bad(topic.file(name), str(error))
        return None
    return read.width, read.height


def topic_redundant(
    topic: Topic,
    stamps: Mapping[str, Stamp],
    cached: Cache,
    scores: Mapping[str, float],
    matches: Mapping[str, Collection[str]],
    bad: Callable[[str, str], None],
) -> dict[str, str]:
    """The images of a topic that do not stay, each with the one that stands for it; opens what no cache covers."""
    matched = {name for name, others in matches.items() if others}
    return (
        select_redundant(make_candidates(topic, stamps, cached, scores, bad, matched), matches)
        if matched
        else {}
    )


def rank_candidates(images: Iterable[Candidate]) -> list[Candidate]:
    """Best first: resolution x score where every image has a score above 0, else resolution; then bytes, then name.

    Those that a person decided to keep come before all others.
    """
    listed = list(images)
    scored = all_scored(listed)

    def worth(image: Candidate) -> float:
        return image.pixels * image.score if scored and image.score is not None else image.pixels

    return sorted(
        listed, key=lambda image: (not image.keep, -worth(image), -image.size, image.name)
    )


def all_scored(images: Iterable[Candidate]) -> bool:
    """Whether these images are ranked by their scores too."""
    return all(image.score is not None and image.score > 0 for image in images)


def select_redundant(
    images: Iterable[Candidate],
    matches: Mapping[str, Collection[str]],
    references: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """The images that do not stay, each with the kept image that stands for it.

    Walks from best to worst and keeps each image that matches none already kept. So whatever is left out has a kept
    direct match (the best of them is named), and a chain of matches does not swallow strangers. What a person decided
    to keep stays, whatever it matches. `references` has images that something outside stands for from the start.
    """
    out: dict[str, str] = {}
    walk = rank_candidates(images)
    rank = {image.name: place for place, image in enumerate(walk)}
    kept: set[str] = set()
    for image in walk:
        standing = [other for other in matches.get(image.name, ()) if other in kept]
        if references and image.name in references and not image.keep:
            out[image.name] = references[image.name]
        elif standing and not image.keep:
            out[image.name] = min(standing, key=rank.__getitem__)
        else:
            kept.add(image.name)
    return out
