"""The images of several topics in one table, so that they can be compared with each other."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence, Set

import numpy as np

from common.clip.sidecar import Sidecar
from common.topics import Stamp
from duplicates.neighbours import Array, PairFilter

REFERENCE_GROUP = -1  # of reference images; topics are numbered from 0


class ImageTable:
    """Rows of several sidecars; row i belongs to names[i]. Memory is allocated once."""

    def __init__(self, arrays: Sequence[str], capacity: int) -> None:
        """`arrays`: which arrays of the sidecars to take. `capacity`: how many rows to expect."""
        self.names: list[str] = []  # paths below the dataset; absolute for reference images
        self._array_names = arrays
        self._capacity = capacity
        self._allocated: dict[str, Array] = {}  # each with room for more rows

    @property
    def rows(self) -> dict[str, Array]:
        """The arrays, one row per name."""
        return {key: self._array(key) for key in self._array_names}

    def add(self, group: int, folder: str, stamps: Mapping[str, Stamp], sidecar: Sidecar) -> None:
        """Add the images that have a row, as paths in `folder`. `group`: their topic's number."""
        names = list(sidecar.valid_rows(stamps))
        if not names:
            return
        rows = sidecar.rows(names)
        for key in self._array_names:
            self._append(key, rows[key])
        self._append("groups", np.full(len(names), group, np.int32))
        self._append("stamps", np.array([stamps[name] for name in names], np.int64))
        self.names += [os.path.join(folder, name) for name in names]

    def _append(self, key: str, block: Array) -> None:
        start = len(self.names)
        stop = start + len(block)
        if key not in self._allocated:
            self._allocated[key] = np.empty((self._capacity, *block.shape[1:]), block.dtype)
        allocated = self._allocated[key]
        if len(allocated) < stop:  # images were added since the tree was walked
            more = np.empty_like(allocated, shape=(len(block), *allocated.shape[1:]))
            allocated = np.concatenate([allocated, more])
            self._allocated[key] = allocated
        allocated[start:stop] = block

    def _array(self, key: str) -> Array:
        return self._allocated[key][: len(self.names)]

    def free_rows(self) -> None:
        """Give back the memory of the arrays; names and stamps stay."""
        for key in self._array_names:
            self._allocated.pop(key, None)

    def pair_filter(self, across: bool) -> PairFilter:
        """Want pairs from different topics if `across`; else only an image and a reference."""
        groups = self._array("groups")

        def are_from_different_groups(first: Array, second: Array) -> Array:
            different: Array = groups[first] != groups[second]
            return different

        def is_one_a_reference(first: Array, second: Array) -> Array:
            different: Array = (groups[first] == REFERENCE_GROUP) != (
                groups[second] == REFERENCE_GROUP
            )
            return different

        return are_from_different_groups if across else is_one_a_reference

    def stamps_of(self, paths: Set[str]) -> dict[str, Stamp]:
        """The stamps of those of the images that are in the table."""
        stamps: dict[str, Stamp] = {}
        for row, name in enumerate(self.names):
            if name in paths:
                file_bytes, mtime_ns = self._allocated["stamps"][row]
                stamps[name] = (int(file_bytes), int(mtime_ns))
        return stamps
