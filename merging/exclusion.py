"""Which images of the sources a merge leaves out, and which others stand for them. Only reads."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from common import across_file, cache, json_files, keepers, terminal
from common.json_files import COPY, Kinds
from common.keepers import Candidate
from common.reporter import Reporter
from common.tree import Stamp, Topic
from merging.manifest import DUPLICATE, REFERENCE, VARIANT


@dataclass(frozen=True)
class MergePolicy:
    """What is left out, where something else stands for it."""

    duplicates: bool = True  # copies within a topic, and of reference images
    variants: Collection[str] = ()  # the kinds of variants within a topic
    across: bool = False  # copies in other topics of the dataset


@dataclass(frozen=True)
class Exclusion:
    """Why an image is left out."""

    action: str
    keeper: str  # path of the image that stands for it
    reason: str


@dataclass
class _Walk:
    """What one walk by the rule of keepers goes through, by path."""

    listed: list[Candidate] = field(default_factory=list)
    kinds: Kinds = field(default_factory=dict)
    references: dict[str, str] = field(
        default_factory=dict
    )  # image to a reference image that it is a copy of

    def left_out(self) -> dict[str, Exclusion]:
        out = keepers.select_redundant(self.listed, self.kinds, self.references)
        return {path: self._left(path, keeper) for path, keeper in out.items()}

    def _left(self, path: str, keeper: str) -> Exclusion:
        if keeper == self.references.get(path):
            return Exclusion(REFERENCE, keeper, f"matches the reference {keeper}")
        is_beside = os.path.dirname(path) == os.path.dirname(keeper)
        name = os.path.basename(keeper) if is_beside else os.sep.join(keeper.split(os.sep)[-4:])
        kind = self.kinds[path][keeper]
        return Exclusion(
            *(
                (DUPLICATE, keeper, f"matches {name}")
                if kind == COPY
                else (VARIANT, keeper, f"a variant of {name} ({kind})")
            )
        )


class Excluder:
    """Decides on the images of `topics`, all those of a merge: topic by topic, or on each dataset as a whole."""

    def __init__(self, topics: Sequence[Topic], rules: MergePolicy, talk: Reporter) -> None:
        self._rules, self._talk = rules, talk
        self._beyond = across_file.read_across(topics, talk.warn)
        self._datasets: dict[str, list[Topic]] = {}
        self._decided: dict[str, dict[str, Exclusion]] = {}  # by dataset
        for topic in topics:
            self._datasets.setdefault(topic.dataset_path, []).append(topic)

    def left_out(
        self, source: Topic, stamps: Mapping[str, Stamp], unreadable: Collection[str]
    ) -> dict[str, Exclusion]:
        """The images of a topic that do not come along. An unreadable image stands for none. Raises Damaged."""
        if not self._rules.across:
            walk = _Walk()
            self._add(walk, source, stamps, unreadable)
            out = walk.left_out()
        else:
            out = self._of_dataset(source.dataset_path)
        paths = {name: source.file(name) for name in stamps}
        return {name: out[path] for name, path in paths.items() if path in out}

    def _of_dataset(self, dataset: str) -> dict[str, Exclusion]:
        if dataset not in self._decided:
            walk = _Walk()
            for topic in self._datasets[dataset]:
                stamps = topic.stamps()
                self._add(
                    walk,
                    topic,
                    stamps,
                    [name for name in stamps if not is_readable(topic.file(name))],
                )
            self._decided[dataset] = walk.left_out()
        return self._decided[dataset]

    def _add(
        self, walk: _Walk, topic: Topic, stamps: Mapping[str, Stamp], unreadable: Collection[str]
    ) -> None:
        """Add a topic's images to a walk, if any of them matches something that counts."""
        cached, scores = cache.load_cache(topic), json_files.read_scores(topic)
        kinds = self._kinds(topic, stamps, cached)
        for name in stamps:
            path = topic.file(name)
            if self._rules.across:
                copies = [
                    other for other, kind in self._beyond.within(path).items() if kind == COPY
                ]
                kinds.setdefault(path, {}).update(dict.fromkeys(copies, COPY))
            if self._rules.duplicates and (reference := self._beyond.reference(path, [COPY])):
                walk.references[path] = reference
        matched = {
            name
            for name in stamps
            if kinds.get(topic.file(name)) or topic.file(name) in walk.references
        }
        if not matched:
            return

        def warn(path: str, reason: str) -> None:
            self._talk.warn(
                f"{terminal.escape(path)}: {reason}; it counts as the worst of its matches"
            )

        readable = {name: stamp for name, stamp in stamps.items() if name not in unreadable}
        for image in keepers.make_candidates(topic, readable, cached, scores, warn, matched):
            walk.listed.append(replace(image, name=topic.file(image.name)))
        walk.kinds.update(kinds)

    def _kinds(self, topic: Topic, stamps: Mapping[str, Stamp], cached: cache.Cache) -> Kinds:
        """The matches within a topic that count, by path; says which cannot be relied on."""
        copies = keepers.current_matches(topic, stamps, cached) if self._rules.duplicates else None
        variants = keepers.current_variants(topic, stamps, cached) if self._rules.variants else None
        for found, path in (
            (copies, json_files.duplicates_path(topic)),
            (variants, json_files.variants_path(topic)),
        ):
            if found and not found.fits:
                self._talk.warn(f"{terminal.escape(path)}: {found.misfit}; such images are kept")
        if self._rules.variants and not variants:
            unsearched = (
                f"not searched for variants, none is left out; run {keepers.VARIANTS_COMMAND}"
            )
            self._talk.warn(f"{terminal.escape(topic.path)}: {unsearched}")
        kinds: Kinds = {}
        for name, others in (variants.usable if variants else {}).items():
            counted = {
                topic.file(other): kind
                for other, kind in others.items()
                if kind in self._rules.variants
            }
            kinds[topic.file(name)] = counted
        for name, names in (copies.usable if copies else {}).items():
            kinds.setdefault(topic.file(name), {}).update(
                dict.fromkeys(map(topic.file, names), COPY)
            )
        return kinds


def is_readable(path: str) -> bool:
    return os.access(path, os.R_OK, effective_ids=os.access in os.supports_effective_ids)
