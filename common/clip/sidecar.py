"""`.cache/NAME.npz` in each topic: one row per image, so that no image is processed twice.

Knows rows, not what they mean: vectors and hashes are its callers' business. A row is valid only
while its image has the stamp that it had when the row was made. Needs numpy; holds no pickles.

    names    uint8    the image names as JSON (any name of a file); row i belongs to name i
    stamps   int64    (n, 2): size in bytes and mtime_ns
    about    uint8    what made the rows, as JSON
    digests  uint8    (n, 32): SHA-256 of each image; zeros, or no such array, if it is not known
    ...               the caller's own arrays, n rows each
"""

from __future__ import annotations

import contextlib
import functools
import json
import math
import os
import struct
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from tokenize import TokenError
from typing import Any

import numpy as np

from common import atomic_files, cache, json_files
from common.clip import npz
from common.errors import UserError
from common.topics import FileStatus, Stamp, Topic

MAX_ROW_VALUES = (
    2048  # in a row of an array whose layout allows any length; models have up to 1,280
)
DIGESTS = "digests"
DIGEST_BYTES = 32
NO_DIGEST = bytes(DIGEST_BYTES)
SIZE_TOLERANCE = 10  # times what a topic's images explain: rows of deleted ones stay for a while
CHECKPOINT_SECONDS = 45.0  # between saves of a large topic: a kill loses at most this much work

Array = np.ndarray[Any, np.dtype[Any]]

# Name of an array to its dtype and the shape of one row, where None allows any length:
# {"hashes": ("uint64", ()), "thumbnails": ("uint8", (1024,)), "vectors": ("float32", (None,))}
RowType = tuple[str, tuple[int | None, ...]]
Layout = Mapping[str, RowType]

# All that numpy and zipfile may raise on files that are cut, overwritten or not ours.
WRONG_CONTENT = (ValueError, LookupError, TypeError, AttributeError, SyntaxError, OverflowError)
CUT_FILE = (OSError, EOFError, MemoryError, RuntimeError, struct.error, TokenError)
UNREADABLE = (*WRONG_CONTENT, *CUT_FILE, zipfile.BadZipFile, zlib.error)
RULES = "rules"  # key of `about`: the number of the rules by which rows were decided


class EarlierRules(Exception):
    """A file whose rows were decided by rules of an earlier version."""


class Sidecar:
    """The rows of one topic: read by `load_sidecar`, filled by `add`, written by `save` alone."""

    def __init__(
        self,
        topic: Topic,
        name: str,
        layout: Layout,
        about: Mapping[str, Any],
        may_lack: Set[str] = frozenset(),
    ) -> None:
        """`may_lack`: arrays that files of earlier versions lack. Their rows are zeros then."""
        self.path = cache.sidecar_path(topic, name)
        self.about = dict(about)
        self._topic = topic
        self._layout = layout
        self._may_lack = may_lack
        self._names: list[str] = []
        self._stamps: list[Stamp] = []
        self._row: dict[str, int] = {}  # name to its last row; earlier ones are stale
        self._blocks: dict[str, list[Array]] = {key: [] for key in layout}  # joined when needed
        self._rows_on_disk = 0
        self.new_records: dict[str, cache.FileRecord] = {}  # of images whose rows were added
        self._digests: dict[str, str] = {}  # of images whose rows were read

    def valid_rows(self, stamps: Mapping[str, Stamp]) -> dict[str, int]:
        """Return name to row of the images with the stamp of their row, in order of `stamps`."""
        valid = {}
        for name, stamp in stamps.items():
            row = self._row.get(name)
            if row is not None and self._stamps[row] == stamp:
                valid[name] = row
        return valid

    def rows(self, names: Sequence[str]) -> dict[str, Array]:
        """Return every array with the rows of `names`, in that order. Do not change the arrays.

        Raises KeyError.
        """
        picked = [self._row[name] for name in names]
        if picked == list(range(len(self._names))):
            return {key: self._join_blocks(key) for key in self._layout}
        return {key: self._join_blocks(key)[picked] for key in self._layout}

    def add(self, names: Sequence[str], stamps: Sequence[Stamp], **arrays: Array) -> None:
        """Add rows. A row for a name that has one already replaces it."""
        if not names:
            return
        blocks = {}
        for key, row_type in self._layout.items():
            block = blocks[key] = np.asarray(arrays[key], dtype=row_type[0])
            if not _fits(block, row_type, len(names)):
                raise ValueError(f"{key}: {block.shape} does not fit {len(names)} of {row_type}")
        self._append(names, stamps, blocks)

    def _append(
        self, names: Sequence[str], stamps: Sequence[Stamp], blocks: Mapping[str, Array]
    ) -> None:
        """Add rows whose arrays fit."""
        for key, block in blocks.items():
            self._blocks[key].append(block)
        for row, name in enumerate(names, start=len(self._names)):
            self._row[name] = row
            self._digests.pop(name, None)
        self._names.extend(names)
        self._stamps.extend(stamps)

    def file_records(self) -> dict[str, cache.FileRecord]:
        """Return what the rows say of the images' bytes, for those that no other record knows."""
        records = {}
        for name, digest in self._digests.items():
            stamp = self._stamps[self._row[name]]
            records[name] = cache.FileRecord(digest, stamp, FileStatus(stamp, 0, 0))
        return records

    def _digests_array(self) -> dict[str, Array]:
        """Return the array of digests by its name; none if no digest is known."""
        known = self._digests | {name: row.digest for name, row in self.new_records.items()}
        digests = [bytes.fromhex(known.get(name, "")) or NO_DIGEST for name in self._names]
        if not any(digest != NO_DIGEST for digest in digests):
            return {}
        return {DIGESTS: np.frombuffer(b"".join(digests), np.uint8).reshape(-1, DIGEST_BYTES)}

    def save(self, stamps: Mapping[str, Stamp] | None = None) -> None:
        """Write the rows of the images with these stamps, in that order; drop the others.

        Rows of images that the run does not work on stay. Without `stamps`, every row is written.
        Does nothing if no row was added or dropped since the file was written. Atomic; costs one
        pass over the bytes. Raises UserError.
        """
        valid = dict(self._row) if stamps is None else self.valid_rows(stamps)
        if self._topic.selection:
            valid |= {name: row for name, row in self._row.items() if not self._topic.selects(name)}
        if len(valid) == len(self._names) == self._rows_on_disk:
            return
        names = list(valid)
        arrays = self.rows(names)
        self._names = names
        self._stamps = [self._stamps[row] for row in valid.values()]
        self._row = {name: row for row, name in enumerate(names)}
        self._blocks = {key: [array] for key, array in arrays.items()}
        content = {
            "names": _pack_json(names),
            "about": _pack_json(self.about),
            "stamps": np.array(self._stamps, dtype=np.int64).reshape(-1, 2),
            **self._digests_array(),
            **arrays,
        }
        cache.make_cache_folder(self._topic)
        with (
            contextlib.suppress(atomic_files.FolderGone),
            atomic_files.atomic_write(self.path, survives_power_cut=False) as file,
        ):
            npz.write_arrays(file, content)
        self._rows_on_disk = len(names)

    def fill(self, arrays: dict[str, Array]) -> None:
        """Put a file's arrays into an empty sidecar.

        Raises ValueError if they do not fit, and EarlierRules.
        """
        names = _unpack_json(arrays["names"])
        self._check_about(arrays["about"])
        stamps = arrays["stamps"]
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise ValueError("its names are not names")
        if not _fits(stamps, ("int64", (2,)), len(names)):
            raise ValueError("its stamps do not fit its names")
        for key in self._may_lack - arrays.keys():
            dtype, shape = self._layout[key]
            arrays[key] = np.zeros((len(names), *(length or 0 for length in shape)), dtype)
        for key, row_type in self._layout.items():
            if key not in arrays or not _fits(arrays[key], row_type, len(names)):
                raise ValueError(f"its {key} do not fit its names")
            if arrays[key].dtype.kind == "f" and not np.isfinite(arrays[key]).all():
                raise ValueError(f"its {key} are not finite")
        if names:
            own = {key: arrays[key] for key in self._layout}
            self._append(names, [(size, mtime_ns) for size, mtime_ns in stamps.tolist()], own)
        self._rows_on_disk = len(names)
        if DIGESTS in arrays and _fits(arrays[DIGESTS], ("uint8", (DIGEST_BYTES,)), len(names)):
            digests = map(bytes.hex, map(bytes, arrays[DIGESTS]))
            pairs = zip(names, digests, strict=True)
            self._digests = {name: digest for name, digest in pairs if digest.strip("0")}

    def _check_about(self, packed: Array) -> None:
        """Raise EarlierRules or ValueError if the rows were made by something else."""
        if np.array_equal(packed, _pack_json(self.about)):
            return
        about = _unpack_json(packed)
        if RULES in self.about and about.get(RULES, math.inf) < self.about[RULES]:
            raise EarlierRules
        if about != json.loads(json.dumps(self.about)):
            raise ValueError(f"made by something else: {json.dumps(about)}")

    def max_bytes(self) -> int:
        """Return how large a file with a row for each image of the topic can be."""
        row_bytes = json_files.BYTES_PER_IMAGE
        for dtype, shape in self._layout.values():
            values = math.prod(length or MAX_ROW_VALUES for length in shape)
            row_bytes += np.dtype(dtype).itemsize * values
        return SIZE_TOLERANCE * row_bytes * len(self._topic.all_image_names())

    def _join_blocks(self, key: str) -> Array:
        blocks = self._blocks[key]
        if not blocks:
            dtype, shape = self._layout[key]
            blocks = [np.empty((0, *(length or 0 for length in shape)), dtype)]
        if len(blocks) > 1:
            blocks = [np.concatenate(blocks)]
        self._blocks[key] = blocks
        return blocks[0]


def load_sidecar(
    topic: Topic,
    name: str,
    layout: Layout,
    about: Mapping[str, Any],
    warn: Callable[[str], None],
    max_bytes: Callable[[], int] | None = None,
    may_lack: Set[str] = frozenset(),
) -> Sidecar:
    """Read the topic's rows in `.cache/NAME.npz`; none if there is no such file.

    A file that is damaged, has other arrays, or was made by something else than `about` is set
    aside with a warning; one by earlier rules is replaced when rows are saved. If rows are not
    images, `max_bytes` returns how large a file can be.
    """
    sidecar = Sidecar(topic, name, layout, about, may_lack)
    try:
        with atomic_files.open_regular(sidecar.path) as file:
            size = os.fstat(file.fileno()).st_size
            atomic_files.check_size(sidecar.path, size, max_bytes or sidecar.max_bytes)
            sidecar.fill(npz.read_arrays(file, ("names", "stamps", "about", DIGESTS, *layout)))
        return sidecar
    except (FileNotFoundError, EarlierRules):
        return sidecar
    except atomic_files.Damaged as error:
        reason = error.reason
    except UNREADABLE as error:
        reason = str(error) if isinstance(error, ValueError) else "not a cache of this program"
    atomic_files.quarantine(sidecar.path, reason, warn)
    return Sidecar(topic, name, layout, about, may_lack)


@contextlib.contextmanager
def checkpoints(save: Callable[[], None]) -> Iterator[Callable[[], None]]:
    """Save what a block puts into sidecars: every CHECKPOINT_SECONDS, and if it ends early.

    Yields a function to call after each batch of rows; it calls `save` if that is due.
    """
    last_save = time.monotonic()

    def save_when_due() -> None:
        nonlocal last_save
        if time.monotonic() - last_save >= CHECKPOINT_SECONDS:
            save()
            last_save = time.monotonic()

    try:
        yield save_when_due
    except BaseException:
        with contextlib.suppress(UserError):  # a full disk has been reported already
            save()
        raise


def row_extents(rows: Sidecar, stamps: Mapping[str, Stamp]) -> cache.Extents:
    """Return stamp, width and height of every image with a row.

    The sidecar needs an array "extents" (n, 2).
    """
    names = list(rows.valid_rows(stamps))
    sizes = rows.rows(names)["extents"].tolist()
    extents = {}
    for name, (width, height) in zip(names, sizes, strict=True):
        extents[name] = (stamps[name], (width, height))
    return extents


def _fits(array: Array, row_type: RowType, rows: int) -> bool:
    dtype, shape = row_type
    if array.dtype != _parse_dtype(dtype):
        return False
    if array.shape == (rows, *shape):
        return True
    if array.ndim != 1 + len(shape) or len(array) != rows:
        return False
    return all(want in (None, n) for want, n in zip(shape, array.shape[1:], strict=True))


_parse_dtype = functools.cache(np.dtype)


def _pack_json(value: object) -> Array:
    return np.frombuffer(json.dumps(value).encode(), dtype=np.uint8)


def _unpack_json(array: Array) -> Any:
    if array.dtype != np.uint8:
        raise ValueError("not a cache of this program")
    return json.loads(array.tobytes())
