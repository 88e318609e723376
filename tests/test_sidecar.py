"""Rows that outlive a run: round trips, staleness, replaced rows, damaged and foreign files."""

from __future__ import annotations

import os
import random
from pathlib import Path

import numpy as np
import pytest

from common.cache import FileRecord
from common.clip import sidecar
from common.errors import UserError
from common.topics import FileStatus, Topic

LAYOUT = {"hashes": ("uint64", ()), "vectors": ("float32", (None,)), "extents": ("int32", (2,))}
ABOUT = {"model": "small", "weights": "sha256:0"}
NAMES = ["a.jpg", "b\udcff.jpg", "新.png", "new\nline.png"]
STAMPS = {name: (100 + place, 10**18 + place) for place, name in enumerate(NAMES)}


def arrays(count: int, start: int = 0) -> dict[str, np.ndarray]:
    rows = np.arange(start, start + count)
    vectors = np.repeat(rows[:, None], 3, axis=1).astype(np.float32)
    return {
        "hashes": rows.astype(np.uint64),
        "vectors": vectors,
        "extents": np.stack([rows, rows], 1).astype(np.int32),
    }


@pytest.fixture
def topic(tmp_path: Path) -> Topic:
    return Topic(str(tmp_path), "D", "C", "S", "T", image_count=0)


def load(
    topic: Topic, about: dict[str, str] = ABOUT, warn=lambda message: pytest.fail(message)
) -> sidecar.Sidecar:
    return sidecar.load_sidecar(topic, "vectors", LAYOUT, about, warn)


@pytest.fixture
def saved(topic: Topic) -> sidecar.Sidecar:
    made = load(topic)
    made.add(NAMES[:2], [STAMPS[name] for name in NAMES[:2]], **arrays(2))
    made.add(NAMES[2:], [STAMPS[name] for name in NAMES[2:]], **arrays(2, 2))
    made.save(STAMPS)
    return made


def hashes(rows: sidecar.Sidecar, names: list[str]) -> list[int]:
    return rows.rows(names)["hashes"].tolist()


def test_what_is_saved_is_loaded(topic: Topic, saved: sidecar.Sidecar) -> None:
    for rows in (saved, load(topic)):
        assert list(rows.valid_rows(STAMPS)) == NAMES
        assert hashes(rows, NAMES) == [0, 1, 2, 3]
        assert hashes(rows, NAMES[::-1]) == [3, 2, 1, 0]
        assert rows.rows([NAMES[2]])["vectors"].tolist() == [[2.0, 2.0, 2.0]]
        assert rows.rows([])["vectors"].shape[0] == 0


def test_a_missing_file_is_empty(topic: Topic) -> None:
    rows = load(topic)
    assert rows.valid_rows(STAMPS) == {} and rows.rows([])["hashes"].shape == (0,)
    with pytest.raises(KeyError):
        rows.rows(["a.jpg"])


def test_a_row_counts_only_while_size_and_time_are_the_same(
    topic: Topic, saved: sidecar.Sidecar
) -> None:
    for changed in ((1, STAMPS["a.jpg"][1]), (STAMPS["a.jpg"][0], 1)):
        assert list(load(topic).valid_rows({**STAMPS, "a.jpg": changed})) == NAMES[1:]


def test_a_new_row_replaces_an_old_one_and_what_is_gone_is_dropped(
    topic: Topic, saved: sidecar.Sidecar
) -> None:
    now = {name: STAMPS[name] for name in NAMES[1:]} | {"a.jpg": (5, 5)}
    saved.add(["a.jpg"], [(5, 5)], **arrays(1, 9))
    del now[NAMES[3]]
    assert hashes(saved, ["a.jpg"]) == [9]
    saved.save(now)
    for rows in (saved, load(topic)):
        assert sorted(rows.valid_rows({**STAMPS, **now})) == sorted(now)
        assert hashes(rows, list(now)) == [1, 2, 9]


def test_save_without_stamps_keeps_every_row(topic: Topic, saved: sidecar.Sidecar) -> None:
    saved.add(["a.jpg", "more.jpg"], [(5, 5), (6, 6)], **arrays(2, 8))
    saved.save()
    now = {**STAMPS, "a.jpg": (5, 5), "more.jpg": (6, 6)}
    for rows in (saved, load(topic)):
        assert sorted(rows.valid_rows(now)) == sorted(now)
        assert hashes(rows, list(now)) == [8, 1, 2, 3, 9]


def test_checkpoints_add_up(topic: Topic) -> None:
    rows = load(topic)
    for place, name in enumerate(NAMES):
        rows.add([name], [STAMPS[name]], **arrays(1, place))
        rows.save(STAMPS)
        assert list(load(topic).valid_rows(STAMPS)) == NAMES[: place + 1]
    assert hashes(load(topic), NAMES) == [0, 1, 2, 3]


def test_the_file_is_the_same_however_it_came_about(topic: Topic, saved: sidecar.Sidecar) -> None:
    content = Path(saved.path).read_bytes()
    os.unlink(saved.path)
    other = load(topic)
    for place in (3, 1, 0, 2):
        other.add([NAMES[place]], [STAMPS[NAMES[place]]], **arrays(1, place))
    other.save(STAMPS)
    assert Path(saved.path).read_bytes() == content


def test_save_without_changes_writes_nothing(topic: Topic, saved: sidecar.Sidecar) -> None:
    before = os.stat(saved.path)
    saved.save(STAMPS)
    load(topic).save(STAMPS)
    assert os.stat(saved.path) == before


def test_a_topic_without_rows_makes_no_file(topic: Topic) -> None:
    load(topic).save(STAMPS)
    assert os.listdir(topic.path) == []


def test_an_empty_file_can_grow(topic: Topic, saved: sidecar.Sidecar) -> None:
    saved.save({})
    rows = load(topic)
    assert rows.valid_rows(STAMPS) == {}
    rows.add(["a.jpg"], [STAMPS["a.jpg"]], **arrays(1, 4))
    rows.save(STAMPS)
    assert hashes(load(topic), ["a.jpg"]) == [4]


@pytest.mark.parametrize(
    "wrong",
    [
        {"hashes": np.zeros(3, np.uint64)},
        {"vectors": np.zeros(1, np.float32)},
        {"extents": np.zeros((1, 3), np.int32)},
    ],
)
def test_rows_of_a_wrong_shape_raise_an_error(topic: Topic, wrong: dict[str, np.ndarray]) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        load(topic).add(["a.jpg"], [(1, 1)], **{**arrays(1), **wrong})


def put(path: str, **changes) -> None:
    """Rewrite a sidecar with some arrays replaced, or left out where None."""
    with np.load(path) as file:
        content = {**{key: file[key] for key in file.files}, **changes}
    np.savez(path, **{key: value for key, value in content.items() if value is not None})


FOREIGN = {
    "hashes of another length": {"hashes": np.zeros(3, np.uint64)},
    "hashes of another type": {"hashes": np.zeros(4, np.int64)},
    "no hashes": {"hashes": None},
    "no names": {"names": None},
    "names that are no JSON": {"names": np.zeros(4, np.uint8)},
    "names that are numbers": {"names": np.frombuffer(b"[1, 2, 3, 4]", np.uint8)},
    "stamps of another shape": {"stamps": np.zeros((4, 3), np.int64)},
    "extents of another shape": {"extents": np.zeros((4, 3), np.int32)},
    "vectors that are no numbers": {"vectors": np.full((4, 3), np.nan, np.float32)},
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_a_foreign_file_is_set_aside(topic: Topic, saved: sidecar.Sidecar, kind: str) -> None:
    put(saved.path, **FOREIGN[kind])
    warnings: list[str] = []
    assert load(topic, warn=warnings.append).valid_rows(STAMPS) == {}
    assert len(warnings) == 1 and "vectors.npz" in warnings[0]
    assert os.listdir(os.path.dirname(saved.path)) == ["vectors.npz.corrupt"]
    assert load(topic).valid_rows(STAMPS) == {}  # and says nothing more


def test_rows_of_another_model_are_set_aside(topic: Topic, saved: sidecar.Sidecar) -> None:
    warnings: list[str] = []
    assert load(topic, {**ABOUT, "weights": "sha256:1"}, warnings.append).valid_rows(STAMPS) == {}
    assert "sha256:0" in warnings[0]


def test_pickles_are_not_run(topic: Topic, saved: sidecar.Sidecar) -> None:
    put(saved.path, hashes=np.array([print] * 4, dtype=object))
    warnings: list[str] = []
    assert load(topic, warn=warnings.append).valid_rows(STAMPS) == {} and len(warnings) == 1


def test_any_damage_gives_the_right_rows_or_none(topic: Topic, saved: sidecar.Sidecar) -> None:
    good, rng = Path(saved.path).read_bytes(), random.Random(0)
    for turn in range(300):
        broken = bytearray(good)
        if turn % 3 == 0:
            del broken[rng.randrange(len(good)) :]
        elif turn % 3 == 1:
            for _ in range(rng.randrange(1, 5)):
                broken[rng.randrange(len(good))] = rng.randrange(256)
        else:
            start = rng.randrange(len(good))
            del broken[start : rng.randrange(start, len(good))]
        Path(saved.path).write_bytes(broken)
        warnings: list[str] = []
        rows = load(topic, warn=warnings.append)
        if rows.valid_rows(STAMPS):
            assert hashes(rows, NAMES) == [0, 1, 2, 3]
        else:
            assert len(warnings) == 1
        for name in os.listdir(os.path.dirname(saved.path)):
            os.unlink(os.path.join(os.path.dirname(saved.path), name))


def test_rows_are_saved_when_that_is_due_and_when_the_work_ends_early(
    topic: Topic, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = load(topic)

    def add_row(number: int) -> None:
        rows.add(NAMES[number : number + 1], [STAMPS[NAMES[number]]], **arrays(1, number))

    def names_on_disk() -> list[str]:
        return list(load(topic).valid_rows(STAMPS))

    with pytest.raises(KeyboardInterrupt), sidecar.checkpoints(rows.save) as save_when_due:
        add_row(0)
        save_when_due()
        assert names_on_disk() == []  # not due yet
        monkeypatch.setattr(sidecar, "CHECKPOINT_SECONDS", 0.0)
        save_when_due()
        assert names_on_disk() == NAMES[:1]
        add_row(1)
        raise KeyboardInterrupt
    assert names_on_disk() == NAMES[:2]


def test_a_save_that_fails_does_not_hide_why_the_work_ended(topic: Topic) -> None:
    def fail() -> None:
        raise UserError("the disk is full")

    with pytest.raises(KeyboardInterrupt), sidecar.checkpoints(fail):
        raise KeyboardInterrupt


def test_digests_lie_beside_the_rows_and_fall_with_them(topic: Topic) -> None:
    made = load(topic)
    made.add(NAMES[:2], [STAMPS[name] for name in NAMES[:2]], **arrays(2))
    status = FileStatus(STAMPS[NAMES[0]], 5, 6)
    made.new_records[NAMES[0]] = FileRecord("ab" * 32, STAMPS[NAMES[0]], status)
    made.save()
    rows = load(topic)
    [(name, record)] = rows.file_records().items()
    assert (name, record.digest, record.stamp) == (NAMES[0], "ab" * 32, STAMPS[NAMES[0]])
    assert record.is_of(status)
    with np.load(made.path) as file:
        assert file["digests"].shape == (2, 32) and not file["digests"][1].any()
    rows.add(NAMES[:1], [(7, 7)], **arrays(1))
    assert rows.file_records() == {}
    rows.save()
    assert load(topic).file_records() == {}


def test_rows_without_digests_are_read_as_they_are(topic: Topic, saved: sidecar.Sidecar) -> None:
    with np.load(saved.path) as file:
        assert "digests" not in file
    assert load(topic).file_records() == {}
