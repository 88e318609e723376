"""Writes a topic's result files, without the provenance that the scripts record."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from common import atomic_files, json_files, topic_scores
from common.topics import Topic
from keeping import kind_names


def write_scores(topic: Topic, scores: Mapping[str, float]) -> None:
    content = topic_scores.scores_content(scores)
    atomic_files.write_bytes(json_files.scores_path(topic), content)


def write_copies(topic: Topic, copies: Mapping[str, Collection[str]]) -> None:
    content = json_files.copies_content(copies)
    atomic_files.write_bytes(json_files.duplicates_path(topic), content)


def write_variants(topic: Topic, variants: Mapping[str, Mapping[str, str]]) -> None:
    content = kind_names.variants_content(variants)
    atomic_files.write_bytes(json_files.variants_path(topic), content)
