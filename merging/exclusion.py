"""Which images of the sources a merge drops, and which images it keeps instead. Only reads."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace

from common import json_files, terminal
from common.json_files import COPY, Kinds
from common.reporter import Reporter
from common.topics import Topic
from keeping import across_file, equal_images, keepers, kind_names, pair_records, topic_relations
from keeping.copy_traits import PairTraits
from keeping.directions import Direction, clean_versions
from keeping.equal_images import EqualSets
from keeping.keeper_order import Candidate, KeeperRule, has_equal_pixels
from keeping.keepers import KeeperChoice
from keeping.kin_order import find_kin
from keeping.pair_sections import NameTuple
from keeping.preference import Preference
from keeping.topic_relations import VARIANTS_COMMAND
from merging import unreadable as unreadable_images
from merging.across_matches import matches_to_drop
from merging.manifest import DUPLICATE, REFERENCE, VARIANT
from merging.policy import MergePolicy
from merging.source_records import SourceRecords, read_source_records
from merging.target import TargetTopic


@dataclass(frozen=True)
class Exclusion:
    """Why an image is dropped."""

    action: str  # of its line in the manifest
    keeper: str  # path of the image that is kept instead; empty if there is none
    reason: str
    rank: int = 0  # among the dropped, the best first
    has_equal_pixels: bool = False  # of one size with the keeper's, as far as it was measured


@dataclass
class MatchGraph:
    """Images that match one another, to walk by the rule of keepers. Images are named by path."""

    levels: int  # from the dataset down to a topic
    prefer: Preference
    kinds: Kinds = field(default_factory=dict)  # image to its matches, with the kind of each
    candidates: list[Candidate] = field(default_factory=list)
    references: dict[str, str] = field(default_factory=dict)  # image to the reference it copies
    equals: EqualSets = field(default_factory=EqualSets)  # large sets of equal images
    pairs: dict[NameTuple, PairTraits] = field(default_factory=dict)  # of copies
    directions: dict[NameTuple, Direction] = field(default_factory=dict)  # of variants

    def choose(self) -> KeeperChoice:
        copies = json_files.copies_among(self.kinds)
        pixels = {image.name: image.pixels for image in self.candidates}
        clean_of = clean_versions(self.kinds, self.directions, pixels)
        rule = KeeperRule(self.prefer, self.pairs, clean_of, find_kin(self.kinds))
        return keepers.select_redundant(
            self.candidates, self.kinds, self.references, rule, copies, self.equals
        )

    def exclusions(self, choice: KeeperChoice) -> dict[str, Exclusion]:
        """Return the redundant images, each with the reason why it is dropped."""
        by_node = equal_images.join_kinds(self.kinds, self.equals)
        by_name = {image.name: image for image in self.candidates}
        exclusions = {}
        for rank, (path, keeper) in enumerate(choice.keepers.items()):
            why = choice.reasons.get(path, "")
            exclusion = self._exclusion(path, keeper, why, by_node)
            is_equal = has_equal_pixels(by_name[path], by_name.get(keeper))
            exclusions[path] = replace(exclusion, rank=rank, has_equal_pixels=is_equal)
        return exclusions

    def _exclusion(self, path: str, keeper: str, why: str, kinds_by_node: Kinds) -> Exclusion:
        if keeper == self.references.get(path):
            return Exclusion(REFERENCE, keeper, f"matches the reference {keeper}")
        name = os.path.basename(keeper)
        if os.path.dirname(path) != os.path.dirname(keeper):
            name = os.sep.join(keeper.split(os.sep)[-self.levels - 1 :])
        kind = self.equals.kind_of(kinds_by_node, path, keeper)
        if kind == COPY:
            return Exclusion(DUPLICATE, keeper, f"a copy of {name}, which stays: {why}")
        return Exclusion(VARIANT, keeper, f"a variant of {name} ({kind}), which stays: {why}")


class Excluder:
    """Decides which images of a merge are dropped: topic by topic, or for a whole dataset at once.

    `topics` are all source topics of the merge.
    """

    def __init__(
        self,
        topics: Sequence[Topic],
        policy: MergePolicy,
        reporter: Reporter,
        find_target: Callable[[Topic], TargetTopic],
    ) -> None:
        self.policy = policy
        self._find_target = find_target  # of a source topic
        self._reporter = reporter
        self._across = across_file.read_across(topics, reporter.warn)
        self._topics: dict[str, list[Topic]] = {}  # by dataset
        self._exclusions: dict[str, dict[str, Exclusion]] = {}  # by dataset, then by path
        self.sets_by_size = 0  # with an image whose originality was not measured
        self.better_left_out = 0  # images that only an earlier merge stands before
        self.not_searched = 0  # topics with no record of a search for copies
        for topic in topics:
            self._topics.setdefault(topic.dataset_path, []).append(topic)

    def find_unreadable(self, source: SourceRecords, target: TargetTopic) -> dict[str, str]:
        """Return the images that cannot be taken or are damaged, each with the reason."""
        return unreadable_images.find_unreadable(source, target, self.policy.keep_unreadable)

    def find_exclusions(
        self, source: SourceRecords, target: TargetTopic, unreadable: Collection[str]
    ) -> dict[str, Exclusion]:
        """Return the images of a topic that are dropped, by name.

        No image is dropped in favour of an unreadable one, or that is in the target already.
        Raises Damaged.
        """
        topic = source.topic
        if self.policy.drop_across:
            by_path = self._dataset_exclusions(topic.dataset_path)
        else:
            graph = MatchGraph(topic.levels, self.policy.prefer)
            self._add_topic(graph, source, target, unreadable)
            by_path = self._exclude(graph)
        if not by_path:
            return {}
        exclusions = {}
        for name in source.stamps:
            path = topic.path_of(name)
            if path in by_path:
                exclusions[name] = by_path[path]
        return exclusions

    def _dataset_exclusions(self, dataset: str) -> dict[str, Exclusion]:
        if dataset not in self._exclusions:
            graph = MatchGraph(self._topics[dataset][0].levels, self.policy.prefer)
            if self.policy.drop_variants:
                graph.directions |= pair_records.read_directions_across(
                    dataset, self._topics[dataset]
                )
            for topic in self._topics[dataset]:
                source = read_source_records(topic)
                target = self._find_target(topic)
                self._add_topic(graph, source, target, self.find_unreadable(source, target))
            graph.pairs |= pair_records.read_pairs_across(dataset, self._topics[dataset])
            self._exclusions[dataset] = self._exclude(graph)
        return self._exclusions[dataset]

    def _exclude(self, graph: MatchGraph) -> dict[str, Exclusion]:
        if not graph.candidates:
            return {}
        choice = graph.choose()
        self.sets_by_size += choice.sets_by_size
        self.better_left_out += choice.better_left_out
        return graph.exclusions(choice)

    def _add_topic(
        self,
        graph: MatchGraph,
        source: SourceRecords,
        target: TargetTopic,
        unreadable: Collection[str],
    ) -> None:
        """Add a topic's images to the graph, if any of them has a match."""
        topic, stamps = source.topic, source.stamps
        kinds, equals = self._kinds_within(source)
        matched = set[str]().union(*equals.members.values())
        for name in stamps:
            path = topic.path_of(name)
            if self.policy.drop_across:
                elsewhere = matches_to_drop(
                    self._across, path, self.policy.drop_variants, graph.directions
                )
                kinds.setdefault(path, {}).update(elsewhere)
            reference = None
            if self.policy.drop_references:
                reference = self._across.reference_match(path, [COPY])
            if reference:
                graph.references[path] = reference
            if reference or kinds.get(path):
                matched.add(name)
        if not matched:
            return
        readable = {name: stamp for name, stamp in stamps.items() if name not in unreadable}
        for candidate in keepers.make_candidates(
            topic, readable, source.cached, source.scores, self._warn_of_size, matched
        ):
            name, path = candidate.name, topic.path_of(candidate.name)
            in_target = name in matched and target.has_image(path, source.stamps_now[name])
            graph.candidates.append(replace(candidate, name=path, in_target=in_target))
        graph.kinds.update(kinds)
        graph.equals.add(equals, topic.path_of)
        pairs = pair_records.read_topic_pairs(topic, stamps)
        graph.pairs |= pair_records.pairs_by_path(topic.path, pairs)
        if self.policy.drop_variants:
            of_topic = pair_records.read_topic_directions(topic, stamps)
            graph.directions |= pair_records.pairs_by_path(topic.path, of_topic)

    def _warn_of_size(self, path: str, reason: str) -> None:
        message = f"{terminal.escape(path)}: {reason}; it ranks last among its matches"
        self._reporter.warn_few("images of unknown size", message)

    def _kinds_within(self, source: SourceRecords) -> tuple[Kinds, EqualSets]:
        """Return the matches within a topic that count, by path; warn of those that are stale.

        Also returns the sets of equal images, by name.
        """
        policy, topic = self.policy, source.topic
        relations = topic_relations.read_topic_relations(
            topic,
            source.stamps,
            source.cached,
            copies=policy.drop_copies,
            variants=bool(policy.drop_variants),
        )
        if relations.has_older_rules:
            self._reporter.say_once(topic_relations.OLDER_RULES)
        for staleness in relations.stale_files():
            path = terminal.escape(staleness.path)
            message = f"{path}: {staleness.message}; such images are kept"
            self._reporter.warn_few("files that do not fit their folders", message)
        if policy.drop_copies and relations.copies is None and source.stamps:
            self.not_searched += 1
        if policy.drop_variants and relations.variants is None:
            path = terminal.escape(topic.path)
            self._reporter.warn_few(
                "topics not searched for variants",
                f"{path}: not searched for variants, so none is dropped; run {VARIANTS_COMMAND}",
            )
        kinds_by_name = relations.kinds({COPY, *policy.drop_variants})
        if json_files.CROPPED in policy.drop_variants:
            kinds_by_name = kind_names.drop_unrecorded_crops(
                kinds_by_name, topic, source.cached.variants, self._reporter
            )
        kinds: Kinds = {}
        for name, others in kinds_by_name.items():
            by_path = {topic.path_of(other): kind for other, kind in others.items()}
            kinds[topic.path_of(name)] = by_path
        return kinds, relations.equals
