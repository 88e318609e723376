"""From image files to fingerprints: decoded by parallel processes, in handfuls that cross topic borders.

Fingerprints land in each topic's sidecar as they come; topics are handed back in order, each when its last image is
done. Nothing here grows with the number of topics.
"""

from __future__ import annotations

import contextlib
import itertools
import multiprocessing
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from multiprocessing.synchronize import Event

from common import signals
from common.dataset import sidecar
from common.dataset.sidecar import CHECKPOINT, Sidecar
from common.dataset.tree import Stamp, Topic
from common.duplicates import fingerprints
from common.duplicates.fingerprints import Rows
from common.errors import UserError, decoder_died
from common.output import Talk

NAME = "phash"  # of the sidecar
CHUNK = 16  # images a process takes at once
AHEAD = 3  # chunks waiting per process: enough to hide one slow file


@dataclass
class Work:
    """A topic under way: what lies in it, and the sidecar that receives its fingerprints."""

    topic: Topic
    stamps: Mapping[str, Stamp]
    prints: Sidecar
    failed: list[str] = field(default_factory=list)


Items = list[tuple[Work, str]]  # images in order; an empty name ends a topic
Read = tuple[Rows, dict[int, str]]


def load_prints(topic: Topic, talk: Talk) -> Sidecar:
    """The fingerprints that the topic has; none where there is no usable sidecar."""
    return sidecar.load(topic, NAME, fingerprints.LAYOUT, fingerprints.ABOUT, talk.warn)


def hashed(topics: Sequence[Topic], workers: int, max_pixels: int, talk: Talk) -> Iterator[Work]:
    """Each topic in turn, with its sidecar filled and saved. Unreadable images go to talk.bad and to `failed`.

    With 0 or 1 workers images are decoded in this process. Whatever ends this early, what has landed is saved.
    """
    under_way: deque[Work] = deque()
    saved = time.monotonic()
    with talk.progress(sum(topic.found for topic in topics)) as bar, _Decoders(workers, max_pixels) as decoders:

        def items() -> Iterator[tuple[Work, str]]:
            for topic in topics:
                work = Work(topic, topic.stamps(), load_prints(topic, talk))
                under_way.append(work)
                have = work.prints.fresh(work.stamps)
                bar.total -= len(have)
                yield from ((work, name) for name in work.stamps if name not in have)
                yield work, ""

        try:
            for chunk, (rows, unreadable) in decoders.read(_chunks(items())):
                _land(chunk, rows, unreadable, talk)
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


class _Decoders:
    """The processes that read images. They start with the first image and end with the block, however it ends."""

    def __init__(self, workers: int, max_pixels: int) -> None:
        self._workers, self._max_pixels = workers, max_pixels
        self._ended = multiprocessing.Event()
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> _Decoders:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._pool:
            if kind:
                self._ended.set()  # killing them amid an answer would leave its reader waiting for the rest
            self._pool.shutdown(wait=not kind, cancel_futures=True)

    def read(self, chunks: Iterable[Items]) -> Iterator[tuple[Items, Read]]:
        """Each chunk with what fingerprints.read says of its images, in order. Raises UserError."""
        waiting: deque[tuple[Items, Future[Read]]] = deque()
        try:
            for chunk in chunks:
                waiting.append((chunk, self._submit([work.topic.file(name) for work, name in chunk if name])))
                while len(waiting) > AHEAD * max(1, self._workers) or (waiting and waiting[0][1].done()):
                    chunk, future = waiting.popleft()
                    yield chunk, future.result()
            for chunk, future in waiting:
                yield chunk, future.result()
        except BrokenProcessPool:
            raise decoder_died() from None

    def _submit(self, paths: list[str]) -> Future[Read]:
        if not paths or self._workers < 2:
            done: Future[Read] = Future()
            done.set_result(fingerprints.read(paths, self._max_pixels))
            return done
        if not self._pool:
            self._pool = ProcessPoolExecutor(self._workers, initializer=_begin, initargs=(self._ended,))
        return self._pool.submit(_read, paths, self._max_pixels)


_ended: Event | None = None  # in a decoding process: set when nobody wants its answers any more


def _read(paths: list[str], max_pixels: int) -> Read:
    return fingerprints.read([] if _ended and _ended.is_set() else paths, max_pixels)


def _begin(ended: Event) -> None:
    global _ended
    _ended = ended
    signals.become_worker()
