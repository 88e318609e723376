"""From image files to vectors: decoding in parallel, batches that cross topic borders, checkpoints.

Vectors land in each topic's sidecar as they come, and a topic is handed back when its last image is done. Nothing here
grows with the number of images.
"""

from __future__ import annotations

import contextlib
import itertools
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from common import sidecar
from common.cache import Extent
from common.claims import TryClaim, always_claim
from common.clip.engine import PendingVectors, Engine, Part
from common.clip.model import Model
from common.errors import UserError
from common.reporter import Reporter
from common.sidecar import CHECKPOINT_SECONDS, Sidecar
from common.tree import Stamp, Topic

VECTOR_LAYOUT = {
    "vectors": ("float32", (None,)),
    "extents": ("int32", (2,)),
    "precision": ("<U4", ()),
}


@dataclass
class EmbeddingJob:
    """A topic's images that want vectors, and the sidecar that receives them."""

    topic: Topic
    stamps: Mapping[str, Stamp]
    names: Sequence[str]
    vectors: Sidecar
    failed: list[str] = field(default_factory=list)
    landed: int = 0

    @property
    def is_done(self) -> bool:
        return self.landed + len(self.failed) == len(self.names)


def load_vectors(topic: Topic, model: Model, talk: Reporter) -> Sidecar:
    """The vectors that the topic has from `model`; none where there is no usable sidecar."""
    return sidecar.load_sidecar(topic, model.sidecar, VECTOR_LAYOUT, model.about, talk.warn)


def embed_missing(
    topics: Sequence[Topic],
    model: Model,
    ready: Callable[[], Engine],
    talk: Reporter,
    take: TryClaim = always_claim,
) -> Iterator[EmbeddingJob]:
    """Every topic with a vector of each readable image: first those that have them already, then the others.

    Opens no image of the former, and calls `ready` only if there are any of the latter, of which only those come that
    `take` says yes to (common/claims.py). Otherwise like `embed`.
    """

    def whole(topic: Topic) -> EmbeddingJob:
        stamps = topic.stamps()
        return plan_embedding(topic, stamps, stamps, model, talk)

    owing, total = [], 0
    for topic in topics:
        work = whole(topic)
        if work.names:
            owing.append(topic)
            total += len(work.names)
        else:
            yield work
    yield from embed_jobs((whole(topic) for topic in owing if take(topic)), ready, talk, total)


def plan_embedding(
    topic: Topic, stamps: Mapping[str, Stamp], wanted: Iterable[str], model: Model, talk: Reporter
) -> EmbeddingJob:
    """The topic's work: those of the wanted images that have no vector from `model` yet."""
    vectors = load_vectors(topic, model, talk)
    have = vectors.fresh(stamps)
    return EmbeddingJob(topic, stamps, [name for name in wanted if name not in have], vectors)


def embed_jobs(
    works: Iterator[EmbeddingJob],
    ready: Callable[[], Engine],
    talk: Reporter,
    total: int,
    keep: bool = True,
) -> Iterator[EmbeddingJob]:
    """Fill each work's sidecar, save it (with `keep`), and give the work back when its last image is done.

    `ready` makes the engine, and is called only if there is a work at all; `total` is for the progress bar.
    Unreadable images go to talk.report_unreadable and to `failed`. Whatever ends this early, rows that have landed are saved.
    """
    first = next(works, None)
    if first is None:
        return
    engine = ready()
    run = _EmbeddingRun(engine, talk, keep)
    with talk.progress(total) as bar:
        try:
            for pixels, outcomes in engine.decoded(run.chunks(itertools.chain([first], works))):
                run.take(pixels, outcomes)
                while run.waiting >= engine.batch:
                    run.launch()
                bar.set_postfix_str(engine.where, refresh=False)
                bar.update(len(outcomes))
                yield from run.finished()
            while run.waiting:
                run.launch()
            run.land(0)
            yield from run.finished()
        except BaseException:
            with contextlib.suppress(UserError):  # a full disk has been reported already
                run.save_all()
            raise


class _EmbeddingRun:
    """What is under way: images at the decoder, pixels waiting for a batch, batches on the device, open topics."""

    def __init__(self, engine: Engine, talk: Reporter, keep: bool) -> None:
        self._engine, self._talk, self._keep = engine, talk, keep
        self._ordered: deque[tuple[EmbeddingJob, str]] = deque()  # sent to the decoder, in order
        self._ready: deque[tuple[EmbeddingJob, str, Extent]] = (
            deque()
        )  # decoded, in the order of self._pixels
        self._pixels: deque[Part] = deque()
        self._flying: deque[
            tuple[list[tuple[EmbeddingJob, str, Extent]], Sequence[PendingVectors]]
        ] = deque()
        self._open: deque[EmbeddingJob] = deque()  # in order; the first one is the next to finish
        self._saved = time.monotonic()

    @property
    def waiting(self) -> int:
        return len(self._ready)

    def chunks(self, works: Iterable[EmbeddingJob]) -> Iterator[list[str]]:
        """Paths in handfuls, across topic borders; remembers whose they are."""
        chunk: list[str] = []
        for work in works:
            self._open.append(work)
            for name in work.names:
                self._ordered.append((work, name))
                chunk.append(work.topic.file(name))
                if len(chunk) == self._engine.chunk:
                    yield chunk
                    chunk = []
        if chunk:
            yield chunk

    def take(self, pixels: Any, outcomes: Sequence[Extent | str]) -> None:
        """Receive a decoded chunk."""
        for outcome in outcomes:
            work, name = self._ordered.popleft()
            if isinstance(outcome, str):
                self._fail(work, name, outcome)
            else:
                self._ready.append((work, name, outcome))
        if readable := sum(not isinstance(outcome, str) for outcome in outcomes):
            self._pixels.append((pixels, 0, readable))

    def launch(self) -> None:
        """Send one batch to the engine, and collect earlier ones until it has no more than it works on at once."""
        parts: list[Part] = []
        wanted = min(self._engine.batch, len(self._ready))
        batch = [self._ready.popleft() for _ in range(wanted)]
        while wanted:
            pixels, start, stop = self._pixels.popleft()
            cut = min(stop, start + wanted)
            parts.append((pixels, start, cut))
            wanted -= cut - start
            if cut < stop:
                self._pixels.appendleft((pixels, cut, stop))
        self._flying.append((batch, self._engine.encode(parts)))
        self.land(self._engine.depth)

    def land(self, flying: int) -> None:
        """Collect batches from the engine until only `flying` are left with it."""
        while len(self._flying) > flying:
            self._land(*self._flying.popleft())

    def _land(
        self, batch: Sequence[tuple[EmbeddingJob, str, Extent]], pending: Sequence[PendingVectors]
    ) -> None:
        import numpy as np

        vectors = np.concatenate([part.result() for part in pending])
        finite = np.isfinite(vectors).all(axis=1)
        row = 0
        for _, group in itertools.groupby(batch, key=lambda item: id(item[0])):
            items = list(group)
            good = finite[row : row + len(items)]
            self._store(items, good, vectors[row : row + len(items)][good])
            row += len(items)
        if self._keep and time.monotonic() - self._saved >= CHECKPOINT_SECONDS:
            self.save_all()

    def _store(
        self, items: Sequence[tuple[EmbeddingJob, str, Extent]], good: Any, vectors: Any
    ) -> None:
        work = items[0][0]
        kept = [(name, extent) for (_, name, extent), fine in zip(items, good, strict=True) if fine]
        names = [name for name, _ in kept]
        precision = [self._engine.precision] * len(kept)
        sizes = [extent for _, extent in kept]
        stamps = [work.stamps[name] for name in names]
        work.vectors.add(names, stamps, vectors=vectors, extents=sizes, precision=precision)  # type: ignore[arg-type]
        work.landed += len(kept)
        for (_, name, _), fine in zip(items, good, strict=True):
            if not fine:
                self._fail(work, name, "the model gave no finite vector; try --precision fp32")

    def _fail(self, work: EmbeddingJob, name: str, reason: str) -> None:
        work.failed.append(name)
        self._talk.report_unreadable(work.topic.file(name), reason)

    def finished(self) -> Iterator[EmbeddingJob]:
        """The works whose last image is done, in order, saved."""
        while self._open and self._open[0].is_done:
            work = self._open.popleft()
            if self._keep:
                work.vectors.save(work.stamps)
                self._saved = time.monotonic()
            yield work

    def save_all(self) -> None:
        """Save what has landed of the topics under way."""
        for work in self._open:
            if self._keep and work.landed:
                work.vectors.save(work.stamps)
        self._saved = time.monotonic()
