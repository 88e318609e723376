"""`.cache/images.json` in each topic: image sizes, and what made scores, copies and variants.

Needs only the standard library, so that scripts which never look at pixels start at once. Vectors
and hashes are beside it (common/clip/sidecar.py). The folder is safe to delete: only time is lost.

    {"images": {"a.jpg": [size, mtime_ns, width, height]},
     "scores": {"made_by": {"model": ...}, "images": {"a.jpg": [size, mtime_ns]}, "digest": ...},
     "duplicates": {"made_by": {"method": ..., "threshold": ...}, "images": {...}, "digest": ...,
                    "equal": {"a.jpg": digest by which it is in a large set of equal images}},
     "variants": {...},
     "files": {"a.jpg": "SHA-256 size mtime_ns, and mtime_ns ctime_ns inode at the last look"},
     "originality": {"version": ..., "images": {"a.jpg": "size mtime_ns ..."}},
     "damaged": {"a.jpg": "as in files, then the reason"}}

The last two are those of keeping/copy_traits.py, for images with copies, and of imaging/damage.py.
Versions before ignore them.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import itertools
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from common import atomic_files, json_files, locks
from common.atomic_files import Damaged, FolderGone
from common.errors import UserError, os_error_to_user_error
from common.target_folder import TargetFolder
from common.topics import FileStatus, Stamp, Topic

# The files whose provenance is recorded: their path, and how many bytes they can have.
TRACKED_FILES: dict[str, tuple[Callable[[Topic], str], Callable[[Topic], int]]] = {
    "scores": (json_files.scores_path, json_files.max_bytes_per_image),
    "duplicates": (json_files.duplicates_path, json_files.max_bytes_per_pair),
    "variants": (json_files.variants_path, json_files.max_bytes_per_pair),
}
MAY_NOT_READ_ERRNOS = {errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.ELOOP}
# Of `originality`. Bump it when a measurement changes: numbers of others are measured again.
ORIGINALITY_VERSION = 1
MAX_REMEMBERED_BYTES = 50_000  # of a file that is parsed once, as long as its bytes stay the same
MAX_TRIES = 9  # to read or write what another run is changing

Parsed = TypeVar("Parsed")

Extent = tuple[int, int]  # width and height in pixels, upright (after EXIF orientation)


@dataclass(frozen=True, slots=True)
class FileRecord:
    """An image's bytes: their SHA-256, the stamp under which all records know them, and the
    status of the file that had them last (see imaging/image_identity.py).
    """

    digest: str
    stamp: Stamp
    status: FileStatus

    def is_of(self, status: FileStatus) -> bool:
        """Tell whether a file is the one that was looked at. Without an inode its stamp decides."""
        if not self.status.inode:
            return status.stamp == self.status.stamp
        is_same_file = (status.stamp, status.inode) == (self.status.stamp, self.status.inode)
        return is_same_file and status.ctime_ns <= self.status.ctime_ns

    def as_text(self) -> str:
        """Return it as in images.json: one text, because a list takes a line per number."""
        numbers = (*self.stamp, self.status.stamp[1], self.status.ctime_ns, self.status.inode)
        return " ".join([self.digest, *map(str, numbers)])


def parse_record(text: str) -> FileRecord:
    """Parse FileRecord.as_text(). Raises ValueError."""
    digest, *numbers = text.split(" ")
    size, recorded_ns, mtime_ns, ctime_ns, inode = map(int, numbers)
    return FileRecord(digest, (size, recorded_ns), FileStatus((size, mtime_ns), ctime_ns, inode))


FileRecords = Mapping[str, FileRecord]  # by image
Extents = dict[str, tuple[Stamp, Extent]]  # by image; the stamp when the extent was read


@dataclass(frozen=True)
class Provenance:
    """What made a file, and the stamp that each image had then."""

    made_by: Mapping[str, Any]
    images: Mapping[str, Stamp]
    digest: str = ""  # of the file; empty for any file, as earlier versions left it
    before: Provenance | None = None  # of the previous file, which a kill may leave in place
    # The digest of each image in a large set of equal images (see keeping/equal_images.py). None if
    # nobody recorded them.
    equal: Mapping[str, str] | None = None
    unreadable: frozenset[str] = frozenset()  # images that could not be decoded then

    def for_digest(self, digest: str) -> Provenance | None:
        """Return the provenance, this or the one before, of the file with that digest."""
        if self.digest in ("", digest):
            return self
        return self.before.for_digest(digest) if self.before else None

    def for_content(self, content: bytes) -> Provenance:
        return replace(self, digest=atomic_files.bytes_digest(content))

    def with_previous(self, old: Provenance | None, digest: str) -> Provenance:
        """Return this provenance, with the old one of the file with `digest` as `before`."""
        previous = old.for_digest(digest) if old and digest not in ("", self.digest) else None
        return replace(self, before=previous and replace(previous, digest=digest, before=None))


@dataclass(frozen=True)
class Cache:
    """The content of one topic's images.json; empty if there is none."""

    extents: Mapping[str, tuple[Stamp, Extent]] = field(default_factory=dict)
    scores: Provenance | None = None
    duplicates: Provenance | None = None
    variants: Provenance | None = None
    files: FileRecords = field(default_factory=dict)
    originality: Mapping[str, str] = field(default_factory=dict)  # copy_traits.image_text by image
    damaged: Mapping[str, str] = field(default_factory=dict)  # Damage.as_text by image

    def extent(self, name: str, stamp: Stamp) -> Extent | None:
        """Return the image's width and height, if they were read from the file as it is now."""
        known_stamp, extent = self.extents.get(name, (None, None))
        return extent if known_stamp == stamp else None


ParseCache = Callable[[dict[str, Any]], Cache]


def images_json_path(topic: Topic) -> str:
    return os.path.join(topic.cache_folder, "images.json")


def sidecar_path(topic: Topic, name: str) -> str:
    """Return the path of a sidecar. It is not in common/clip/sidecar.py, as numpy loads slowly."""
    return os.path.join(topic.cache_folder, f"{name}.npz")


def make_cache_folder(topic: Topic) -> str:
    """Return the topic's cache folder, made if it is missing. Raises UserError."""
    folder = topic.cache_folder
    if not os.path.isdir(folder):
        try:
            os.makedirs(folder, exist_ok=True)
        except OSError as error:
            raise os_error_to_user_error(folder, "made", error) from None
    return folder


def check_writable(topic: Topic) -> None:
    """Raise UserError unless files can be made in the topic and in its cache folder."""
    atomic_files.check_writable(topic.path)
    if os.path.lexists(topic.cache_folder):
        atomic_files.check_writable(make_cache_folder(topic))


def load_cache(topic: Topic, warn: Callable[[str], None] | None = None) -> Cache:
    """Read the topic's cache. A damaged one reads as empty; with `warn` it is set aside.

    One that may not be read also reads as empty; with `warn`, which a caller passes that is going
    to write, it raises UserError.
    """
    return _read_images_json(topic, _parse_cache, warn) or Cache()


def load_score_provenance(topic: Topic) -> Cache:
    """Read the topic's cache with the provenance of its scores alone. Faster than load_cache."""

    return _read_images_json(topic, _parse_score_provenance, None) or Cache()


def _read_images_json(
    topic: Topic, parse: ParseCache, warn: Callable[[str], None] | None
) -> Cache | None:
    path = images_json_path(topic)
    try:
        content = atomic_files.read_bytes(path, lambda: _max_bytes(topic))
        if content is None:
            return None
        if len(content) <= MAX_REMEMBERED_BYTES:
            return _parse_remembered(parse, path, content)
        return parse(json_files.parse_json(path, content, {}))
    except Damaged as error:
        reason = error.reason
    except UserError as error:
        # A failing disk ends the run: with an empty cache a merge would lose what made the scores.
        cause = error.__context__
        if warn or (isinstance(cause, OSError) and cause.errno not in MAY_NOT_READ_ERRNOS):
            raise
        return None
    except (TypeError, ValueError, KeyError, AttributeError, RecursionError):
        reason = "not a cache of this program"
    if warn:
        atomic_files.quarantine(path, reason, warn)
    return None


@functools.lru_cache(maxsize=64)  # a topic's cache is read several times, one after the other
def _parse_remembered(parse: ParseCache, path: str, content: bytes) -> Cache:
    return parse(json_files.parse_json(path, content, {}))


def _max_bytes(topic: Topic) -> int:
    return 2 * json_files.max_bytes_per_image(topic)  # one for the traits of copies


def _parse_cache(data: dict[str, Any]) -> Cache:
    rows = data.get("images", {})
    if set(map(type, itertools.chain.from_iterable(rows.values()))) - {int}:  # fast
        raise ValueError
    return Cache(
        {name: ((a, b), (c, d)) for name, (a, b, c, d) in rows.items()},
        _parse_provenance(data.get("scores")),
        _parse_provenance(data.get("duplicates")),
        _parse_provenance(data.get("variants")),
        {name: parse_record(text) for name, text in data.get("files", {}).items()},
        _parse_originality(data),
        dict(data.get("damaged", {})),
    )


def _parse_originality(data: dict[str, Any]) -> dict[str, str]:
    section = data.get("originality", {})
    if section.get("version") != ORIGINALITY_VERSION:
        return {}
    return dict(section["images"])


def _parse_score_provenance(data: dict[str, Any]) -> Cache:
    return Cache(scores=_parse_provenance(data.get("scores")))


def _parse_provenance(data: dict[str, Any] | None) -> Provenance | None:
    if data is None:
        return None
    images = {name: (a, b) for name, (a, b) in data["images"].items()}
    before = _parse_provenance(data.get("before"))
    equal = data.get("equal")
    if equal is not None:
        equal = {name: str(digest) for name, digest in equal.items()}
    unreadable = frozenset(data.get("unreadable", ()))
    digest = str(data.get("digest", ""))
    return Provenance(dict(data["made_by"]), images, digest, before, equal, unreadable)


def _provenance_json(provenance: Provenance) -> dict[str, Any]:
    data: dict[str, Any] = {
        "made_by": dict(provenance.made_by),
        "images": {name: list(stamp) for name, stamp in provenance.images.items()},
    }
    if provenance.digest:
        data["digest"] = provenance.digest
    if provenance.equal is not None:
        data["equal"] = dict(provenance.equal)
    if provenance.unreadable:
        data["unreadable"] = sorted(provenance.unreadable)
    if provenance.before:
        data["before"] = _provenance_json(provenance.before)
    return data


def update_cache(
    topic: Topic,
    extents: Extents | None = None,
    target_folder: TargetFolder | None = None,
    records: FileRecords | None = None,
    originality: Mapping[str, str] | None = None,
    damaged: Mapping[str, str] | None = None,
    old: Cache | None = None,
    **provenances: Provenance | None,
) -> None:
    """Add extents, records and traits; replace `damaged` and the provenances that are given.

    The others stay; those of images that are gone are dropped. `target_folder` is that of
    atomic_files.atomic_write; `old` is the cache, if the caller read it under the topic's lock.
    Raises UserError.
    """
    with locks.topic_lock(topic):
        old = old or load_cache(topic)
        present = set(topic.all_image_names())
        rows = {}
        for name, (stamp, extent) in {**old.extents, **(extents or {})}.items():
            if name in present:
                rows[name] = [*stamp, *extent]
        data: dict[str, Any] = {"images": rows}
        files = {**old.files, **(records or {})}
        texts = {name: record.as_text() for name, record in files.items() if name in present}
        if texts:
            data["files"] = texts
        all_traits = {**old.originality, **(originality or {})}
        traits = {name: text for name, text in all_traits.items() if name in present}
        if traits:
            data["originality"] = {"version": ORIGINALITY_VERSION, "images": traits}
        all_damaged = old.damaged if damaged is None else damaged
        if damage_texts := {name: all_damaged[name] for name in all_damaged if name in present}:
            data["damaged"] = damage_texts
        for key in TRACKED_FILES:
            provenance = provenances.get(key) or getattr(old, key)
            if provenance:
                data[key] = _provenance_json(provenance)
        for _ in range(MAX_TRIES):
            if not target_folder:
                make_cache_folder(topic)
            with contextlib.suppress(FolderGone):
                return json_files.write_json(images_json_path(topic), data, target_folder)
        raise UserError(f"{topic.cache_folder}: deleted again and again; leave it alone meanwhile")


def read_with_provenance(
    topic: Topic,
    key: str,
    parse: Callable[[str, bytes | None], Parsed],
    load: Callable[[], Cache],
) -> tuple[Parsed, Cache, str]:
    """Read one of TRACKED_FILES together with the provenance that matches its digest.

    Returns (parsed content, cache, digest). The provenance in the cache is None if none matches.
    Needs no lock: if another run replaces both files in between, both are read again.
    """
    path_of, max_bytes = TRACKED_FILES[key]
    path = path_of(topic)
    for _ in range(MAX_TRIES):
        content = atomic_files.read_bytes(path, lambda: max_bytes(topic))
        cached = load()
        digest = atomic_files.bytes_digest(content)
        recorded: Provenance | None = getattr(cached, key)
        matching = recorded.for_digest(digest) if recorded else None
        if matching or not recorded:
            break
    if matching is not recorded:
        cached = replace(cached, **{key: matching})  # type: ignore[arg-type]
    return parse(path, content), cached, digest


def write_with_provenance(
    topic: Topic,
    files: Mapping[str, tuple[bytes, Provenance | None]],
    extents: Extents | None = None,
    target_folder: TargetFolder | None = None,
    records: FileRecords | None = None,
    originality: Mapping[str, str] | None = None,
) -> None:
    """Write some of TRACKED_FILES with their provenance, so that a kill never leaves a wrong one.

    First the new provenance is stored, with the previous one as `before`; then the files are
    written; then `before` is dropped. Raises UserError.
    """
    with locks.topic_lock(topic):
        old = load_cache(topic)
        final: dict[str, Provenance] = {}
        interim: dict[str, Provenance] = {}
        for key, (content, provenance) in files.items():
            if provenance:
                digest = atomic_files.file_digest(TRACKED_FILES[key][0](topic))
                final[key] = provenance.for_content(content)
                interim[key] = final[key].with_previous(getattr(old, key), digest)
        has_news = any(made != getattr(old, key) for key, made in interim.items())
        if extents is not None or records or originality or has_news:
            update_cache(topic, extents, target_folder, records, originality, None, old, **interim)
        for key, (content, _) in files.items():
            atomic_files.write_bytes(TRACKED_FILES[key][0](topic), content, target_folder)
        if interim != final:
            update_cache(topic, None, target_folder, None, None, None, None, **final)
