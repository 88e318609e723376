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

from common.dataset import sidecar
from common.dataset.claims import Take, whoever
from common.dataset.sidecar import CHECKPOINT, Sidecar
from common.dataset.tree import Stamp, Topic
from common.duplicates import fingerprints
from common.duplicates.fingerprints import Rows
from common.duplicates.pool import Pool
from common.errors import UserError
from common.output import Talk

NAME = "phash"  # of the sidecar
CHUNK = 16  # images a process takes at once


@dataclass
class Work:
    """A topic under way: what lies in it, and the sidecar that receives its fingerprints."""

    topic: Topic
    stamps: Mapping[str, Stamp]
    names: Sequence[str]  # of images without a fingerprint
    prints: Sidecar
    failed: list[str] = field(default_factory=list)


Items = list[tuple[Work, str]]  # images in order; an empty name ends a topic


def load_prints(topic: Topic, talk: Talk) -> Sidecar:
    """The fingerprints that the topic has; none where there is no usable sidecar."""
    return sidecar.load(topic, NAME, fingerprints.LAYOUT, fingerprints.ABOUT, talk.warn)


def owed(topic: Topic, talk: Talk) -> Work:
    """The topic's work, as it is now."""
    stamps, prints = topic.stamps(), load_prints(topic, talk)
    have = prints.fresh(stamps)
    return Work(topic, stamps, [name for name in stamps if name not in have], prints)


def hashed(topics: Sequence[Topic], pool: Pool, max_pixels: int, talk: Talk, take: Take = whoever) -> Iterator[Work]:
    """Each topic in turn, with its sidecar filled and saved. Unreadable images go to talk.bad and to `failed`.

    Of topics that owe images, only those come that `take` says yes to (common/dataset/claims.py).
    Whatever ends this early, what has landed is saved.
    """
    under_way: deque[Work] = deque()
    saved = time.monotonic()
    read = functools.partial(fingerprints.read, max_pixels=max_pixels)
    with talk.progress(sum(topic.found for topic in topics)) as bar:

        def items() -> Iterator[tuple[Work, str]]:
            for topic in topics:
                work = owed(topic, talk)
                if work.names:
                    if not take(topic):
                        bar.total -= topic.found
                        continue
                    work = owed(topic, talk)  # another run may just have been done
                under_way.append(work)
                bar.total -= len(work.stamps) - len(work.names)
                yield from ((work, name) for name in work.names)
                yield work, ""

        try:
            tasks = ((chunk, [work.topic.file(name) for work, name in chunk if name]) for chunk in _chunks(items()))
            for chunk, (rows, unreadable) in pool.run(read, tasks):
                _land(chunk, rows, unreadable, talk)
                bar.set_postfix_str(pool.where, refresh=False)
                bar.update(len(rows["flat"]) + len(unreadable))
                for work in [work for work, name in chunk if not name]:
                    work.prints.save(work.stamps)
                    under_way.popleft()
                    yield work
                if time.monotonic() - saved >= CHECKPOINT:
                    _save(under_way)
                    saved = time.monotonic()
        except BaseException:
            with contextlib.suppress(UserError):  # a full disk has been reported already
                _save(under_way)
            raise


def _chunks(items: Iterator[tuple[Work, str]]) -> Iterator[Items]:
    while chunk := list(itertools.islice(items, CHUNK)):
        yield chunk


def _land(chunk: Items, rows: Rows, unreadable: Mapping[int, str], talk: Talk) -> None:
    """Put what was read into the sidecars it belongs to."""
    images = [(work, name) for work, name in chunk if name]
    for position, reason in unreadable.items():
        work, name = images[position]
        work.failed.append(name)
        talk.bad(work.topic.file(name), reason)
    readable = [image for position, image in enumerate(images) if position not in unreadable]
    start = 0
    for _, group in itertools.groupby(readable, key=lambda image: id(image[0])):
        members = list(group)
        work, names = members[0][0], [name for _, name in members]
        own = {key: array[start : start + len(names)] for key, array in rows.items()}
        work.prints.add(names, [work.stamps[name] for name in names], **own)
        start += len(names)


def _save(under_way: Iterable[Work]) -> None:
    for work in under_way:
        work.prints.save(work.stamps)
