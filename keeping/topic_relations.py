"""How the images of a topic relate: its copies and variants, as they can be relied on.

The one place that checks both files against the folder as it is now and applies a person's
decisions. duplicates/results.py writes the files. Needs only the standard library.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import TypeVar

from common import cache, image_formats, json_files, terminal
from common.cache import Cache, Provenance
from common.json_files import COPY, Copies, Kinds
from common.topics import Stamp, Topic
from imaging import image_identity
from keeping import decisions, equal_images, kind_names
from keeping.equal_images import NO_SETS, EqualSets
from keeping.pair_sections import pairs_path

SEARCH_COMMAND = "find_duplicates.py"
VARIANTS_COMMAND = "find_duplicates.py --variants"
# Of the rules in duplicates/. Bump when one changes: cached verdicts of others are recomputed.
RULES_VERSION = 25
OLDER_RULES = (
    "copies and variants are used as an earlier version found them; "
    f"{SEARCH_COMMAND} looks at them again"
)

Parsed = TypeVar("Parsed")


@dataclass(frozen=True)
class Staleness:
    """How a file of search results differs from its folder as it is now. The lists are sorted."""

    path: str
    command: str  # what makes the file
    unknown: list[str]  # in the folder, not seen by the search
    changed: list[str]  # size or time is not what the search saw
    gone: list[str]  # seen by the search, not in the folder

    @property
    def is_stale(self) -> bool:
        return bool(self.unknown or self.changed or self.gone)

    @property
    def message(self) -> str:
        parts = ((self.unknown, "not in it"), (self.changed, "changed since"), (self.gone, "gone"))
        listed = terminal.list_counted(parts)
        return f"no longer fits its folder (run {self.command} again): {listed}"


@dataclass(frozen=True)
class TopicRelations:
    """The copies and variants between images that are unchanged since the search.

    Both ways, with a person's decisions applied. None in place of what was not searched for. All
    images of a set in `equals` are copies of each other, and match what one of them matches.
    """

    copies: Copies | None
    variants: Kinds | None  # doubtful ones too
    copies_staleness: Staleness | None = None
    variants_staleness: Staleness | None = None
    equals: EqualSets = field(default=NO_SETS, compare=False)
    has_older_rules: bool = field(default=False, compare=False)  # than those of this version

    def kinds(self, counted: Collection[str]) -> Kinds:
        """Return the matches of the counted kinds, for each image that has one."""
        kinds: Kinds = {}
        for name, others in (self.variants or {}).items():
            matches = {other: kind for other, kind in others.items() if kind in counted}
            if matches:
                kinds[name] = matches
        if COPY in counted:
            for name, copies in (self.copies or {}).items():
                if copies:
                    kinds.setdefault(name, {}).update(dict.fromkeys(copies, COPY))
        return kinds

    def stale_files(self) -> list[Staleness]:
        both = (self.copies_staleness, self.variants_staleness)
        return [staleness for staleness in both if staleness and staleness.is_stale]


def read_topic_relations(
    topic: Topic,
    stamps: Mapping[str, Stamp],
    cached: Cache,
    *,
    copies: bool = True,
    variants: bool = True,
) -> TopicRelations:
    """Read the topic's copies, variants, or both. `stamps` are those of its images now.

    Raises Damaged.
    """
    copies_found, variants_found = None, None
    copies_staleness, variants_staleness = None, None
    equals = NO_SETS
    provenance = None
    if copies:
        copies_found, provenance, copies_staleness = _read_listed_copies(topic, stamps, cached)
    if variants:
        variants_found, variants_staleness = _read_listed_variants(topic, stamps, cached)
    if copies_found is None and variants_found is None:
        return TopicRelations(None, None)
    decided = decisions.decisions_for_topic(topic)
    if copies_found is not None and copies_staleness is not None:
        current = _current_images(stamps, copies_staleness)
        recorded = provenance.equal if provenance else None
        digests = recorded
        if recorded is None:
            digests = _prove_sets(topic, copies_found, stamps, current)
        equals = EqualSets(digests, current, decided.different, recorded is not None)
        copies_found = _current_copies(copies_found, current, equals)
    if variants_found is not None and variants_staleness is not None:
        if equals:
            variants_found = equals.link(variants_found, with_stars=False)
        variants_found = _current_variants(
            variants_found, _current_images(stamps, variants_staleness)
        )
    decided.apply_to(copies_found, variants_found)
    return TopicRelations(
        copies_found,
        variants_found,
        copies_staleness,
        variants_staleness,
        equals,
        has_older_rules=_has_older_rules(provenance),
    )


def _has_older_rules(provenance: Provenance | None) -> bool:
    version = provenance.made_by.get("rules") if provenance else None
    return isinstance(version, int) and version < RULES_VERSION


def _read_listed_copies(
    topic: Topic, stamps: Mapping[str, Stamp], cached: Cache
) -> tuple[Copies | None, Provenance | None, Staleness | None]:
    copies, provenance = _read_consistent(topic, "duplicates", json_files.parse_copies, cached)
    if copies is None:
        return None, None, None
    path = json_files.duplicates_path(topic)
    image_identity.confirm(stamps, [name for name, others in copies.items() if others])
    if provenance and provenance.equal:
        image_identity.confirm(stamps, provenance.equal)
    return copies, provenance, _compare_with_folder(topic, copies, provenance, path, stamps)


def _read_listed_variants(
    topic: Topic, stamps: Mapping[str, Stamp], cached: Cache
) -> tuple[Kinds | None, Staleness | None]:
    variants, provenance = _read_consistent(topic, "variants", json_files.parse_variants, cached)
    if variants is None:
        return None, None
    # The file names only images with a variant; the search saw the others too.
    seen = (provenance.images if provenance else stamps).keys() | variants.keys()
    path = json_files.variants_path(topic)
    image_identity.confirm(stamps, variants)
    variants = kind_names.name_kinds(variants, pairs_path(topic))
    return variants, _compare_with_folder(topic, seen, provenance, path, stamps, VARIANTS_COMMAND)


def _prove_sets(
    topic: Topic, copies: Copies, stamps: Mapping[str, Stamp], current: Collection[str]
) -> dict[str, str]:
    """Return the digests of images in sets that nobody recorded. Reads images around a star."""

    def read_digests(names: Sequence[str]) -> list[str]:
        return image_identity.file_digests([topic.path_of(name) for name in names])

    return equal_images.prove_sets(
        copies, {name: stamps[name][0] for name in current}, read_digests
    )


def _current_copies(copies: Copies, current: Set[str], equals: EqualSets) -> Copies:
    if equals:
        copies = equals.link_copies(copies, current)
    return {name: copies[name] & current for name in sorted(current)}


def _current_variants(variants: Kinds, current: Set[str]) -> Kinds:
    kinds: Kinds = {}
    for name in sorted(current & variants.keys()):
        others = variants[name]
        kinds[name] = {other: kind for other, kind in others.items() if other in current}
    return kinds


def _read_consistent(
    topic: Topic, key: str, parse: Callable[[str, bytes | None], Parsed], cached: Cache
) -> tuple[Parsed, Provenance | None]:
    """Read a file with the provenance of exactly these bytes.

    Takes the provenance from `cached`, unless another run has just written both.
    """
    known = iter([cached])
    parsed, consistent, _ = cache.read_with_provenance(
        topic, key, parse, lambda: next(known, None) or cache.load_cache(topic)
    )
    return parsed, getattr(consistent, key)


def _compare_with_folder(
    topic: Topic,
    seen: Collection[str],
    provenance: Provenance | None,
    path: str,
    stamps: Mapping[str, Stamp],
    command: str = SEARCH_COMMAND,
) -> Staleness:
    if provenance:
        seen = provenance.images.keys() & seen
    seen = set(filter(topic.selects, seen))
    stamps_seen = stamps_at_search(provenance, path, stamps)
    unknown = [name for name in stamps if name not in seen]
    gone = image_formats.drop_masks([name for name in seen if name not in stamps], stamps)
    changed = []
    for name in seen:
        if name in stamps and stamps_seen.get(name) != stamps[name]:
            changed.append(name)
    return Staleness(path, command, unknown, sorted(changed), sorted(gone))


def _current_images(stamps: Mapping[str, Stamp], staleness: Staleness) -> set[str]:
    return stamps.keys() - set(staleness.unknown) - set(staleness.changed)


def stamps_at_search(
    provenance: Provenance | None, path: str, stamps: Mapping[str, Stamp]
) -> Mapping[str, Stamp]:
    """Return the images that a search saw, with their stamps then.

    Without a provenance, an image that is not younger than the search's file counts as unchanged.
    """
    if provenance:
        return provenance.images
    search_time = os.stat(path).st_mtime_ns
    return {name: stamp for name, stamp in stamps.items() if stamp[1] <= search_time}
