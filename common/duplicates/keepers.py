"""Who stays when images match: the one rule that find_duplicates, duplicates_stats, merge and split share.

Works on names and numbers; knows no pixels. Loads Pillow only for images whose size no cache knows.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

from common import text
from common.dataset import cache, records
from common.dataset.cache import Cache
from common.dataset.tree import Stamp, Topic


@dataclass(frozen=True)
class Candidate:
    """What the rule weighs of one image; `score` is None where the image has none."""

    name: str
    pixels: int
    size: int  # bytes
    score: float | None


@dataclass(frozen=True)
class Matches:
    """A topic's duplicates file held against the folder as it is now.

    `usable` holds the matches between images that are still what the search saw. The lists name the others.
    """

    usable: Mapping[str, set[str]]
    unknown: list[str]  # in the folder, not in the file
    changed: list[str]  # size or time differ from what the search saw
    gone: list[str]  # in the file, not in the folder

    @property
    def fits(self) -> bool:
        return not (self.unknown or self.changed or self.gone)

    @property
    def misfit(self) -> str:
        """In words, with examples, how the file no longer fits its folder."""
        parts = ((self.unknown, "not in it"), (self.changed, "changed since"), (self.gone, "gone"))
        named = "; ".join(f"{len(names):,} {what} ({text.sampled(names)})" for names, what in parts if names)
        return f"no longer fits its folder (run find_duplicates.py again): {named}"


def matches(topic: Topic, stamps: Mapping[str, Stamp], cached: Cache) -> Matches | None:
    """The topic's matches as far as they can be relied on; None where it was not searched. Raises Damaged."""
    found = records.read_matches(topic)
    if found is None:
        return None
    seen = cached.duplicates.images if cached.duplicates else {}
    changed = {name for name in found if name in stamps and seen.get(name, stamps[name]) != stamps[name]}
    current = {name for name in found if name in stamps} - changed
    return Matches(
        usable={name: found[name] & current for name in sorted(current)},
        unknown=[name for name in stamps if name not in found],
        changed=sorted(changed),
        gone=sorted(name for name in found if name not in stamps),
    )


def candidates(
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
    listed = []
    for name, stamp in stamps.items():
        wanted = matched is None or name in matched
        width, height = (extent(topic, name, stamp, cached, bad) if wanted else None) or (0, 0)
        score = scores.get(name)
        usable = score is not None and score == score  # NaN is no score
        listed.append(Candidate(name, width * height, stamp[0], score if usable else None))
    return listed


def extent(
    topic: Topic, name: str, stamp: Stamp, cached: Cache, bad: Callable[[str, str], None]
) -> cache.Extent | None:
    """Width and height, from the cache where it fits the file, else from the file's header; None if unreadable."""
    known = cached.extent(name, stamp)
    if known:
        return known
    from common.dataset import images  # Pillow, only where the cache does not do

    try:
        read = images.header(topic.file(name))
    except images.Unreadable as error:
        bad(topic.file(name), str(error))
        return None
    return read.width, read.height


def redundant(
    topic: Topic,
    stamps: Mapping[str, Stamp],
    cached: Cache,
    scores: Mapping[str, float],
    matches: Mapping[str, set[str]],
    bad: Callable[[str, str], None],
) -> dict[str, str]:
    """The images of a topic that do not stay, each with the one that stands for it; opens what no cache covers."""
    matched = {name for name, others in matches.items() if others}
    return left_out(candidates(topic, stamps, cached, scores, bad, matched), matches) if matched else {}


def ranked(images: Iterable[Candidate]) -> list[Candidate]:
    """Best first: resolution x score where every image has a score above 0, else resolution; then bytes, then name."""
    listed = list(images)
    scored = all(image.score is not None and image.score > 0 for image in listed)

    def worth(image: Candidate) -> float:
        return image.pixels * image.score if scored and image.score is not None else image.pixels

    return sorted(listed, key=lambda image: (-worth(image), -image.size, image.name))


def left_out(images: Iterable[Candidate], matches: Mapping[str, set[str]]) -> dict[str, str]:
    """The images that do not stay, each with the kept image that stands for it.

    Walks from best to worst and keeps each image that matches none already kept. So whatever is left out has a kept
    direct match (the best of them is named), and a chain of matches does not swallow strangers.
    """
    rank = {image.name: place for place, image in enumerate(ranked(images))}
    kept: set[str] = set()
    out = {}
    for name in rank:
        standing = [other for other in matches.get(name, ()) if other in kept]
        if standing:
            out[name] = min(standing, key=rank.__getitem__)
        else:
            kept.add(name)
    return out
