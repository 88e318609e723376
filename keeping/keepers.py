"""Which of several matching images is kept: the one rule that all scripts share.

Works on names and numbers, not on pixels; keeping/keeper_order.py has the order. Loads Pillow only
for images whose size no cache knows.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

from common import cache, terminal, topic_scores
from common.atomic_files import Damaged
from common.cache import Cache
from common.topics import Stamp, Topic
from keeping import (
    copy_traits,
    decisions,
    keeper_order,
    kept_images,
    pair_records,
)
from keeping.equal_images import NO_SETS, EqualSets
from keeping.keeper_order import BEST_FIRST, Candidate, KeeperRule
from keeping.preference import Preference
from sidecars import caption_table, captions


@dataclass(frozen=True)
class KeeperChoice:
    """Which of the candidates are redundant, and why."""

    keepers: dict[str, str] = field(default_factory=dict)  # redundant image to its keeper
    reasons: dict[str, str] = field(default_factory=dict)  # redundant image: why the keeper is kept
    sets_by_size: int = 0  # with an image whose originality was not measured
    better_left_out: int = 0  # redundant images that only an earlier merge stands before


def by_size_message(sets: int) -> str:
    """Say how many sets go by the old rule, and what to do."""
    return f"{terminal.plural(sets, 'set')} by size alone: run find_duplicates.py"


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
    captioned = _images_with_caption(topic, stamps, cached.originality)
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
        candidate = Candidate(
            name,
            width * height,
            stamp[0],
            score,
            keep=name in decided.keep,
            width=width,
            traits=copy_traits.parse_image(cached.originality.get(name), stamp),
            captioned=name in captioned,
            mtime_ns=stamp[1],
        )
        candidates.append(candidate)
    return candidates


def _images_with_caption(
    topic: Topic, names: Collection[str], measured: Collection[str]
) -> set[str]:
    """Return the measured images whose caption is not empty: that decides between such copies.

    `names` are all images of the topic.
    """
    if not measured:
        return set()
    matched, _ = captions.match_captions(topic, names)
    captioned = set(caption_table.read_texts(topic, matched)) & set(measured)
    for image, name in matched.items():
        if image in measured and captions.has_text(topic.path_of(name)):
            captioned.add(image)
    return captioned


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
    from imaging import images  # Pillow, only if the cache does not know the size

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
    prefer: Preference = Preference.BEST,
) -> KeeperChoice:
    """Choose the redundant images of a topic.

    Opens images whose size the cache does not know.
    """
    matched = {name for name, others in matches.items() if others}
    matched.update(*equals.members.values())
    if not matched:
        return KeeperChoice()
    candidates = make_candidates(topic, stamps, cached, scores, report_unreadable, matched)
    rule = KeeperRule(prefer, pair_records.read_topic_pairs(topic, stamps))
    return select_redundant(candidates, matches, rule=rule, equals=equals)


def select_redundant(
    candidates: Iterable[Candidate],
    matches: Mapping[str, Collection[str]],
    references: Mapping[str, str] | None = None,
    rule: KeeperRule = BEST_FIRST,
    copies_of: Mapping[str, Collection[str]] | None = None,
    equals: EqualSets = NO_SETS,
) -> KeeperChoice:
    """Choose the redundant images, each with its keeper.

    Walks from best to worst and keeps each image that matches none already kept. So each redundant
    image has a kept direct match (the best one is its keeper), and a chain of matches does not
    swallow strangers. What a person decided to keep, and what is in the target of a merge, is kept,
    whatever it matches. `references` maps images to a keeper outside of the candidates.
    `copies_of` has the copies among the matches; without it all are. `equals` are sets whose pairs
    match although `matches` does not list them.
    """
    candidates = list(candidates)
    connected = equals.add_stars(matches if copies_of is None else copies_of)
    ranking = keeper_order.rank_candidates(candidates, connected, rule)
    by_name = {image.name: image for image in ranking.order}
    keepers: dict[str, str] = {}
    reasons: dict[str, str] = {}
    kept = kept_images.KeptImages(matches, equals)
    for image in ranking.order:
        if references and image.name in references and not image.is_settled:
            keepers[image.name] = references[image.name]
            continue
        keeper = None if image.is_settled else kept.best_match(image.name)
        if keeper:
            keepers[image.name] = keeper
            reasons[image.name] = ranking.explain(by_name[keeper], image)
        else:
            kept.add(image.name)
    better = _better_images(candidates, keepers, connected, rule)
    reasons.update(dict.fromkeys(better, "it is in the target already"))
    return KeeperChoice(keepers, reasons, ranking.sets_by_size, len(better))


def _better_images(
    candidates: Iterable[Candidate],
    keepers: Mapping[str, str],
    copies_of: Mapping[str, Collection[str]],
    rule: KeeperRule,
) -> list[str]:
    """Return redundant images that are better than a keeper which an earlier merge brought."""
    in_target = {image.name for image in candidates if image.in_target and not image.keep}
    if in_target.isdisjoint(keepers.values()):
        return []
    undone = [replace(image, in_target=False) for image in candidates]
    order = keeper_order.rank_candidates(undone, copies_of, rule).order
    rank = {image.name: position for position, image in enumerate(order)}
    replaced = {name: keeper for name, keeper in keepers.items() if keeper in in_target}
    return [name for name, keeper in replaced.items() if rank[name] < rank[keeper]]
