"""The matches within one topic, sorted out by image and written with what made them.

Who stays among them is decided in common/keepers.py, and only told here.
"""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from common import cache, decisions, json_files, keepers, sidecar
from common.cache import Cache, Provenance
from common.reporter import Reporter
from common.sidecar import Sidecar
from common.tree import Stamp, Topic
from duplicates.classification import COPY, EQUAL, Verdict
from duplicates.verification import ImagePair

Matches = dict[str, set[str]]
Read = TypeVar("Read")

DOUBTS = 10  # doubtful pairs of an image that are told; the others are counted


@dataclass(frozen=True)
class TopicSummary:
    """What is told of one topic."""

    label: str
    images: int
    pairs: int
    left_out: Mapping[str, str]  # image to the one that stands for it
    variants: Mapping[str, int]  # pairs of each kind
    untold: int  # doubtful pairs beyond those that the file has room for

    @property
    def sets(self) -> dict[str, list[str]]:
        """Each image that stays, with those that it stands for, sorted."""
        sets: dict[str, list[str]] = {}
        for name, keeper in sorted(self.left_out.items()):
            sets.setdefault(keeper, []).append(name)
        return sets


@dataclass
class TopicVerdicts:
    """What close looks found in a topic."""

    copies: Matches  # every image is a key
    variants: json_files.Kinds  # doubtful ones too; each pair once
    figures: dict[
        str, dict[str, tuple[str, float]]
    ]  # of each pair in the two: its kind, and how alike it is
    untold: int


def group_verdicts(
    stamps: Mapping[str, Stamp], said: Mapping[ImagePair, Verdict], equal: Iterable[ImagePair] = ()
) -> TopicVerdicts:
    """What close looks said of a topic's pairs, by image; `equal` are pairs of flat images with the same pixels.

    Of doubtful pairs only the likeliest are kept, so that none of their images has more than DOUBTS.
    """
    found = {**dict.fromkeys(equal, EQUAL), **said}
    seen = TopicVerdicts({name: set() for name in stamps}, {}, {}, 0)
    doubts = Counter[str]()
    for pair, verdict in sorted(found.items(), key=lambda item: (-item[1].likeness, item[0])):
        one, other = pair
        if verdict.kind == json_files.DOUBTFUL:
            if max(doubts[one], doubts[other]) >= DOUBTS:
                seen.untold += 1
                continue
            doubts.update(pair)
        if verdict.kind == COPY:
            seen.copies[one].add(other)
            seen.copies[other].add(one)
        else:
            seen.variants.setdefault(one, {})[other] = verdict.kind
        seen.figures.setdefault(one, {})[other] = (verdict.kind, round(verdict.likeness, 3))
    return seen


def write_results(
    topic: Topic,
    stamps: Mapping[str, Stamp],
    seen: TopicVerdicts,
    rows: Sidecar,
    made_by: Mapping[str, Any],
    variants: bool,
    talk: Reporter,
) -> TopicSummary:
    """Write what was found in a topic and what made it; `rows` know the sizes. Returns what there is to tell.

    A kill at any moment leaves a record that is about the file (see cache.write_made). Without `variants` those of an
    earlier search stay, as far as they still hold. Damaged files are set aside. Raises UserError.
    """
    with cache.topic_lock(topic):
        return _finished(topic, stamps, seen, rows, made_by, variants, talk)


def _finished(
    topic: Topic,
    stamps: Mapping[str, Stamp],
    seen: TopicVerdicts,
    rows: Sidecar,
    made_by: Mapping[str, Any],
    variants: bool,
    talk: Reporter,
) -> TopicSummary:
    before, earlier = (
        _undamaged(json_files.read_matches, topic, talk),
        _undamaged(json_files.read_variants, topic, talk),
    )
    old = cache.load_cache(topic, talk.warn)
    made = Provenance(dict(made_by), dict(stamps))
    made_variants = (
        made
        if variants
        else _still(old.variants, json_files.file_digest(json_files.variants_path(topic)), stamps)
    )
    sizes = sidecar.row_extents(rows, stamps)
    known = {**old.extents, **sizes}
    kept = (
        json_files.symmetrize(seen.variants, json_files.VARIANT_KINDS)
        if variants
        else _holding(earlier or {}, made_variants, seen.copies)
    )
    decisions.decisions_for_topic(topic).settle(seen.copies, kept)
    if stamps or before is not None:
        files: dict[str, tuple[bytes, Provenance | None]] = {}
        if variants or earlier is not None:
            files["variants"] = json_files.variants_content(kept), made_variants
        files["duplicates"] = json_files.matches_content(seen.copies), made
        cache.write_with_provenance(topic, files, sizes if old.extents != known else None)
        write_pair_figures(topic, seen, kept)
    left_out = keepers.topic_redundant(
        topic,
        stamps,
        Cache(known),
        keepers.scores_for_ranking(topic, talk.warn),
        seen.copies,
        talk.report_unreadable,
    )
    pairs = sum(map(len, seen.copies.values())) // 2
    return TopicSummary(topic.label, len(stamps), pairs, left_out, _counted(kept), seen.untold)


def _undamaged(read: Callable[[Topic], Read], topic: Topic, talk: Reporter) -> Read | None:
    try:
        return read(topic)
    except json_files.Damaged as error:
        json_files.quarantine(error.path, error.reason, talk.warn)
        return None


def _still(made: Provenance | None, digest: str, stamps: Mapping[str, Stamp]) -> Provenance | None:
    """What made the variants of the file with that digest, of the images that are still as they were."""
    made = made and made.of(digest)
    if made is None:
        return None
    return Provenance(
        made.made_by,
        {name: stamp for name, stamp in made.images.items() if stamps.get(name) == stamp},
    )


def _holding(
    earlier: json_files.Kinds, made: Provenance | None, copies: Matches
) -> json_files.Kinds:
    """The earlier variants whose images are unchanged, and that are no copies now."""
    images = made.images if made else {}
    kept: json_files.Kinds = {}
    for one, others in earlier.items():
        holding = {
            other: kind
            for other, kind in others.items()
            if other in images and other not in copies.get(one, ())
        }
        if one in images and holding:
            kept[one] = holding
    return kept


def write_pair_figures(topic: Topic, seen: TopicVerdicts, variants: json_files.Kinds) -> None:
    """Keep what was measured of each pair that is told, for whoever shows them: `.cache/pairs.json`."""
    path = os.path.join(cache.make_cache_folder(topic), cache.PAIRS_FILE)
    with contextlib.suppress(
        json_files.Damaged, AttributeError, TypeError
    ):  # one that is lost is made again
        earlier = json_files.read_json(path, {})
        for one, others in variants.items():
            for other, kind in others.items():
                if earlier.get(one, {}).get(other, [None])[0] == kind:
                    seen.figures.setdefault(one, {}).setdefault(other, earlier[one][other])
    json_files.write_json(path, seen.figures)


def _counted(variants: json_files.Kinds) -> dict[str, int]:
    """Pairs of each kind, in the order of the kinds."""
    counts = Counter(kind for others in variants.values() for kind in others.values())
    return {kind: counts[kind] // 2 for kind in json_files.VARIANT_KINDS if counts[kind]}
