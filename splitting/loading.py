"""Loads the images of one topic that a split may choose. Only reads.

Needs only the standard library, and Pillow only for an image whose size no cache knows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import replace

from common import json_files, terminal, topic_scores
from common.cache import Cache
from common.json_files import COPY, DOUBTFUL, Kinds
from common.reporter import Reporter
from common.topic_scores import TopicScores
from common.topics import Stamp, Topic
from imaging import image_identity
from keeping import decisions, equal_images, keepers, pair_records, topic_relations
from keeping.across_file import Across
from keeping.equal_images import EqualSets
from keeping.keeper_order import Candidate, KeeperRule
from keeping.preference import Preference
from keeping.topic_relations import TopicRelations
from splitting import left_out, unclean
from splitting.candidates import Split, SplitPolicy

# Why an image may not be chosen, in the order in which a summary lists them.
EXCLUSION_REASONS = (
    "below_the_cut",
    "duplicates",
    unclean.REASON,
    "match_a_reference",
    "dropped",
    "without_score",
    "unreadable",
)


def load_split(topic: Topic, policy: SplitPolicy, across: Across, reporter: Reporter) -> Split:
    """Load a topic, with nothing chosen yet. Raises Damaged.

    `across` has the matches with images of other topics and with reference images.
    """
    scores_read = topic_scores.read_scores_with_provenance(topic)
    scores, cached = topic_scores.load_topic_scores(topic, scores_read), scores_read[1]
    stamps = image_identity.stamps_as_recorded(topic, cached.files)
    scored = {name: stamp for name, stamp in stamps.items() if name in scores.usable}
    candidates = keepers.make_candidates(
        topic, scored, cached, scores.usable, reporter.report_unreadable
    )
    _warn_of_scores(topic, scores, _list_outdated_scores(scored, cached), reporter)
    excludes_copies = policy.exclude_duplicates and bool(scores.usable)
    relations = _read_relations(topic, stamps, cached, excludes_copies, reporter)
    kinds, equals = relations.kinds({COPY, *json_files.LINKED_KINDS}), relations.equals

    readable = [image for image in candidates if image.pixels]
    good = [image for image in readable if policy.is_good_enough(image)]
    earlier = policy.earlier.sets_in(topic)
    if earlier:
        good = [replace(image, chosen_before=image.name in earlier) for image in good]
    choice = keepers.KeeperChoice()
    if policy.exclude_duplicates:
        choice = _choose_keepers(topic, stamps, good, kinds, equals, policy.prefer)
    names_across = across.names_by_folder.get(topic.path, set())
    in_reference = {name for name in names_across if across.reference_match(topic.path_of(name))}
    unavailable = choice.keepers.keys() | in_reference
    choosable = [image for image in good if image.name not in unavailable]
    choosable.sort(key=lambda image: (not image.chosen_before, *policy.sort_key(image)))
    left_out_variants: set[str] = set()
    if policy.exclude_duplicates and not policy.allow_variants:
        found_unclean = unclean.find_unclean(topic, stamps, choosable, kinds, equals)
        left_out_variants = found_unclean - earlier.keys()
        choosable = [image for image in choosable if image.name not in left_out_variants]
    may_be_skipped = 0
    if policy.exclude_duplicates:
        names_related = kinds.keys() | names_across
        may_be_skipped = sum(image.name in names_related for image in choosable)
    ranked = choosable[: policy.full_count + may_be_skipped]

    dropped = decisions.decisions_for_topic(topic).drop & stamps.keys()
    names = _names_by_reason(candidates, readable, good, choice, in_reference)
    names["dropped"] = dropped
    names[unclean.REASON] = left_out_variants
    names["without_score"] = stamps.keys() - scored.keys() - dropped
    return Split(
        topic,
        ranked,
        related=_find_related_paths(topic, ranked, kinds, equals, across),
        links=_find_links(topic, kinds, equals, across),
        total=len(choosable),
        excluded={reason: len(names[reason]) for reason in EXCLUSION_REASONS},
        left_out=left_out.find_examples(choice, names),
        left_out_copies=list(choice.keepers),
        dropped=dropped,
        earlier=earlier,
        choosable_across={
            image.name: image.pixels for image in choosable if image.name in names_across
        },
        has_scores=bool(scored),
        sets_by_size=choice.sets_by_size,
        best_score=max((image.score or 0 for image in readable), default=None),
    )


def _names_by_reason(
    candidates: Sequence[Candidate],
    readable: Sequence[Candidate],
    good: Sequence[Candidate],
    choice: keepers.KeeperChoice,
    in_reference: Set[str],
) -> dict[str, Set[str]]:
    """Return the candidates that may not be chosen; each has one reason."""
    readable_names = {image.name for image in readable}
    good_names = {image.name for image in good}
    redundant = choice.keepers.keys()
    return {
        "below_the_cut": readable_names - good_names,
        "duplicates": redundant,
        "match_a_reference": (good_names - redundant) & in_reference,
        "unreadable": {image.name for image in candidates} - readable_names,
    }


def _list_outdated_scores(scored: Mapping[str, Stamp], cached: Cache) -> list[str]:
    if not cached.scores:
        return []
    stamps_then = cached.scores.images
    return [name for name, stamp in scored.items() if stamps_then.get(name, stamp) != stamp]


def _warn_of_scores(
    topic: Topic, scores: TopicScores, changed: list[str], reporter: Reporter
) -> None:
    """Warn of images that cannot be chosen, or whose score is out of date."""
    parts = (
        (scores.unscored if scores.usable else [], "without a score"),
        (scores.unusable, "whose score is no number"),
        (scores.vanished, "scored but gone"),
        (changed, "changed since scored"),
    )
    listed = terminal.list_counted(parts)
    if listed:
        path = terminal.escape(topic.path)
        advice = "aesthetic_scorer.py scores them, or says why one cannot be read"
        reporter.warn_few("topics with such images", f"{path}: {listed}; {advice}")


def _read_relations(
    topic: Topic,
    stamps: Mapping[str, Stamp],
    cached: Cache,
    excludes_copies: bool,
    reporter: Reporter,
) -> TopicRelations:
    """Return the copies and variants within the topic; warn of what is stale. Raises Damaged."""
    relations = topic_relations.read_topic_relations(topic, stamps, cached)
    if relations.has_older_rules:
        reporter.say_once(topic_relations.OLDER_RULES)
    for staleness in relations.stale_files():
        path = terminal.escape(staleness.path)
        reporter.warn_few("files that do not fit their folders", f"{path}: {staleness.message}")
    if excludes_copies and relations.copies is None:
        path = terminal.escape(topic.path)
        reporter.warn_few(
            "topics not searched for duplicates",
            f"{path}: not searched for duplicates, so none is excluded; run find_duplicates.py",
        )
    return relations


def _choose_keepers(
    topic: Topic,
    stamps: Mapping[str, Stamp],
    candidates: Sequence[Candidate],
    kinds: Kinds,
    equals: EqualSets,
    prefer: Preference,
) -> keepers.KeeperChoice:
    """Choose the images that are copies of better ones."""
    copies = json_files.copies_among(kinds)
    pairs = pair_records.read_topic_pairs(topic, stamps) if copies else {}
    rule = KeeperRule(prefer, pairs)
    return keepers.select_redundant(candidates, copies, rule=rule, equals=equals)


def _find_links(
    topic: Topic, kinds: Kinds, equals: EqualSets, across: Across
) -> dict[str, set[str]]:
    """Return what each image of the topic matches, by path, there and in other topics."""
    links: dict[str, set[str]] = {}
    for name, others in equals.add_stars(kinds).items():
        links[topic.path_of(name)] = set(map(topic.path_of, others))
    for name in across.names_by_folder.get(topic.path, ()):
        path = topic.path_of(name)
        for other, kind in across.matches_in_dataset(path).items():
            if kind != DOUBTFUL:
                links.setdefault(path, set()).add(other)
    return links


def _find_related_paths(
    topic: Topic, images: Sequence[Candidate], kinds: Kinds, equals: EqualSets, across: Across
) -> Kinds:
    """Return the paths related to each of the images, within the topic and in others.

    Of a large set of equal images, only those among `images`.
    """
    by_node = equal_images.join_kinds(kinds, equals)
    by_set: dict[str, list[str]] = {}
    for image in images:
        by_set.setdefault(equals.set_of(image.name), []).append(image.name)
    names_across = across.names_by_folder.get(topic.path, set())
    related: Kinds = {}
    for image in images:
        name, node = image.name, equals.node(image.name)
        own_set = equals.set_of(name)
        if node not in by_node and own_set not in equals.members and name not in names_across:
            continue
        kind_of_set = by_node.get(node, {}) | {own_set: COPY}
        paths = {}
        for first, kind in kind_of_set.items():
            for other in by_set.get(first, (first,)):
                if other != name and equals.may_match(name, other):
                    paths[topic.path_of(other)] = kind
        for path, kind in across.matches_in_dataset(topic.path_of(name)).items():
            if kind != DOUBTFUL:
                paths[path] = kind
        related[name] = paths
    return related
