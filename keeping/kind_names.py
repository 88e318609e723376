"""Names of kinds that the files of matches cannot hold: there, an older kind stands for them.

Two windows of one picture are *overlapping*. The files say `cropped`, and the name stands with the
likeness of the pair in `.cache/pairs.json`. Needs only the standard library.
"""

from __future__ import annotations

from collections.abc import Iterator

from common import json_files, terminal
from common.cache import Provenance
from common.json_files import CROPPED, OVERLAPPING, Kinds
from common.reporter import Reporter, dump_json
from common.topics import Topic
from keeping import pair_sections

FILE_KINDS = {OVERLAPPING: CROPPED}  # name to the kind that stands for it in a file
FIRST_RULES_VERSION = 11  # of topic_relations, from which on searches give names


def variants_content(variants: Kinds) -> bytes:
    """Return the bytes of a variants file. A pair may be given in one direction or both."""
    both_ways = json_files.symmetrize(file_kinds(variants), json_files.VARIANT_KINDS)
    return dump_json(both_ways).encode()


def file_kinds(kinds: Kinds) -> Kinds:
    """Return matches as a file holds them."""
    stored: Kinds = {}
    for name, others in kinds.items():
        stored[name] = {other: FILE_KINDS.get(kind, kind) for other, kind in others.items()}
    return stored


def name_kinds(kinds: Kinds, pairs_path: str) -> Kinds:
    """Return the matches of a file under their names, as the pairs.json at `pairs_path` has them.

    A pair without a name there keeps the kind of the file.
    """
    if not any(kind == CROPPED for _, _, kind in _each_match(kinds)):
        return kinds
    names = _read_recorded_kinds(pairs_path)
    named = {name: dict(others) for name, others in kinds.items()}
    for name, other, kind in _each_match(kinds):
        recorded = names.get((name, other), kind)
        if FILE_KINDS.get(recorded) == kind:
            named[name][other] = recorded
    return named


def drop_unrecorded_crops(
    kinds: Kinds, topic: Topic, provenance: Provenance | None, reporter: Reporter
) -> Kinds:
    """Return a topic's matches without those that are `cropped` with no record in pairs.json.

    They may be overlapping, so that neither image can replace the other. Says so. `provenance` is
    that of the variants: versions without names made no such pairs.
    """
    if provenance and provenance.made_by.get("rules", 0) < FIRST_RULES_VERSION:
        return kinds
    recorded = _read_recorded_kinds(pair_sections.pairs_path(topic))
    proven: Kinds = {}
    is_any_dropped = False
    for name, other, kind in _each_match(kinds):
        if kind != CROPPED or recorded.get((name, other)) == CROPPED:
            proven.setdefault(name, {})[other] = kind
        else:
            is_any_dropped = True
    if is_any_dropped:
        reporter.warn_few(
            "topics with cropped images of unknown overlap",
            f"{terminal.escape(topic.path)}: not recorded whether one of two cropped images shows "
            "all of the other, so both are kept; run find_duplicates.py --variants",
        )
    return proven


def _each_match(kinds: Kinds) -> Iterator[tuple[str, str, str]]:
    for name, others in kinds.items():
        for other, kind in others.items():
            yield name, other, kind


def _read_recorded_kinds(pairs_path: str) -> dict[tuple[str, str], str]:
    """Read the kind of each pair in both orders. What is missing or damaged is left out."""
    recorded: dict[tuple[str, str], str] = {}
    for name, other, kind, _ in pair_sections.read_entries(pairs_path):
        recorded[name, other] = recorded[other, name] = kind
    return recorded
