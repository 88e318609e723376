"""Tells from the data of a JPEG whether it was cut, although an end marker follows the cut.

libjpeg takes an end marker in the middle for the end, and fills the rest with grey.
"""

from __future__ import annotations

import os

START = b"\xff\xd8\xff"
END = b"\xff\xd9"
SCAN_START = b"\xff\xda"
TAIL_BYTES = 1 << 20  # read at a time from the end of a file
LAST_COEFFICIENT = 63
FILL_LEVEL = 128  # what libjpeg fills in for missing blocks, in every channel


def split_at_end(content: bytes) -> bytes:
    """Return the content up to the end marker that a decoder meets first, without it.

    In the data of a scan, 0xFF is followed by a zero or a marker, so that this finds no other.
    """
    position = first_scan(content)
    end = content.find(END, position) if position >= 0 else -1
    return content[:end] if end >= 0 else content


def first_scan(content: bytes) -> int:
    """Return where the first scan starts, or -1."""
    position = 2
    while position + 4 <= len(content) and content[position] == 0xFF:
        if content[position : position + 2] == SCAN_START:
            return position
        position += 2 + int.from_bytes(content[position + 2 : position + 4])
    return -1


def lacks_scans(content: bytes) -> bool:
    """Tell whether a progressive JPEG ends before all coefficients have all their bits."""
    missing: dict[int, set[int]] = {}
    position = first_scan(content)
    end = content.find(END, position)
    while position >= 0:
        count = content[position + 4]
        header = content[position + 5 : position + 8 + 2 * count]
        first, last, bits = header[2 * count : 2 * count + 3]
        for component in header[: 2 * count : 2]:
            coefficients = missing.setdefault(component, set(range(LAST_COEFFICIENT + 1)))
            if bits & 15 == 0:  # no bits are left for a later scan
                coefficients.difference_update(range(first, last + 1))
        position = content.find(SCAN_START, position + 2, end)
    return any(missing.values())


def read_without_padding(path: str) -> bytes:
    """Read a file without the zeros at its end, which may be a gigabyte of them, but for one.

    One zero may belong to the pixels. Raises OSError.
    """
    with open(path, "rb") as file:
        end = os.fstat(file.fileno()).st_size
        tail = b""
        while end and not tail:
            start = max(0, end - TAIL_BYTES)
            tail = os.pread(file.fileno(), end - start, start).rstrip(b"\0")
            end = start
        return file.read(end + len(tail) + 1)


def cut_padding(content: bytes) -> bytes:
    """Return bytes without the zeros at their end, but for one, as read_without_padding does."""
    return content[: len(content.rstrip(b"\0")) + 1]
