"""Topics of which --include and --exclude select some images: what is known of the others stays.

Images that an earlier search saw are compared with the selected ones, so that no match is missed.
They are not reported, and nothing about them is computed that is in the cache.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from common import cache, json_files
from common.atomic_files import Damaged
from common.cache import Provenance
from common.json_files import COPY, Copies, Kinds
from common.topics import Stamp, Topic
from duplicates.proposers import TopicRows
from imaging import image_identity
from keeping import topic_relations


def select_earlier_images(topic: Topic) -> Topic:
    """Return the topic with the unchanged images that an earlier search saw selected too."""
    if not topic.selection:
        return topic
    try:
        copies, cached, _ = cache.read_with_provenance(
            topic, "duplicates", json_files.parse_copies, lambda: cache.load_cache(topic)
        )
    except Damaged:  # the search sets it aside
        return topic
    if copies is None:
        return topic
    stamps = image_identity.stamps_as_recorded(replace(topic, selection=None), cached.files)
    path = json_files.duplicates_path(topic)
    seen = topic_relations.stamps_at_search(cached.duplicates, path, stamps)
    unreadable = cached.duplicates.unreadable if cached.duplicates else frozenset()
    also = set()
    for name in stamps.keys() & copies.keys() & seen.keys() - unreadable:
        if seen[name] == stamps[name]:
            also.add(name)
    return replace(topic, selection=replace(topic.selection, also=frozenset(also)))


def stamps_to_report(topic: Topic) -> dict[str, Stamp]:
    """Return the images that the patterns select, as confirm_topic() does."""
    stamps = image_identity.confirm_topic(topic)
    return {name: stamps[name] for name in filter(topic.reports, stamps)}


def stamps_for_variants(images: TopicRows) -> dict[str, Stamp]:
    """Return the images that a search for variants compares: selected, or seen by one before."""
    if not images.topic.selection:
        return dict(images.stamps)
    earlier = cache.load_cache(images.topic).variants
    seen = earlier.images if earlier else {}
    stamps = {}
    for name, stamp in images.stamps.items():
        if images.topic.reports(name) or seen.get(name) == stamp:
            stamps[name] = stamp
    return stamps


def still_valid(images: TopicRows, earlier: Provenance) -> dict[str, Stamp]:
    """Return the images of an earlier search that are unchanged, or that this one leaves out."""
    valid = {}
    for name, stamp in earlier.images.items():
        if images.stamps.get(name) == stamp or not images.topic.selects(name):
            valid[name] = stamp
    return valid


def carry_pairs(
    kinds: Kinds, old: Kinds, valid: Mapping[str, Stamp], compared: Mapping[str, Stamp]
) -> dict[str, Stamp]:
    """Add the old pairs of valid images that were not compared now.

    Returns the images that were not compared, with the stamps that an earlier search saw.
    """
    for name in valid.keys() & old.keys():
        for other in valid.keys() & old[name].keys():
            if name not in compared or other not in compared:
                kinds.setdefault(name, {}).setdefault(other, old[name][other])
    return {name: stamp for name, stamp in valid.items() if name not in compared}


def carry_copies(
    copies: Copies, old: Copies, valid: Mapping[str, Stamp], compared: Mapping[str, Stamp]
) -> dict[str, Stamp]:
    """Add the old copies as carry_pairs() does; images that were not compared are keys too."""
    kinds: Kinds = {}
    old_kinds = {name: dict.fromkeys(others, COPY) for name, others in old.items()}
    outside = carry_pairs(kinds, old_kinds, valid, compared)
    for name in (*kinds, *(outside.keys() & old.keys())):
        copies.setdefault(name, set()).update(kinds.get(name, ()))
    return outside
