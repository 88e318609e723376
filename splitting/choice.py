"""Chooses the images for training and validation: the best of each topic by pixels x score.

First the training images of all topics are chosen, then the validation images, which must not be
related to training images. An image that is in several topics is chosen where it ranks best.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set
from dataclasses import replace

from common.reporter import Reporter
from common.topics import Topic
from keeping import across_file, decision_files, keeper_order, pair_records
from keeping.copy_traits import PairTraits
from keeping.keeper_order import BEST_FIRST, Candidate, KeeperRule
from keeping.pair_sections import NameTuple
from splitting import unclean
from splitting.candidates import RELATED, Leak, Split, SplitPolicy
from splitting.chains import Chains
from splitting.earlier_split import TRAIN, VALID
from splitting.loading import load_split


def split_topics(topics: Sequence[Topic], policy: SplitPolicy, reporter: Reporter) -> list[Split]:
    """Choose the images of each topic; ties are broken by name. Raises Damaged."""
    decision_files.add_decisions(topics, reporter)
    across = across_file.read_across(topics, reporter.warn)
    splits: list[Split] = []
    connected: list[Split] = []  # topics with matches in other topics: chosen together
    for topic in topics:
        split = load_split(topic, policy, across, reporter)
        splits.append(split)
        if across.names_by_folder.get(topic.path):
            connected.append(split)
        else:
            _choose_both_sets([split], [split], policy, BEST_FIRST)
    pairs: dict[NameTuple, PairTraits] = {}
    if connected and policy.exclude_duplicates:
        for dataset in dict.fromkeys(split.topic.dataset_path for split in connected):
            in_dataset = [each.topic for each in connected if each.topic.dataset_path == dataset]
            pairs |= pair_records.read_pairs_across(dataset, in_dataset)
    if policy.exclude_duplicates and not policy.allow_variants:
        unclean.leave_out_across(connected, across)
    _choose_both_sets(connected, splits, policy, KeeperRule(policy.prefer, pairs))
    train_paths = _train_paths(splits)
    chains = Chains(split.links for split in splits)
    train_sets = chains.sets_of(train_paths)
    for split in splits:
        split.leaks = _find_leaks(split, train_paths, chains, train_sets)
    return splits


def _find_leaks(
    split: Split, train_paths: Set[str], chains: Chains, train_sets: Set[int]
) -> list[Leak]:
    """Return the validation images that match a training image, directly or through others."""
    leaks = []
    for name in split.valid:
        path = split.topic.path_of(name)
        if not chains.is_in(path, train_sets):
            continue
        direct = []
        for other, kind in sorted(split.related.get(name, {}).items()):
            if other in train_paths:
                direct.append(Leak(name, other, kind))
        chain = [] if direct else chains.shortest_chain(path, train_paths)
        if chain:
            direct.append(Leak(name, chain[-1], RELATED, chain[1:-1]))
        leaks += direct
    return leaks


def _train_paths(splits: Iterable[Split]) -> set[str]:
    return {split.topic.path_of(name) for split in splits for name in split.train}


class _OtherSide:
    """The images chosen for training, or kept for validation, and what is related to them."""

    def __init__(self, paths: Set[str], chains: Chains | None) -> None:
        """With `chains`, what is connected with one of them through others counts too."""
        self._paths = paths
        self._chains = chains
        self._sets = chains.sets_of(paths) if chains else set()

    def is_related(self, split: Split, image: Candidate) -> bool:
        if not self._paths.isdisjoint(split.matches_of(image)):
            return True
        return bool(self._chains and self._chains.is_in(split.path_of(image), self._sets))


def _choose_both_sets(
    splits: Sequence[Split],
    all_splits: Sequence[Split],
    policy: SplitPolicy,
    rule: KeeperRule,
) -> None:
    """Choose from topics that may match one another, then free the memory for the choice.

    `all_splits` are those whose training images count; `rule` is for copies in different topics.
    """
    chains = Chains(split.links for split in splits) if policy.exclude_duplicates else None
    for role in (TRAIN, VALID):
        usable = splits
        if policy.require_full:
            usable = [split for split in splits if split.available >= policy.full_count]
        train_paths: set[str] = set()
        if any(split.related for split in usable):
            train_paths = _train_paths(all_splits)
        sides = [_OtherSide(train_paths, chains if role == VALID else None)]
        if role == TRAIN:
            sides.append(_OtherSide(_kept_for_validation(splits), chains))
        _choose_without_copies(usable, role, policy, sides, rule)
    for split in splits:
        if policy.require_full and split.chosen_count < policy.full_count:
            split.train, split.valid = [], []
        _note_lowest(split)
        split.ranked = []


def _note_lowest(split: Split) -> None:
    names = {*split.train, *split.valid}
    chosen = [image for image in split.ranked if image.name in names]
    if chosen:
        split.lowest_score = min(image.score or 0 for image in chosen)
        smallest = min(chosen, key=lambda image: image.pixels)
        split.lowest_resolution = "{}x{}".format(*smallest.extent)


def _choose_without_copies(
    splits: Sequence[Split],
    role: str,
    policy: SplitPolicy,
    sides: Sequence[_OtherSide],
    rule: KeeperRule,
) -> None:
    """Choose one set of each topic, with none of the training images.

    If copies were chosen in several topics, the best by the rule of keepers is kept, and the other
    topics choose again.
    """
    is_done = False
    while not is_done:
        rivals: dict[str, tuple[Split, Candidate]] = {}  # chosen images with copies, by path
        for split in splits:
            for image in _choose_set(split, role, policy, *sides):
                if policy.exclude_duplicates and split.copies_of(image):
                    rivals[split.path_of(image)] = split, image
        is_done = not (rivals and _skip_worse_copies(rivals, rule))


def _skip_worse_copies(rivals: dict[str, tuple[Split, Candidate]], rule: KeeperRule) -> bool:
    """Mark each image as skipped that is a copy of a better one. Returns whether there are any."""
    kept: set[str] = set()
    has_skipped = False
    by_path = [replace(image, name=path) for path, (_, image) in rivals.items()]
    copies = {path: split.copies_of(image) for path, (split, image) in rivals.items()}
    for rival in keeper_order.rank_candidates(by_path, copies, rule).order:
        split, image = rivals[rival.name]
        if copies[rival.name].isdisjoint(kept):
            kept.add(rival.name)
        else:
            split.skipped.add(image.name)
            has_skipped = True
    return has_skipped


def _kept_for_validation(splits: Iterable[Split]) -> set[str]:
    """Return the images that an earlier split chose for validation, and that may be chosen."""
    paths = set()
    for split in splits:
        for image in split.ranked:
            if split.earlier.get(image.name) == VALID:
                paths.add(split.path_of(image))
    return paths


def _choose_set(
    split: Split,
    role: str,
    policy: SplitPolicy,
    train: _OtherSide,
    kept_valid: _OtherSide | None = None,
) -> list[Candidate]:
    """Fill one set of a topic: with the images that were in it before, then with the best.

    With `exclude_duplicates`, images related to training images are skipped, and no new training
    image is related to `kept_valid`.
    """
    wanted = policy.train_count if role == TRAIN else policy.valid_count
    unavailable = {*split.skipped} if role == TRAIN else {*split.skipped, *split.train}
    chosen: list[Candidate] = []
    for image in sorted(split.ranked, key=lambda image: split.earlier.get(image.name) != role):
        if len(chosen) == wanted:
            break
        if image.name in unavailable or split.earlier.get(image.name, role) != role:
            continue
        if policy.exclude_duplicates and train.is_related(split, image):
            split.skipped.add(image.name)
            continue
        is_new = policy.exclude_duplicates and image.name not in split.earlier
        if is_new and kept_valid and kept_valid.is_related(split, image):
            continue
        chosen.append(image)
    chosen.sort(key=policy.sort_key)
    names = [image.name for image in chosen]
    if role == TRAIN:
        split.train = names
    else:
        split.valid = names
    return chosen
