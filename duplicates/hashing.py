"""From image files to hash rows: decoded by parallel processes, in chunks that cross topic borders.

Rows go into the sidecar of each topic as they come. Topics are returned in order, each when its
last image is done. Memory does not grow with the number of topics.
"""

from __future__ import annotations

import functools
import itertools
import os
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from tqdm import tqdm

from common import cache
from common.clip import sidecar
from common.clip.sidecar import Sidecar
from common.locks import TryClaim, always_claim
from common.reporter import Reporter
from common.topics import Topic
from duplicates import equal_files, hash_rows
from duplicates.equal_files import EqualFiles
from duplicates.hash_rows import RowArrays
from duplicates.pool import Pool, batches
from imaging import damage, image_identity
from imaging.image_identity import ImageStamps

HASH_SIDECAR = "phash"
CHUNK_IMAGES = 16  # that a process reads per task


@dataclass(frozen=True)
class HashingJob:
    """A topic, its images, those that are to be decoded, and the sidecar for the rows."""

    topic: Topic
    stamps: ImageStamps
    missing: Sequence[str]
    rows: Sidecar
    equal: EqualFiles = field(default_factory=EqualFiles)  # the others without a row
    failed: dict[str, str] = field(default_factory=dict)  # the reason of each unreadable image

    @property
    def images_to_decode(self) -> set[str]:
        """The images without a row: those that are decoded, and their equals."""
        return set(self.missing).union(*self.equal.followers.values())


# A job with one of its missing images, or with "" after the last.
Entry = tuple[HashingJob, str]


def load_hash_rows(topic: Topic, reporter: Reporter) -> Sidecar:
    """The hash rows of the topic; none if there is no usable sidecar."""
    return sidecar.load_sidecar(
        topic, HASH_SIDECAR, hash_rows.HASH_LAYOUT, hash_rows.HASH_ABOUT, reporter.warn
    )


def plan_hashing(topic: Topic, reporter: Reporter) -> HashingJob:
    """What there is to hash in the topic now."""
    stamps = image_identity.confirm_topic(topic)
    rows = load_hash_rows(topic, reporter)
    rows.new_records |= image_identity.confirm_by_rows(stamps, rows.file_records())
    hashed = rows.valid_rows(stamps)
    missing = [name for name in stamps if name not in hashed]
    return HashingJob(topic, stamps, missing, rows)


def hash_topics(
    topics: Sequence[Topic],
    pool: Pool,
    max_pixels: int,
    reporter: Reporter,
    try_claim: TryClaim = always_claim,
) -> Iterator[HashingJob]:
    """Yield each topic in turn, with its sidecar complete and saved. Reports unreadable images.

    Topics with missing rows that `try_claim` refuses are skipped (another run has them). Rows that
    are done are saved however this ends.
    """
    open_jobs: deque[HashingJob] = deque()

    def save_open_jobs() -> None:
        for job in open_jobs:
            job.rows.save(job.stamps)

    read = functools.partial(hash_rows.read_hash_rows, max_pixels=max_pixels)
    total = sum(topic.image_count for topic in topics)
    with reporter.progress(total) as bar, sidecar.checkpoints(save_open_jobs) as save_when_due:
        jobs = _plan_jobs(topics, open_jobs, bar, reporter, try_claim)
        for chunk, (rows, unreadable) in pool.run(read, _read_tasks(jobs)):
            _report_unreadable(chunk, unreadable, reporter)
            _store_rows(chunk, unreadable, rows)
            bar.set_postfix_str(pool.where, refresh=False)
            bar.update(len(rows["flat"]) + len(unreadable))
            for job, name in chunk:
                if not name:
                    job.rows.save(job.stamps)
                    damage.record_damage(job.topic, job.stamps, job.images_to_decode, job.failed)
                    open_jobs.popleft()
                    yield job
            save_when_due()


def _plan_jobs(
    topics: Sequence[Topic],
    open_jobs: deque[HashingJob],
    bar: tqdm,
    reporter: Reporter,
    try_claim: TryClaim,
) -> Iterator[HashingJob]:
    """Plan each topic when it is asked for, append it to `open_jobs` and yield it."""
    for topic in topics:
        has_rows = os.path.lexists(cache.sidecar_path(topic, HASH_SIDECAR))
        may_be_done = has_rows or not topic.image_count
        job = plan_hashing(topic, reporter) if may_be_done else None
        if job is None or job.missing:
            if not try_claim(topic):
                bar.total -= topic.image_count
                continue
            # Planned now, because another run may have finished it just before.
            job = _leave_out_equal_files(plan_hashing(topic, reporter))
        open_jobs.append(job)
        bar.total -= len(job.stamps) - len(job.missing)
        yield job


def _leave_out_equal_files(job: HashingJob) -> HashingJob:
    """Decode only one of the missing images that have the same bytes."""
    equal = equal_files.find_equal_files(job.stamps, job.missing, job.rows)
    hashed = job.rows.valid_rows(job.stamps)
    followers = set(itertools.chain.from_iterable(equal.followers.values()))
    missing = [name for name in job.missing if name not in hashed and name not in followers]
    return replace(job, missing=missing, equal=equal)


def _read_tasks(jobs: Iterable[HashingJob]) -> Iterator[tuple[list[Entry], list[str]]]:
    """Chunks of the jobs' entries, each with the paths of its images."""
    for chunk in batches(_list_entries(jobs), CHUNK_IMAGES):
        yield chunk, [job.topic.path_of(name) for job, name in chunk if name]


def _list_entries(jobs: Iterable[HashingJob]) -> Iterator[Entry]:
    for job in jobs:
        for name in job.missing:
            yield job, name
        yield job, ""


def _report_unreadable(
    chunk: Sequence[Entry], unreadable: Mapping[int, str], reporter: Reporter
) -> None:
    entries = [(job, name) for job, name in chunk if name]
    for position, reason in unreadable.items():
        job, first = entries[position]
        for name in (first, *job.equal.followers.get(first, ())):
            job.failed[name] = reason
            reporter.report_unreadable(job.topic.path_of(name), reason)


def _store_rows(chunk: Sequence[Entry], unreadable: Mapping[int, str], rows: RowArrays) -> None:
    """Add the rows of the readable images of the chunk to the sidecars they belong to."""
    entries = [(job, name) for job, name in chunk if name]
    readable = [entry for position, entry in enumerate(entries) if position not in unreadable]
    start = 0
    for _, group in itertools.groupby(readable, key=lambda entry: id(entry[0])):
        job_entries = list(group)
        job = job_entries[0][0]
        names = [name for _, name in job_entries]
        stop = start + len(names)
        looks = dict(zip(names, rows["looks"][start:stop].tolist(), strict=True))
        picked = list(range(start, stop))
        for position, first in enumerate(names[:], start):
            followers = job.equal.followers_of(first, looks[first])
            names += followers
            picked += [position] * len(followers)
        job_rows = {key: rows[key][picked] for key in hash_rows.HASH_LAYOUT}
        job.rows.add(names, [job.stamps[name] for name in names], **job_rows)
        job.rows.new_records |= job.stamps.make_records(looks.items())
        start = stop
