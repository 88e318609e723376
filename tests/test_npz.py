"""Archives of arrays: what numpy reads of ours, and what we read of numpy's."""

from __future__ import annotations

import contextlib
import zipfile
from pathlib import Path

import numpy as np
import pytest

from common.clip import npz
from common.clip.sidecar import UNREADABLE

ARRAYS = {
    "names": np.frombuffer(b'["a.jpg"]', np.uint8),
    "stamps": np.array([[1, -(2**62)], [3, 4]]),
    "vectors": np.linspace(0, 1, 12, dtype=np.float16).reshape(2, 6),
    "precision": np.array(["fp32", "bf16"]),
    "flat": np.array([True, False]),
    "none": np.empty((0, 3), np.int32),
    "one": np.float32(7.5).reshape(()),
}
LARGE = {"vectors": np.zeros(npz.MAX_SMALL_BYTES, np.float32), "flat": np.zeros(2, bool)}


def same(read: dict[str, np.ndarray], wanted: dict[str, np.ndarray]) -> bool:
    assert read.keys() == wanted.keys()
    for key, array in wanted.items():
        assert (read[key].dtype, read[key].shape) == (array.dtype, array.shape)
    return all(np.array_equal(read[key], array) for key, array in wanted.items())


@pytest.mark.parametrize("arrays", [ARRAYS, LARGE, {}])
def test_numpy_reads_what_is_written(tmp_path: Path, arrays: dict[str, np.ndarray]) -> None:
    path = tmp_path / "rows.npz"
    with open(path, "wb") as file:
        npz.write_arrays(file, arrays)
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
    with np.load(path) as read:
        assert same(dict(read), arrays)


@pytest.mark.parametrize("arrays", [ARRAYS, LARGE])
def test_what_numpy_writes_is_read(tmp_path: Path, arrays: dict[str, np.ndarray]) -> None:
    path = tmp_path / "rows.npz"
    np.savez(path, **arrays)
    with open(path, "rb") as file:
        read = npz.read_arrays(file, [*arrays, "missing"])
    assert same(read, arrays)
    assert all(array.flags.writeable for array in read.values())


def test_arrays_in_the_order_of_columns_are_kept(tmp_path: Path) -> None:
    columns = np.asfortranarray(np.arange(6).reshape(2, 3))
    path = tmp_path / "rows.npz"
    for save in (np.savez, npz.write_arrays):
        with open(path, "wb") as file:
            save(file, {"rows": columns}) if save is npz.write_arrays else save(file, rows=columns)
        with open(path, "rb") as file:
            assert np.array_equal(npz.read_arrays(file, ["rows"])["rows"], columns)


def test_a_changed_byte_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "rows.npz"
    with open(path, "wb") as file:
        npz.write_arrays(file, {"rows": np.arange(9)})
    content = bytearray(path.read_bytes())
    content[content.index(np.arange(9).tobytes()) + 8] ^= 1
    path.write_bytes(content)
    with open(path, "rb") as file, pytest.raises(zipfile.BadZipFile):
        npz.read_arrays(file, ["rows"])


def test_packed_arrays_and_objects_are_refused(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "packed.npz", rows=np.arange(9))
    np.savez(tmp_path / "objects.npz", rows=np.array([{}], dtype=object))
    for name in ("packed", "objects"):
        with open(tmp_path / f"{name}.npz", "rb") as file, pytest.raises(ValueError):
            npz.read_arrays(file, ["rows"])


def test_no_damage_gives_other_numbers(tmp_path: Path) -> None:
    """Wherever a byte was changed or the file was cut: an error, or what was written."""
    path = tmp_path / "rows.npz"
    with open(path, "wb") as file:
        npz.write_arrays(file, ARRAYS)
    content = path.read_bytes()
    versions = [content[:end] for end in range(len(content))]
    for position in range(len(content)):
        changed = bytearray(content)
        changed[position] ^= 1
        versions.append(bytes(changed))
    for damaged in versions:
        path.write_bytes(damaged)
        with open(path, "rb") as file, contextlib.suppress(*UNREADABLE):
            read = npz.read_arrays(file, ARRAYS)
            assert same(read, {key: ARRAYS[key] for key in read})
            assert len(damaged) == len(content)
            assert len(read) >= len(ARRAYS) - 1  # one may have another name
