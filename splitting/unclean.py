"""Leaves out unclean variants: a screenshot, meme, frame or crop of an image that may be chosen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from common.json_files import Kinds
from common.topics import Stamp, Topic
from keeping import directions, equal_images, pair_records
from keeping.across_file import Across
from keeping.directions import Directions
from keeping.equal_images import NO_SETS, EqualSets
from keeping.keeper_order import Candidate
from splitting.candidates import Split

UNCLEAN_KINDS = ("contained", "framed", "captioned", "overlaid", "cropped")
REASON = "variants_left_out"


def find_unclean(
    topic: Topic,
    stamps: Mapping[str, Stamp],
    images: Sequence[Candidate],
    kinds: Kinds,
    equals: EqualSets,
) -> set[str]:
    """Return the images that are unclean variants of one that may be chosen in their topic.

    `images` are those that may be chosen, best first.
    """
    if not any(kind in UNCLEAN_KINDS for others in kinds.values() for kind in others.values()):
        return set()
    pixels = {image.name: image.pixels for image in images}
    known = pair_records.read_topic_directions(topic, stamps)
    return _select_unclean(pixels, equal_images.join_kinds(kinds, equals), known, equals)


def _select_unclean(
    pixels: Mapping[str, int], kinds: Kinds, known: Directions, equals: EqualSets = NO_SETS
) -> set[str]:
    """Walk from clean to unclean; leave out each that a direct clean version makes redundant.

    `pixels` are those of the images that may be chosen, best first. Kinds are of nodes.
    """
    counted: Kinds = {}
    for name, others in kinds.items():
        counted[name] = {other: kind for other, kind in others.items() if kind in UNCLEAN_KINDS}
    pixels_of_node = {equals.node(name): count for name, count in pixels.items()}
    clean_of = directions.clean_versions(counted, known, pixels_of_node, kinds)
    names_of_node: dict[str, list[str]] = {}
    for name in pixels:
        names_of_node.setdefault(equals.node(name), []).append(name)
    available: set[str] = set()
    unclean: set[str] = set()
    for node in directions.sort_clean_first([*names_of_node], clean_of):
        if available.isdisjoint(clean_of.get(node, ())):
            available.add(node)
        else:
            unclean.update(names_of_node[node])
    return unclean


def leave_out_across(splits: Iterable[Split], across: Across) -> None:
    """Leave out what is an unclean variant of an image of another topic that may be chosen."""
    by_dataset: dict[str, list[Split]] = {}
    for split in splits:
        by_dataset.setdefault(split.topic.dataset_path, []).append(split)
    for dataset, of_dataset in by_dataset.items():
        pixels: dict[str, int] = {}
        for split in of_dataset:
            pixels |= {split.topic.path_of(name): n for name, n in split.choosable_across.items()}
        kinds = {path: across.matches_in_dataset(path) for path in pixels}
        known = pair_records.read_directions_across(dataset, [split.topic for split in of_dataset])
        unclean = _select_unclean(pixels, kinds, known)
        for split in of_dataset:
            names = {
                name for name in split.choosable_across if split.topic.path_of(name) in unclean
            }
            split.leave_out(names - split.earlier.keys(), REASON)
