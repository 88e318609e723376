"""`.cache/NAME.npz` in each topic: arrays with a row for each image, so that no image is worked on twice.

Knows rows, not what they mean: vectors and fingerprints are its callers' business. A row counts only while its image
has the size and time that it had when the row was made. Needs numpy; the files hold no pickles.

    names    uint8    the image names as JSON (any name a file can have), row i belongs to name i
    stamps   int64    (n, 2): size in bytes and mtime_ns
    about    uint8    what made the rows, as JSON
    ...               the caller's own arrays, n rows each
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from tokenize import TokenError
from typing import Any

import numpy as np

from common import cache, json_files, terminal
from common.tree import Stamp, Topic

MAX_NAME_BYTES = (
    2048  # numbers in a row of an array whose layout leaves that open; models have up to 1,280
)
SPARE_BYTES = 10  # times the rows that the images of a topic need: those of deleted ones stay until the next save
CHECKPOINT_SECONDS = 45.0  # seconds between saves of a large topic: what a kill may cost at most

Array = np.ndarray[Any, np.dtype[Any]]

# Name of an array to its dtype and the shape of one row, None standing for any length:
# {"hashes": ("uint64", ()), "thumbnails": ("uint8", (1024,)), "vectors": ("float32", (None,))}
Layout = Mapping[str, tuple[str, tuple[int | None, ...]]]

# All that numpy and zipfile may raise on files that are cut, overwritten or not ours.
UNREADABLE: tuple[type[Exception], ...] = (
    OSError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    EOFError,
)
UNREADABLE += (MemoryError, RuntimeError, SyntaxError, OverflowError, struct.error, TokenError)
UNREADABLE += (zipfile.BadZipFile, zlib.error)


class Sidecar:
    """The rows of one topic. Made by `load`, filled by `add`, kept by `save`; nothing reaches the disk before that."""

    def __init__(self, topic: Topic, name: str, layout: Layout, about: Mapping[str, Any]) -> None:
        self.path = cache.sidecar_path(topic, name)
        self.about = dict(about)
        self._topic = topic
        self._layout = layout
        self._names: list[str] = []
        self._stamps: list[Stamp] = []
        self._row: dict[str, int] = {}  # of each name the last row; an earlier one is stale
        self._blocks: dict[str, list[Array]] = {
            key: [] for key in layout
        }  # joined when they are asked for
        self._on_disk = 0  # rows that the file holds

    def fresh(self, stamps: Mapping[str, Stamp]) -> dict[str, int]:
        """Name to row of the images whose size and time are those of their row, in the order of `stamps`."""
        rows = {name: self._row[name] for name in stamps if name in self._row}
        return {name: row for name, row in rows.items() if self._stamps[row] == stamps[name]}

    def rows(self, names: Sequence[str]) -> dict[str, Array]:
        """Every array with the rows of `names`, in that order; to be read, not changed. Raises KeyError."""
        picked = [self._row[name] for name in names]
        whole = picked == list(range(len(self._names)))
        return {
            key: self._joined(key) if whole else self._joined(key)[picked] for key in self._layout
        }

    def add(self, names: Sequence[str], stamps: Sequence[Stamp], **arrays: Array) -> None:
        """Add rows; one for a name that is there already replaces it."""
        if not names:
            return
        for key, (dtype, _) in self._layout.items():
            block = np.asarray(arrays[key], dtype=dtype)
            if not _fits(block, self._layout[key], len(names)):
                raise ValueError(
                    f"{key}: {block.shape} does not fit {len(names)} rows of {self._layout[key]}"
                )
            self._blocks[key].append(block)
        self._row.update((name, row) for row, name in enumerate(names, start=len(self._names)))
        self._names.extend(names)
        self._stamps.extend(stamps)

    def save(self, stamps: Mapping[str, Stamp] | None = None) -> None:
        """Write the rows of the images that are still as `stamps` says, sorted as it is; the others are dropped.

        Without `stamps` every row is written.

        Rows that the file holds already are not written again where nothing was added or dropped. Atomic; costs one
        pass over the bytes. Raises UserError.
        """
        keep = dict(self._row) if stamps is None else self.fresh(stamps)
        if len(keep) == len(self._names) == self._on_disk:
            return
        names = list(keep)
        kept = self.rows(names)
        self._names, self._stamps = names, [self._stamps[row] for row in keep.values()]
        self._row = {name: row for row, name in enumerate(names)}
        self._blocks = {key: [array] for key, array in kept.items()}
        times = np.array(self._stamps, dtype=np.int64).reshape(-1, 2)
        cache.make_cache_folder(self._topic)
        arrays = {"names": _pack_names(names), "about": _pack_names(self.about), "stamps": times}
        arrays |= kept
        with (
            contextlib.suppress(json_files.FolderGone),
            json_files.atomic_write(self.path, forced=False) as file,
        ):
            np.savez(file, **arrays)  # type: ignore[arg-type]
        self._on_disk = len(names)

    def most(self) -> int:
        """The bytes that a file with a row for each image of the topic may have."""
        each = sum(
            np.dtype(kind).itemsize * math.prod(n or MAX_NAME_BYTES for n in row)
            for kind, row in self._layout.values()
        )
        return SPARE_BYTES * (each + json_files.BYTES_PER_IMAGE) * len(self._topic.images())

    def _joined(self, key: str) -> Array:
        blocks = self._blocks[key]
        if len(blocks) != 1:
            dtype, row = self._layout[key]
            self._blocks[key] = [
                np.concatenate(blocks) if blocks else np.empty((0, *(n or 0 for n in row)), dtype)
            ]
        return self._blocks[key][0]


def load_sidecar(
    topic: Topic,
    name: str,
    layout: Layout,
    about: Mapping[str, Any],
    warn: Callable[[str], None],
    most: Callable[[], int] | None = None,
) -> Sidecar:
    """The topic's rows in `.cache/NAME.npz`, as far as `about` made them; none where there is no such file.

    A file that is damaged, has other arrays, or was made by something else is set aside with a warning. Where rows are
    not images, `most` says how many bytes a large file can have.
    """
    made = Sidecar(topic, name, layout, about)
    if not os.path.exists(made.path):
        return made
    try:
        with json_files.open_regular(made.path) as opened:
            size = os.fstat(opened.fileno()).st_size
            if size > json_files.MIN_SIZE_LIMIT_BYTES and size > (most or made.most)():
                raise ValueError(
                    f"{terminal.format_bytes(size)}, far more than the images of its topic explain"
                )
            with np.load(opened, allow_pickle=False) as file:
                if any(entry.compress_type for entry in file.zip.infolist()):
                    raise ValueError("packed, so of any size")  # ours is not
                _fill(
                    made,
                    {
                        key: file[key]
                        for key in ("names", "stamps", "about", *layout)
                        if key in file
                    },
                )
        return made
    except FileNotFoundError:  # a second run has just set it aside
        return Sidecar(topic, name, layout, about)
    except json_files.Damaged as error:
        reason = error.reason
    except UNREADABLE as error:
        reason = str(error) if isinstance(error, ValueError) else "not a cache of this program"
    json_files.quarantine(made.path, reason, warn)
    return Sidecar(topic, name, layout, about)


def row_extents(
    rows: Sidecar, stamps: Mapping[str, Stamp]
) -> dict[str, tuple[Stamp, cache.Extent]]:
    """Width and height of every image with a row, from the array "extents" (n, 2), as cache.update takes them."""
    names = list(rows.fresh(stamps))
    sizes = rows.rows(names)["extents"].tolist()
    return {
        name: (stamps[name], (width, height))
        for name, (width, height) in zip(names, sizes, strict=True)
    }


def _fill(made: Sidecar, arrays: dict[str, Array]) -> None:
    """Put a file's arrays into an empty sidecar. Raises ValueError where they are not what it expects."""
    names, about, stamps = (
        _unpack_names(arrays.pop("names")),
        _unpack_names(arrays.pop("about")),
        arrays.pop("stamps"),
    )
    if about != json.loads(json.dumps(made.about)):
        raise ValueError(f"made by something else: {json.dumps(about)}")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError("its names are no names")
    if not _fits(stamps, ("int64", (2,)), len(names)):
        raise ValueError("its stamps do not fit its names")
    for key, kind in made._layout.items():
        if key not in arrays or not _fits(arrays[key], kind, len(names)):
            raise ValueError(f"its {key} do not fit its names")
        if arrays[key].dtype.kind == "f" and not np.isfinite(arrays[key]).all():
            raise ValueError(f"its {key} are no numbers")
    made.add(
        names,
        [(size, time) for size, time in stamps.tolist()],
        **{key: arrays[key] for key in made._layout},
    )
    made._on_disk = len(names)


def _fits(array: Array, kind: tuple[str, tuple[int | None, ...]], rows: int) -> bool:
    dtype, row = kind
    lengths_fit = all(
        want in (None, length) for want, length in zip(row, array.shape[1:], strict=False)
    )
    return (
        array.dtype == dtype and array.ndim == 1 + len(row) and len(array) == rows and lengths_fit
    )


def _pack_names(value: object) -> Array:
    return np.frombuffer(json.dumps(value).encode(), dtype=np.uint8)


def _unpack_names(array: Array) -> Any:
    if array.dtype != np.uint8:
        raise ValueError("not a cache of this program")
    return json.loads(array.tobytes())
