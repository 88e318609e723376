"""Tells whether an image still is the one that the records know: the one place that decides.

It is if its size and time are those of the record (and its inode and time of change, if they are
known), or else if its size and the SHA-256 of its bytes are. So a copy of the tree with other times
is not worked on again. Records go by stamps: an image whose bytes are known keeps the stamp under
which they are known, whatever its time is now. The digests are in `.cache/images.json`. Needs only
the standard library; decodes nothing.
"""

from __future__ import annotations

import contextlib
import functools
import os
import stat
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, TypeVar

from common import atomic_files, cache
from common.cache import FileRecord, FileRecords
from common.errors import UserError
from common.topics import FileStatus, Stamp, Topic, file_status, stamp_of
from imaging import jpeg_stream

DIGEST_THREADS = 4  # SHA-256 lets other threads run
MAX_SMALL_JPEG_BYTES = 1 << 20  # up to this size one is read once, for its digest and decoding

Answer = TypeVar("Answer")


class Look(NamedTuple):
    """The digest of an image's bytes, and its status when they were read."""

    digest: str
    status: FileStatus


class ImageStamps(dict[str, Stamp]):
    """The images in a folder: each with the stamp under which records know its bytes.

    A stamp in `unconfirmed` counts only if the digest is the recorded one: see `confirm`.
    """

    def __init__(self, folder: str, statuses: Mapping[str, FileStatus], known: FileRecords) -> None:
        super().__init__()
        self.folder = folder
        self.statuses = statuses
        self._known: dict[str, FileRecord] = {}
        self.unconfirmed: dict[str, FileRecord] = {}
        self.confirmed: dict[str, FileRecord] = {}  # with their status now
        self.update({name: status.stamp for name, status in statuses.items()})
        self.add_known(known)

    def add_known(self, known: FileRecords) -> None:
        """Take records of images of which none is known yet."""
        for name, record in known.items():
            status = self.statuses.get(name)
            if status and name not in self._known and record.stamp[0] == status.stamp[0]:
                self._known[name] = record
                self[name] = record.stamp
                if not record.is_of(status):
                    self.unconfirmed[name] = record

    def path_of(self, name: str) -> str:
        return os.path.join(self.folder, name)

    def digest_of(self, name: str) -> str:
        """Return the recorded digest of an image's bytes; empty if none is certain."""
        record = self._known.get(name)
        is_certain = record and record.stamp == self[name] and name not in self.unconfirmed
        return record.digest if record and is_certain else ""

    def confirm(self, names: Iterable[str] | None = None) -> None:
        """Compare digests of unconfirmed images: of all, or of these. Reads the files."""
        wanted = self.unconfirmed.keys() if names is None else self.unconfirmed.keys() & set(names)
        if not wanted:
            return
        ordered = sorted(wanted)
        paths = [self.path_of(name) for name in ordered]
        for name, digest in zip(ordered, file_digests(paths), strict=True):
            record = self.unconfirmed.pop(name)
            status = self.statuses[name]
            if digest == record.digest:
                self.confirmed[name] = FileRecord(digest, record.stamp, status)
            elif status.stamp != record.stamp:
                self[name] = status.stamp
            else:  # other bytes of the same size and time: known by the time they came
                self[name] = (status.stamp[0], status.ctime_ns)

    def make_records(self, looks: Iterable[tuple[str, Look | None]]) -> dict[str, FileRecord]:
        """Return the records of images that were read, without those that changed meanwhile."""
        records = {}
        for name, look in looks:
            if look and self.statuses.get(name) == look.status:
                records[name] = FileRecord(look.digest, self[name], look.status)
        return records


def file_digests(paths: Sequence[str]) -> list[str]:
    """Return the SHA-256 of each file's bytes; empty for one that cannot be read."""
    return _map_in_threads(atomic_files.file_digest, paths)


def read_looks(paths: Sequence[str]) -> list[Look | None]:
    """Return the digest of each file; None for one that cannot be read or changes meanwhile."""
    return _map_in_threads(lambda path: look_after(path, look_before(path)), paths)


def _map_in_threads(function: Callable[[str], Answer], paths: Sequence[str]) -> list[Answer]:
    if not paths:
        return []
    from concurrent.futures import ThreadPoolExecutor  # most runs read no file for its digest

    with ThreadPoolExecutor(DIGEST_THREADS) as threads:
        return list(threads.map(function, paths))


def stamps_as_recorded(topic: Topic, known: FileRecords) -> ImageStamps:
    """Return the topic's images now, without reading any. Raises UserError."""
    return ImageStamps(topic.path, topic.image_statuses(), known)


def confirm_topic(topic: Topic) -> ImageStamps:
    """Return the topic's images now, all confirmed; store new times, so that this is done once.

    Reads images whose time has changed and whose digest is known. Raises UserError.
    """
    stamps = stamps_as_recorded(topic, cache.load_cache(topic).files)
    stamps.confirm()
    if stamps.confirmed:
        with contextlib.suppress(UserError):  # a read-only tree is asked again next time
            cache.update_cache(topic, records=stamps.confirmed)
    return stamps


def confirm_by_rows(stamps: ImageStamps, records: FileRecords) -> FileRecords:
    """Take the digests beside stored rows for images of which no other digest is known.

    Returns those that a look confirmed, to be stored. Reads images whose time has changed.
    """
    before = set(stamps.confirmed)
    stamps.add_known(records)
    stamps.confirm(records)
    return {name: stamps.confirmed[name] for name in stamps.confirmed.keys() - before}


def confirm(stamps: Mapping[str, Stamp], names: Iterable[str]) -> None:
    """Confirm these images, if `stamps` are not certain."""
    if isinstance(stamps, ImageStamps):
        stamps.confirm(names)


def current_stamp(path: str) -> Stamp | None:
    """Return the stamp under which records know the image at `path`; None if it is gone."""
    try:
        status = file_status(os.stat(path))
    except OSError:
        return None
    folder, name = os.path.split(path)
    record = _records_in(folder, stamp_of(cache.images_json_path(_folder_as_topic(folder)))).get(
        name
    )
    stamps = ImageStamps(folder, {name: status}, {name: record} if record else {})
    stamps.confirm()
    return stamps[name]


@functools.lru_cache(maxsize=64)  # images of one folder are asked for one after the other
def _records_in(folder: str, stamp: Stamp | None) -> FileRecords:
    return cache.load_cache(_folder_as_topic(folder)).files if stamp else {}


def _folder_as_topic(folder: str) -> Topic:
    return Topic(folder, "", "", "", os.path.basename(folder), 0)


def look_before(path: str) -> FileStatus | None:
    """Return the status of a file that is about to be read; None if there is none."""
    try:
        return file_status(os.stat(path))
    except OSError:
        return None


def read_small_jpeg(path: str) -> tuple[bytes | None, FileStatus | None]:
    """Return the bytes of a JPEG that is about to be decoded, and its status as look_before does.

    None for the bytes if it is large, no JPEG, or changes meanwhile.
    """
    try:
        descriptor = os.open(path, atomic_files.GIVEN_FLAGS | os.O_NONBLOCK)
    except OSError:
        return None, None
    try:
        status = os.fstat(descriptor)
        before = file_status(status)
        if not stat.S_ISREG(status.st_mode) or status.st_size > MAX_SMALL_JPEG_BYTES:
            return None, before
        content = os.read(descriptor, len(jpeg_stream.START))
        if content != jpeg_stream.START:
            return None, before
        content += os.read(descriptor, status.st_size)
        is_whole = len(content) == status.st_size and file_status(os.fstat(descriptor)) == before
        return content if is_whole else None, before
    except OSError:
        return None, None
    finally:
        os.close(descriptor)


def look_after(path: str, before: FileStatus | None, content: bytes | None = None) -> Look | None:
    """Return the digest of a file that was read since `before`; None if it has changed.

    `content` are its bytes, if it was decoded from these.
    """
    if content is not None and before:
        return Look(atomic_files.bytes_digest(content), before)
    try:
        digest, status = atomic_files.read_digest(path)
    except (OSError, UserError):
        return None
    after = file_status(status)
    return Look(digest, after) if after == before else None
