"""From image files to vectors: decoding in parallel, batches that cross topic borders, checkpoints.

Vectors are added to each topic's sidecar as they come, and a topic is yielded when its last image
is done. Memory does not grow with the number of images.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from common.cache import Extent
from common.clip import sidecar
from common.clip.engine import Engine, Outcome, Part, PendingVectors
from common.clip.model import Model
from common.clip.sidecar import Sidecar
from common.locks import TryClaim, always_claim
from common.reporter import Reporter
from common.topics import Topic
from imaging import damage, image_identity
from imaging.image_identity import ImageStamps, Look

VECTOR_LAYOUT = {
    "vectors": ("float32", (None,)),
    "extents": ("int32", (2,)),
    "precision": ("<U4", ()),
}


@dataclass
class EmbeddingJob:
    """The images of a topic that need vectors, and the sidecar that receives them."""

    topic: Topic
    stamps: ImageStamps
    names: Sequence[str]
    vectors: Sidecar
    failed: dict[str, str] = field(default_factory=dict)  # the reason of each
    stored: int = 0

    @property
    def is_done(self) -> bool:
        return self.stored + len(self.failed) == len(self.names)


class Decoded(NamedTuple):
    """An image whose pixels wait for a batch."""

    job: EmbeddingJob
    name: str
    extent: Extent
    look: Look | None


def load_vectors(topic: Topic, model: Model, reporter: Reporter) -> Sidecar:
    """The vectors that the topic has from `model`; empty if there is no usable sidecar."""
    return sidecar.load_sidecar(topic, model.sidecar, VECTOR_LAYOUT, model.about, reporter.warn)


def plan_embedding(
    topic: Topic,
    stamps: ImageStamps,
    wanted: Iterable[str],
    model: Model,
    reporter: Reporter,
) -> EmbeddingJob:
    """The job for a topic: those of the wanted images that have no vector from `model` yet."""
    vectors = load_vectors(topic, model, reporter)
    vectors.new_records |= image_identity.confirm_by_rows(stamps, vectors.file_records())
    stored = vectors.valid_rows(stamps)
    return EmbeddingJob(topic, stamps, [name for name in wanted if name not in stored], vectors)


def embed_missing(
    topics: Sequence[Topic],
    model: Model,
    make_engine: Callable[[], Engine],
    reporter: Reporter,
    try_claim: TryClaim = always_claim,
) -> Iterator[EmbeddingJob]:
    """Yield topics whose images all have vectors without opening any image, then embed the rest.

    Topics that `try_claim` refuses are skipped (another run has them). `make_engine` is called only
    if something must be embedded.
    """

    def plan_topic(topic: Topic) -> EmbeddingJob:
        stamps = image_identity.confirm_topic(topic)
        return plan_embedding(topic, stamps, stamps, model, reporter)

    incomplete = []
    total = 0
    for topic in topics:
        job = plan_topic(topic)
        if job.names:
            incomplete.append(topic)
            total += len(job.names)
        else:
            yield job
    jobs = (plan_topic(topic) for topic in incomplete if try_claim(topic))
    yield from embed_jobs(jobs, make_engine, reporter, total)


def embed_jobs(
    jobs: Iterator[EmbeddingJob],
    make_engine: Callable[[], Engine],
    reporter: Reporter,
    total: int,
    keep: bool = True,
) -> Iterator[EmbeddingJob]:
    """Fill each job's sidecar, save it (with `keep`), and yield the job when it is done.

    `make_engine` is called only if there is a job at all; `total` is for the progress bar.
    Unreadable images are reported and added to `failed`. Rows that are stored are saved, whatever
    ends this early.
    """
    first = next(jobs, None)
    if first is None:
        return
    engine = make_engine()
    run = _EmbeddingRun(engine, reporter, keep)
    chunks = run.chunks(itertools.chain([first], jobs))
    with reporter.progress(total) as bar, sidecar.checkpoints(run.save_all) as save_when_due:
        for pixels, outcomes in engine.decode_chunks(chunks):
            run.receive(pixels, outcomes)
            while run.ready_count >= engine.batch:
                run.launch()
            save_when_due()
            bar.set_postfix_str(engine.where, refresh=False)
            bar.update(len(outcomes))
            yield from run.take_finished()
        while run.ready_count:
            run.launch()
        run.land(0)
        yield from run.take_finished()


class _EmbeddingRun:
    """What is under way: images at the decoder, pixels that wait, batches, open jobs."""

    def __init__(self, engine: Engine, reporter: Reporter, keep: bool) -> None:
        self._engine = engine
        self._reporter = reporter
        self._keep = keep
        self._at_decoder: deque[tuple[EmbeddingJob, str]] = deque()  # in the order sent
        self._decoded: deque[Decoded] = deque()  # in the order of self._pixels
        self._pixels: deque[Part] = deque()
        self._flying: deque[tuple[list[Decoded], Sequence[PendingVectors]]] = deque()
        self._open: deque[EmbeddingJob] = deque()  # in order; the first one finishes next

    @property
    def ready_count(self) -> int:
        """How many decoded images wait for a batch."""
        return len(self._decoded)

    def chunks(self, jobs: Iterable[EmbeddingJob]) -> Iterator[list[str]]:
        """Yield paths in chunks that cross topic borders, and remember their jobs."""
        chunk: list[str] = []
        for job in jobs:
            self._open.append(job)
            for name in job.names:
                self._at_decoder.append((job, name))
                chunk.append(job.topic.path_of(name))
                if len(chunk) == self._engine.chunk:
                    yield chunk
                    chunk = []
        if chunk:
            yield chunk

    def receive(self, pixels: Any, outcomes: Sequence[Outcome]) -> None:
        """Take a decoded chunk: the pixels of its readable images, and an outcome for each path."""
        readable = 0
        for outcome in outcomes:
            job, name = self._at_decoder.popleft()
            if isinstance(outcome, str):
                self._fail(job, name, outcome)
            else:
                self._decoded.append(Decoded(job, name, *outcome))
                readable += 1
        if readable:
            self._pixels.append((pixels, 0, readable))

    def launch(self) -> None:
        """Send one batch to the engine, then land earlier ones until its queue fits its depth."""
        wanted = min(self._engine.batch, len(self._decoded))
        batch = [self._decoded.popleft() for _ in range(wanted)]
        self._flying.append((batch, self._engine.encode(self._cut_parts(wanted))))
        self.land(self._engine.depth)

    def _cut_parts(self, wanted: int) -> list[Part]:
        """Take the pixels of the next `wanted` images from the queue."""
        parts: list[Part] = []
        while wanted:
            pixels, start, stop = self._pixels.popleft()
            cut = min(stop, start + wanted)
            parts.append((pixels, start, cut))
            wanted -= cut - start
            if cut < stop:
                self._pixels.appendleft((pixels, cut, stop))
        return parts

    def land(self, flying: int) -> None:
        """Store the vectors of batches until only `flying` are left with the engine."""
        while len(self._flying) > flying:
            self._land_batch(*self._flying.popleft())

    def _land_batch(self, batch: Sequence[Decoded], pending: Sequence[PendingVectors]) -> None:
        import numpy as np

        vectors = np.concatenate([part.result() for part in pending])
        is_finite = np.isfinite(vectors).all(axis=1)
        start = 0
        for _, group in itertools.groupby(batch, key=lambda image: id(image.job)):
            images = list(group)
            stop = start + len(images)
            self._store(images, is_finite[start:stop], vectors[start:stop])
            start = stop

    def _store(self, images: Sequence[Decoded], is_finite: Any, vectors: Any) -> None:
        """Add the vectors of one job's images to its sidecar; fail those that are not finite."""
        job = images[0].job
        good = list(itertools.compress(images, is_finite))
        job.vectors.add(
            [image.name for image in good],
            [job.stamps[image.name] for image in good],
            vectors=vectors[is_finite],
            extents=[image.extent for image in good],  # type: ignore[arg-type]
            precision=[self._engine.precision] * len(good),  # type: ignore[arg-type]
        )
        looks = ((image.name, image.look) for image in good)
        job.vectors.new_records |= job.stamps.make_records(looks)
        job.stored += len(good)
        for image in itertools.compress(images, ~is_finite):
            reason = "the model gave no finite vector; try --precision fp32"
            self._fail(job, image.name, reason)

    def _fail(self, job: EmbeddingJob, name: str, reason: str) -> None:
        job.failed[name] = reason
        self._reporter.report_unreadable(job.topic.path_of(name), reason)

    def take_finished(self) -> Iterator[EmbeddingJob]:
        """Yield the jobs whose last image is done, in order, saved."""
        while self._open and self._open[0].is_done:
            job = self._open.popleft()
            if self._keep:
                job.vectors.save(job.stamps)
            damage.record_damage(job.topic, job.stamps, set(job.names), job.failed)
            yield job

    def save_all(self) -> None:
        """Save what is stored of the jobs under way."""
        for job in self._open:
            if self._keep and job.stored:
                job.vectors.save(job.stamps)
