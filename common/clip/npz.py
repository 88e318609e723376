"""Reads and writes `.npz` files: stored zip archives of arrays, as numpy.savez makes them.

A dataset of many small topics has many small files, for which numpy takes three times as long.
"""

from __future__ import annotations

import functools
import io
import os
import struct
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy

Array = np.ndarray[Any, np.dtype[Any]]

MAX_SMALL_BYTES = 1_000_000  # of a file or member: larger ones numpy handles in parts
MAGIC = npy.magic(1, 0)
LENGTH_START, HEADER_START = 8, 10  # of an .npy file of version 1.0
# Of zip (APPNOTE.TXT 4.3): version 2.0, no flags, stored, 1 January 1980; then CRC, sizes, lengths.
ENTRY = struct.Struct("<HHHHHLLLHH")
ENTRY_ATTRIBUTES = struct.Struct("<HHHLL")  # of the central directory; the last is the position
END = struct.Struct("<HHHHLLH")
END_BYTES = 4 + END.size

Member = tuple[int, int, int]  # of an archive: start and end in its bytes, CRC


def write_arrays(file: IO[bytes], arrays: Mapping[str, Array]) -> None:
    """Write arrays by name, uncompressed. None may hold objects."""
    if sum(array.nbytes for array in arrays.values()) > MAX_SMALL_BYTES:
        np.savez(file, **arrays)  # type: ignore[arg-type]
        return
    parts: list[bytes] = []
    directory: list[bytes] = []
    position = 0
    for key, array in arrays.items():
        name = f"{key}.npy".encode()
        content = _npy_header(array.shape, array.dtype) + array.tobytes()
        size = len(content)
        entry = ENTRY.pack(20, 0, 0, 0, 33, zlib.crc32(content), size, size, len(name), 0)
        parts += [b"PK\3\4", entry, name, content]
        attributes = ENTRY_ATTRIBUTES.pack(0, 0, 0, 0, position)
        directory += [b"PK\1\2", struct.pack("<H", 20), entry, attributes, name]
        position += 4 + ENTRY.size + len(name) + size
    central = b"".join(directory)
    count = len(arrays)
    end = END.pack(0, 0, count, count, len(central), position, 0)
    file.write(b"".join([*parts, central, b"PK\5\6", end]))


def read_arrays(file: IO[bytes], keys: Iterable[str]) -> dict[str, Array]:
    """Read those of the arrays that the file has.

    Raises ValueError for a compressed file and for objects, and whatever zipfile raises.
    """
    if os.fstat(file.fileno()).st_size <= MAX_SMALL_BYTES:
        content = file.read()
        members = _find_members(content)
        if members is not None:
            return _parse_members(content, members, keys)
    arrays: dict[str, Array] = {}
    with zipfile.ZipFile(file) as archive:
        entries = {entry.filename: entry for entry in archive.infolist()}
        if any(entry.compress_type for entry in entries.values()):
            raise ValueError("packed, so of any size")  # ours is not
        for key in keys:
            entry = entries.get(f"{key}.npy")
            if entry and entry.file_size > MAX_SMALL_BYTES:
                with archive.open(entry) as member:
                    arrays[key] = npy.read_array(member, allow_pickle=False)
            elif entry:
                arrays[key] = _parse_array(archive.read(entry))
    return arrays


def _find_members(content: bytes) -> dict[bytes, Member] | None:
    """Find the members of a small archive, as write_arrays() makes it. None for any other."""
    if content[-END_BYTES : -END.size] != b"PK\5\6":
        return None
    _, _, count, _, length, directory, _ = END.unpack(content[-END.size :])
    members: dict[bytes, Member] = {}
    position = 0
    while content.startswith(b"PK\3\4", position):
        entry = ENTRY.unpack_from(content, position + 4)
        _, flags, method, _, _, crc, size, whole_size, name_bytes, extra_bytes = entry
        if flags or method or extra_bytes or size != whole_size:
            return None
        name_start = position + 4 + ENTRY.size
        start = name_start + name_bytes
        position = start + size
        members[content[name_start:start]] = start, position, crc
    is_whole = position == directory and directory + length == len(content) - END_BYTES
    return members if is_whole and len(members) == count else None


def _parse_members(
    content: bytes, members: Mapping[bytes, Member], keys: Iterable[str]
) -> dict[str, Array]:
    """Parse those of the arrays that there are. Raises BadZipFile if bytes were changed."""
    arrays = {}
    for key in keys:
        if member := members.get(f"{key}.npy".encode()):
            start, end, crc = member
            array = content[start:end]
            if zlib.crc32(array) != crc:
                raise zipfile.BadZipFile(f"Bad CRC-32 for file '{key}.npy'")
            arrays[key] = _parse_array(array)
    return arrays


@functools.lru_cache(maxsize=256)
def _npy_header(shape: tuple[int, ...], dtype: np.dtype[Any]) -> bytes:
    header = io.BytesIO()
    fields = {"descr": npy.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    npy.write_array_header_1_0(header, fields)
    return header.getvalue()


def _parse_array(content: bytes) -> Array:
    if not content.startswith(MAGIC):
        return npy.read_array(io.BytesIO(content), allow_pickle=False)
    start = HEADER_START + int.from_bytes(content[LENGTH_START:HEADER_START], "little")
    shape, is_fortran, dtype = _parse_header(content[LENGTH_START:start])
    if dtype.hasobject:
        raise ValueError("Object arrays cannot be loaded when allow_pickle=False")
    values = np.frombuffer(bytearray(content), dtype, offset=start)  # can be written to
    return values.reshape(shape, order="F" if is_fortran else "C")


@functools.lru_cache(maxsize=256)
def _parse_header(header: bytes) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    return npy.read_array_header_1_0(io.BytesIO(header))
