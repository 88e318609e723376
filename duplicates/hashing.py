"""From image files to fingerprints: decoded by parallel processes, in handfuls that cross topic borders.

Fingerprints land in each topic's sidecar as they come; topics are handed back in order, each when its last image is
done. Nothing here grows with the number of topics.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from common import sidecar
from common.claims import TryClaim, always_claim
from common.errors import UserError
from common.reporter import Reporter
from common.sidecar import CHECKPOINT_SECONDS, Sidecar
from common.tree import Stamp, Topic
from duplicates import hash_rows
from duplicates.hash_rows import Rows
from duplicates.pool import Pool

NAME = "phash"  # of the sidecar
CHUNK = 16  # images a process takes at once


@dataclass
class HashingJob:
    """A topic under way: what lies in it, and the sidecar that receives its fingerprints."""

    topic: Topic
    stamps: Mapping[str, Stamp]
    names: Sequence[str]  # of images without a fingerprint
    prints: Sidecar
    failed: list[str] = field(default_factory=list)


Items = list[tuple[HashingJob, str]]  # images in order; an empty name ends a topic


def load_hash_rows(topic: Topic, talk: Reporter) -> Sidecar:
    """The fingerprints that the topic has; none where there is no usable sidecar."""
    return sidecar.load_sidecar(topic, NAME, hash_rows.LAYOUT, hash_rows.ABOUT, talk.warn)


def plan_hashing(topic: Topic, talk: Reporter) -> HashingJob:
    """The topic's work, as it is now."""
    stamps, prints = topic.stamps(), load_hash_rows(topic, talk)
    have = prints.fresh(stamps)
    return HashingJob(topic, stamps, [name for name in stamps if name not in have], prints)


def hash_topics(
    topics: Sequence[Topic],
    pool: Pool,
    max_pixels: int,
    talk: Reporter,
    take: TryClaim = always_claim,
) -> Iterator[HashingJob]:
    """Each topic in turn, with its sidecar filled and saved. Unreadable images go to talk.report_unreadable and to `failed`.

    Of topics that owe images, only those come that `take` says yes to (common/claims.py).
    Whatever ends this early, what has landed is saved.
    """
    under_way: deque[HashingJob] = deque()
    saved = time.monotonic()
    read = functools.partial(hash_rows.read_hash_row, max_pixels=max_pixels)
    with talk.progress(sum(topic.found for topic in topics)) as bar:

        def items() -> Iterator[tuple[HashingJob, str]]:
            for topic in topics:
                work = plan_hashing(topic, talk)
                if work.names:
                    if not take(topic):
                        bar.total -= topic.found
                        continue
                    work = plan_hashing(topic, talk)  # another run may just have been done
                under_way.append(work)
                bar.total -= len(work.stamps) - len(work.names)
                yield from ((work, name) for name in work.names)
                yield work, ""

        try:
            tasks = (
                (chunk, [work.topic.file(name) for work, name in chunk if name])
                for chunk in _chunks(items())
            )
            for chunk, (rows, unreadable) in pool.run(read, tasks):
                _land(chunk, rows, unreadable, talk)
                bar.set_postfix_str(pool.where, refresh=False)
                bar.update(len(rows["flat"]) + len(unreadable))
                for work in [work for work, name in chunk if not name]:
                    work.prints.save(work.stamps)
                    under_way.popleft()
                    yield work
                if time.monotonic() - saved >= CHECKPOINT_SECONDS:
                    _save(under_way)
                    saved = time.monotonic()
        except BaseException:
            with contextlib.suppress(UserError):  # a full disk has been reported already
                _save(under_way)
            raise


def _chunks(items: Iterator[tuple[HashingJob, str]]) -> Iterator[Items]:
    while chunk := list(itertools.islice(items, CHUNK)):
        yield chunk


def _land(chunk: Items, rows: Rows, unreadable: Mapping[int, str], talk: Reporter) -> None:
    """Put what was read into the sidecars it belongs to."""
    images = [(work, name) for work, name in chunk if name]
    for position, reason in unreadable.items():
        work, name = images[position]
        work.failed.append(name)
        talk.report_unreadable(work.topic.file(name), reason)
    readable = [image for position, image in enumerate(images) if position not in unreadable]
    start = 0
    for _, group in itertools.groupby(readable, key=lambda image: id(image[0])):
        members = list(group)
        work, names = members[0][0], [name for _, name in members]
        own = {key: array[start : start + len(names)] for key, array in rows.items()}
        work.prints.add(names, [work.stamps[name] for name in names], **own)
        start += len(names)


def _save(under_way: Iterable[HashingJob]) -> None:
    for work in under_way:
        work.prints.save(work.stamps)
