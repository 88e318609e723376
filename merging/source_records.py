"""One source topic of a merge and what is known of its images, read once for all who ask."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from common import topic_scores
from common.cache import Cache, FileRecords
from common.topics import Stamp, Topic
from imaging.image_identity import ImageStamps


@dataclass(frozen=True)
class SourceRecords:
    """A topic with its images, its cache and its scores as they were at one moment."""

    topic: Topic
    stamps_now: Mapping[str, Stamp]  # of every image, by name
    stamps: ImageStamps  # the same images, with the stamps under which the records know them
    cached: Cache  # with the provenance of exactly these scores
    scores: Mapping[str, float]


def read_source_records(topic: Topic, confirmed: FileRecords | None = None) -> SourceRecords:
    """Read the topic. Opens none of its images. Raises UserError, Damaged.

    `confirmed` are records whose digests this run has compared: such images are not read again.
    """
    scores, cached, _ = topic_scores.read_scores_with_provenance(topic)
    known = {**cached.files, **(confirmed or {})}
    stamps = ImageStamps(topic.path, topic.image_statuses(), known)
    stamps_now = {name: status.stamp for name, status in stamps.statuses.items()}
    return SourceRecords(topic, stamps_now, stamps, cached, scores)
