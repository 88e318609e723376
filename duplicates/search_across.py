"""The search between the topics of a dataset, and against reference folders.

Puts the rows that the search within topics left in the sidecars into one table. Then pairs are
proposed and verified as within a topic. Memory grows with the number of images and matches.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from common import json_files
from common.json_files import Copies, Kinds
from common.reporter import Reporter
from common.topics import Stamp, Topic
from duplicates import (
    across_results,
    copy_measurement,
    embeddings,
    proposers,
    references,
    representatives,
    variants,
    verification,
)
from duplicates.candidate_pairs import Candidates
from duplicates.classification import Verdict
from duplicates.copy_measurement import CopyMeasurements
from duplicates.effnet import EmbeddingNetwork
from duplicates.image_table import REFERENCE_GROUP, ImageTable
from duplicates.neighbours import Array
from duplicates.partial_topics import stamps_to_report
from duplicates.pool import Pool
from duplicates.proposers import Proposer, TopicRows
from duplicates.references import ReferenceTopic
from duplicates.verification import ImageOpener, ImagePair
from keeping import across_file
from keeping.topic_relations import RULES_VERSION

Verdicts = dict[ImagePair, Verdict]


@dataclass(frozen=True)
class _Search:
    """How to search, and the reference images to search for."""

    proposer: Proposer
    args: argparse.Namespace
    opener: ImageOpener
    network: EmbeddingNetwork | None  # if variants are searched for
    references: ReferenceTopic
    reference_rows: list[TopicRows]  # of the references, if there are any
    reporter: Reporter


def search_datasets(
    topics: Sequence[Topic],
    proposer: Proposer,
    args: argparse.Namespace,
    pool: Pool,
    reporter: Reporter,
) -> dict[str, dict[str, int]]:
    """Compare the topics of each dataset (args.across), and each dataset with args.against.

    Writes the file of each dataset. Returns how many pairs of each kind the files list: of images
    of a dataset, and of images with references. Raises UserError.
    """
    pair_counts, reference_counts = Counter[str](), Counter[str]()
    with tempfile.TemporaryDirectory() as cache_parent:
        search = _prepare_search(proposer, args, pool, cache_parent, reporter)
        for dataset, dataset_topics in _group_by_dataset(topics).items():
            kinds = search_dataset(dataset, dataset_topics, search)
            across_results.count_kinds(kinds, pair_counts, reference_counts)
            if not across_results.is_whole_dataset(dataset, args):
                across_results.report_partial_search(dataset, len(dataset_topics), reporter)
    return {"pairs": dict(pair_counts), "references": dict(reference_counts)}


def search_dataset(dataset: str, topics: Sequence[Topic], search: _Search) -> Kinds:
    """Propose pairs, verify them, find variants and write; return what the file says then."""
    images = _load_table(dataset, topics, search)
    candidates = propose_pairs(dataset, images, search)
    images.free_rows()
    stamps = _stamps_of_pairs(images, [*candidates.unverified, *candidates.equal])
    verdicts = verify_candidates(dataset, stamps, candidates, search)
    if search.network:
        verdicts |= find_variants(dataset, topics, images, candidates, verdicts, search)
        stamps = _stamps_of_pairs(images, verdicts)
    folders = [_topic_folder(dataset, topic) for topic in topics]
    topics_by_folder = dict(zip(folders, topics, strict=True))
    scope = across_results.search_scope(dataset, topics_by_folder, search.args)
    made_by = {**search.proposer.about, "rules": RULES_VERSION}
    warn = search.reporter.warn

    def measure_copies(copies: Copies) -> tuple[CopyMeasurements, dict[str, Stamp]]:
        in_dataset: Copies = {}
        for path, others in copies.items():
            if not os.path.isabs(path):
                in_dataset[path] = {other for other in others if not os.path.isabs(other)}
        return copy_measurement.measure_across(
            across_file.dataset_as_topic(dataset), topics_by_folder, in_dataset, search.opener
        )

    return across_results.write_results(
        dataset, scope, stamps, verdicts, made_by, warn, measure_copies
    )


def _prepare_search(
    proposer: Proposer,
    args: argparse.Namespace,
    pool: Pool,
    cache_parent: str,
    reporter: Reporter,
) -> _Search:
    """List the reference images and read their rows, once for all datasets. Raises UserError."""
    reference_topic = references.list_references(args.against, cache_parent, reporter.warn)
    opener = ImageOpener(pool, args.max_pixels, reporter)
    network = EmbeddingNetwork(args.device) if args.variants else None
    reference_rows: list[TopicRows] = []
    if args.against:
        reference_rows = list(proposer.read_rows([reference_topic], pool))
    return _Search(proposer, args, opener, network, reference_topic, reference_rows, reporter)


def _group_by_dataset(topics: Iterable[Topic]) -> dict[str, list[Topic]]:
    datasets: dict[str, list[Topic]] = {}
    for topic in topics:
        datasets.setdefault(topic.dataset_path, []).append(topic)
    return datasets


def _topic_folder(dataset: str, topic: Topic) -> str:
    """The topic's path below the dataset."""
    return os.path.relpath(topic.path, dataset)


def _capacity(topics: Iterable[Topic], search: _Search) -> int:
    return sum(topic.image_count for topic in topics) + search.references.image_count


def _load_table(dataset: str, topics: Sequence[Topic], search: _Search) -> ImageTable:
    """The rows of all topics and references, as the proposer needs them."""
    table = ImageTable(search.proposer.arrays, _capacity(topics, search))
    for group, topic in enumerate(topics):
        stamps, rows = stamps_to_report(topic), search.proposer.load_rows(topic)
        table.add(group, _topic_folder(dataset, topic), stamps, rows)
    for images in search.reference_rows:
        table.add(REFERENCE_GROUP, "", images.stamps, images.rows)
    return table


def propose_pairs(dataset: str, images: ImageTable, search: _Search) -> Candidates:
    """Propose pairs between topics if args.across, and of images with references."""
    if not images.names:
        return Candidates([], [])
    pair_filter = images.pair_filter(search.args.across)
    candidates = search.proposer.propose_pairs(images.names, images.rows, pair_filter)
    return Candidates(
        unverified=references.drop_same_files(dataset, candidates.unverified),
        equal=references.drop_same_files(dataset, candidates.equal),
    )


def verify_candidates(
    dataset: str, stamps: Mapping[str, Stamp], candidates: Candidates, search: _Search
) -> Verdicts:
    """Decide about each candidate pair; unrelated ones are left out."""
    topic = across_file.dataset_as_topic(dataset)
    keep_others = not across_results.is_whole_dataset(dataset, search.args)
    pairs = [*candidates.unverified, *candidates.equal]
    return verification.verify_pairs(topic, stamps, pairs, False, search.opener, keep_others)


def find_variants(
    dataset: str,
    topics: Sequence[Topic],
    images: ImageTable,
    candidates: Candidates,
    copies: Mapping[ImagePair, Verdict],
    search: _Search,
) -> Verdicts:
    """Find variants and doubtful pairs among the representatives; pass verdicts to their copies."""
    table, representatives_of = _load_representatives(dataset, topics, search)
    if not table.names:
        return {}
    names, rows = table.names, table.rows

    def propose_for_sample(sample: Array) -> object:
        count = len(sample)
        sample_rows = {key: array[:count] for key, array in rows.items()}
        return variants.propose_pairs(names[:count], sample_rows)

    proposers.estimate_time(rows["vectors"], propose_for_sample, search.reporter)
    pairs = variants.propose_pairs(names, rows, table.pair_filter(search.args.across))
    representing = set(names)
    pairs |= {pair for pair in candidates.unverified if representing.issuperset(pair)}
    pairs -= copies.keys()
    stamps = _stamps_of_pairs(images, pairs)
    readable = [pair for pair in sorted(pairs) if stamps.keys() >= set(pair)]
    verdicts = verification.verify_pairs(
        across_file.dataset_as_topic(dataset),
        stamps,
        references.drop_same_files(dataset, readable),
        True,
        search.opener,
        keep_others=not across_results.is_whole_dataset(dataset, search.args),
    )
    return representatives.propagate_verdicts(verdicts, representatives_of, copies)


def _load_representatives(
    dataset: str, topics: Sequence[Topic], search: _Search
) -> tuple[ImageTable, dict[str, list[str]]]:
    """The embeddings of the images that represent others, and the representatives of each image.

    Reads the embeddings of topics, and computes those of references.
    """
    table = ImageTable(tuple(embeddings.EMBEDDING_LAYOUT), _capacity(topics, search))
    representatives_of: dict[str, list[str]] = {}
    for group, topic in enumerate(topics):
        folder = _topic_folder(dataset, topic)
        stamps = stamps_to_report(topic)
        rows = embeddings.load_embeddings(topic, search.reporter)
        listed = json_files.read_copies(topic) or {}
        copies = {name: listed[name] & stamps.keys() for name in stamps.keys() & listed.keys()}
        in_topic = representatives.pick_representatives(stamps, copies, rows)
        for name, several in in_topic.items():
            paths = [os.path.join(folder, representative) for representative in several]
            representatives_of[os.path.join(folder, name)] = paths
        representing = sorted(set[str]().union(*in_topic.values()))
        table.add(group, folder, {name: stamps[name] for name in representing}, rows)
    if search.network and search.reference_rows:
        of_references = search.references.image_stamps()
        rows, _ = embeddings.embed_images(
            search.references, of_references, list(of_references), search.network, search.opener
        )
        table.add(REFERENCE_GROUP, "", of_references, rows)
    for name in table.names:
        if os.path.isabs(name):
            representatives_of[name] = [name]
    return table, representatives_of


def _stamps_of_pairs(images: ImageTable, pairs: Iterable[ImagePair]) -> dict[str, Stamp]:
    return images.stamps_of({path for pair in pairs for path in pair})
