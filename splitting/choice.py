"""Chooses images for training and validation: of each topic the best by width x height x score.

The training images of all topics come first, then those for validation, which may be no kin of theirs. A picture that
lies in several topics is chosen where it is best. Needs the standard library alone, and Pillow only for an image whose
size no cache knows.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from typing import Any

from common import across_file, cache, decisions, json_files, keepers, terminal
from common.across_file import Across
from common.cache import Cache
from common.json_files import COPY, DOUBTFUL, Kinds
from common.keepers import Candidate
from common.reporter import Reporter
from common.topic_scores import TopicScores, load_topic_scores
from common.tree import Stamp, Topic

TRAIN, VALID = "train", "valid"
MEGAPIXEL = 1_000_000


@dataclass(frozen=True)
class SplitPolicy:
    train: int  # images a topic
    valid: int
    require_full: bool  # choose none of a topic that is too small for both
    exclude_duplicates: (
        bool  # choose none that matches a better one, and validate with no kin of a training image
    )
    min_score: float = -math.inf  # choose none below it
    min_side: int = 0  # choose none whose shorter side has fewer pixels
    count_megapixels: float = math.inf  # more of them do not make an image better

    def worth(self, image: Candidate) -> float:
        """What images are chosen by."""
        return min(image.pixels, self.count_megapixels * MEGAPIXEL) * (image.score or 0)


@dataclass(slots=True)
class Split:
    """One topic's choice, best first, and what it is made from. Kin are copies and variants, never doubtful pairs."""

    topic: Topic
    ranked: list[
        Candidate
    ]  # images that may be chosen, best first, as far down as a choice can reach
    kin: Kinds  # of these that have any: image to the paths of its kin, and their kind
    total: int  # images that may be chosen
    barred: Mapping[str, int]  # images that may not be, by reason
    train: list[str] = field(default_factory=list)
    valid: list[str] = field(default_factory=list)
    passed: set[str] = field(default_factory=set)  # not chosen because of their kin
    leaks: list[tuple[str, str, str]] = field(
        default_factory=list
    )  # validation image, path of a training image, kind
    lowest: dict[str, Any] = field(
        default_factory=dict
    )  # score and resolution among the chosen, None where none is

    @property
    def available(self) -> int:
        """Images that could be chosen."""
        return self.total - len(self.passed)

    @property
    def counts(self) -> dict[str, int]:
        """Of the images found, what became of them."""
        chosen = {"train": len(self.train), "valid": len(self.valid)}
        return {
            **chosen,
            "not_chosen": self.available - sum(chosen.values()),
            **self.barred,
            "related_to_chosen": len(self.passed),
        }


def split_topics(topics: Sequence[Topic], rules: SplitPolicy, talk: Reporter) -> list[Split]:
    """The choice of each topic; ties go by name. Raises Damaged."""
    decisions.add_decisions(topics, talk)
    beyond = across_file.read_across(topics, talk.warn)
    made, bound = list[Split](), list[Split]()
    for topic in topics:
        split = _load_topic(topic, rules, beyond, talk)
        made.append(split)
        if beyond.names.get(topic.path):
            bound.append(split)
        else:
            _choose_role([split], [split], rules)
    _choose_role(bound, made, rules)
    trained = _trained(made)
    for split in made:
        split.leaks = [
            (name, path, kind)
            for name in split.valid
            for path, kind in sorted(split.kin.get(name, {}).items())
            if path in trained
        ]
    return made


def _choose_role(splits: Sequence[Split], made: Sequence[Split], rules: SplitPolicy) -> None:
    """Choose from topics that may match one another, and let go what that took; `made` are all that may be trained."""
    for role in (TRAIN, VALID):
        large = [
            split
            for split in splits
            if not rules.require_full or split.available >= rules.train + rules.valid
        ]
        _choose_without_copies(
            large, role, rules, _trained(made) if any(split.kin for split in large) else set()
        )
    for split in splits:
        if rules.require_full and len(split.train) + len(split.valid) < rules.train + rules.valid:
            split.train, split.valid = [], []
        chosen = [image for image in split.ranked if image.name in {*split.train, *split.valid}]
        smallest = min(chosen, key=lambda image: image.pixels, default=None)
        split.lowest = {
            "lowest_score": min((image.score or 0 for image in chosen), default=None),
            "lowest_resolution": "{}x{}".format(*smallest.extent) if smallest else None,
        }
        split.ranked = []


def _trained(splits: Iterable[Split]) -> set[str]:
    return {split.topic.file(name) for split in splits for name in split.train}


def _load_topic(topic: Topic, rules: SplitPolicy, beyond: Across, talk: Reporter) -> Split:
    """A topic with nothing chosen yet; `beyond` are the matches with other topics and with references."""
    stamps, scored = topic.stamps(), cache.read_scores_with_provenance(topic)
    known, cached = load_topic_scores(topic, scored), scored[1]
    usable = {name: stamp for name, stamp in stamps.items() if name in known.usable}
    listed = keepers.make_candidates(topic, usable, cached, known.usable, talk.report_unreadable)
    readable = [image for image in listed if image.pixels]
    seen = cached.scores.images if cached.scores else {}
    _warn(
        topic,
        known,
        [name for name, stamp in usable.items() if seen.get(name, stamp) != stamp],
        talk,
    )
    kin = _kin(topic, stamps, cached, rules.exclude_duplicates and bool(known.usable), talk)
    above = [image for image in readable if (image.score or 0) >= rules.min_score]
    if rules.min_side:
        above = [image for image in above if min(image.extent) >= rules.min_side]
    copies = {
        name: [other for other in others if others[other] == COPY] for name, others in kin.items()
    }
    out = keepers.select_redundant(above, copies) if rules.exclude_duplicates else {}
    elsewhere = beyond.names.get(topic.path, set())
    known_elsewhere = {name for name in elsewhere if beyond.reference(topic.file(name))}
    stand = [image for image in above if image.name not in out]
    may_be = [image for image in stand if image.name not in known_elsewhere]
    ranked = sorted(may_be, key=lambda i: (-rules.worth(i), i.name))
    related = kin.keys() | elsewhere
    reached = ranked[: rules.train + rules.valid + len(related)]
    return Split(
        topic,
        reached,
        kin={
            image.name: _paths(
                topic, kin.get(image.name, {}), beyond.within(topic.file(image.name))
            )
            for image in reached
            if image.name in related
        },
        total=len(ranked),
        barred={
            "below_the_cut": len(readable) - len(above),
            "duplicates": len(out),
            "match_a_reference": len(stand) - len(may_be),
            "without_score": len(stamps) - len(listed),
            "unreadable": len(listed) - len(readable),
        },
    )


def _paths(topic: Topic, kin: Mapping[str, str], beyond: Mapping[str, str]) -> dict[str, str]:
    """An image's kin in its topic and beyond it, by path."""
    likely = {path: kind for path, kind in beyond.items() if kind != DOUBTFUL}
    return {topic.file(name): kind for name, kind in kin.items()} | likely


def _kin(
    topic: Topic, stamps: Mapping[str, Stamp], cached: Cache, is_wanted: bool, talk: Reporter
) -> Kinds:
    """Image to its copies and variants that can be relied on; says what cannot. Raises Damaged."""
    copies, variants = (
        keepers.current_matches(topic, stamps, cached),
        keepers.current_variants(topic, stamps, cached),
    )
    for found, path in (
        (copies, json_files.duplicates_path(topic)),
        (variants, json_files.variants_path(topic)),
    ):
        if found and not found.fits:
            talk.warn(f"{terminal.escape(path)}: {found.misfit}")
    if is_wanted and not copies:
        talk.warn(
            f"{terminal.escape(topic.path)}: not searched for duplicates, none is excluded; run find_duplicates.py"
        )
    kin: Kinds = {}
    for name, others in (variants.usable if variants else {}).items():
        kin[name] = {other: kind for other, kind in others.items() if kind != DOUBTFUL}
    for name, names in (copies.usable if copies else {}).items():
        if names:
            kin.setdefault(name, {}).update(dict.fromkeys(names, COPY))
    return {name: others for name, others in kin.items() if others}


def _choose_without_copies(
    splits: Sequence[Split], role: str, rules: SplitPolicy, trained: Set[str]
) -> None:
    """Choose one set of each topic, of what is not `trained` by path.

    Of copies in several topics the best by the rule of keepers is chosen, and the other topics choose anew.
    """
    beaten = True
    while beaten:
        beaten = False
        rivals: dict[str, tuple[Split, Candidate]] = {}
        for split in splits:
            for image in _choose(split, role, rules, trained):
                if rules.exclude_duplicates and COPY in split.kin.get(image.name, {}).values():
                    rivals[split.topic.file(image.name)] = split, image
        staying: set[str] = set()
        for rival in keepers.rank_candidates(
            replace(image, name=path) for path, (_, image) in rivals.items()
        ):
            split, image = rivals[rival.name]
            if any(
                kind == COPY and path in staying
                for path, kind in split.kin.get(image.name, {}).items()
            ):
                split.passed.add(image.name)
                beaten = True
            else:
                staying.add(rival.name)


def _choose(split: Split, role: str, rules: SplitPolicy, trained: Set[str]) -> list[Candidate]:
    """Fill one set of a topic with its best images; for validation, with none whose kin is trained if that counts."""
    names, wanted = (split.train, rules.train) if role == TRAIN else (split.valid, rules.valid)
    taken = set() if role == TRAIN else {*split.train}
    chosen: list[Candidate] = []
    for image in split.ranked:
        if len(chosen) == wanted:
            break
        if image.name in taken or image.name in split.passed:
            continue
        if rules.exclude_duplicates and not trained.isdisjoint(split.kin.get(image.name, {})):
            split.passed.add(image.name)
        else:
            chosen.append(image)
    names[:] = [image.name for image in chosen]
    return chosen


def _warn(topic: Topic, known: TopicScores, changed: list[str], talk: Reporter) -> None:
    """Say what of a topic cannot be chosen, by name."""
    parts = (
        (known.unscored if known.usable else [], "without a score"),
        (known.unusable, "whose score is no number"),
        (known.vanished, "scored but gone"),
        (changed, "changed since scored"),
    )
    named = "; ".join(
        f"{len(names):,} {what} ({terminal.list_few(names)})" for names, what in parts if names
    )
    if named:
        talk.warn(f"{terminal.escape(topic.path)}: {named}; run aesthetic_scorer.py on it")
