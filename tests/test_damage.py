"""Damaged images: what is recorded of them, when that is believed, and what a merge does."""

from __future__ import annotations

import errno
import json
import shutil
from pathlib import Path

import pytest
import towers
import zoo
from PIL import AvifImagePlugin
from test_merge_clusters import AT, files, manifest_lines, merge, nonzero_counts, topic, write
from test_unread_content import SOUND_BUT_UNREAD
from zoo import draw_image, encode

import aesthetic_scorer
import find_duplicates
from common import cache, cli
from common.cache import FileRecord
from imaging import damage, decode_errors, image_identity, images

__all__ = ["merge"]  # the fixture
PHOTO = encode(draw_image(3, (320, 240)), "JPEG")
CUT = PHOTO[: len(PHOTO) // 2]


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """A topic with a sound image, and three damaged ones, one of them with a caption."""
    folder = tmp_path / "A" / AT
    write(folder / "sound.jpg", PHOTO)
    write(folder / "cut.jpg", CUT)
    write(folder / "cut.txt", "half an owl")
    write(folder / "empty.png", b"")
    write(folder / "page.jpg", "<html>404</html>")
    return tmp_path / "A"


def search(dataset: Path) -> None:
    assert cli.run_script(find_duplicates.main, [str(dataset), "--quiet"]) == 0


def recorded(dataset: Path) -> set[str]:
    at = topic(dataset / AT)
    statuses = at.image_statuses()
    return set(damage.find_damaged(at.path, statuses, cache.load_cache(at)))


def test_only_wrong_bytes_are_damage(tmp_path: Path) -> None:
    expected = zoo.write_unreadable_files(tmp_path, locked=False)
    for name, (content, _) in SOUND_BUT_UNREAD.items():
        (tmp_path / name).write_bytes(content)
    sound = {*SOUND_BUT_UNREAD, "bomb.png"}
    for name in {*expected, *SOUND_BUT_UNREAD}:
        with pytest.raises(images.Unreadable) as caught:
            images.open_image(str(tmp_path / name))
        assert damage.is_damage(str(caught.value)) == (name not in sound), (name, caught.value)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (PermissionError(errno.EACCES, "no"), False),
        (OSError(errno.EIO, "Input/output error"), False),
        (FileNotFoundError(errno.ENOENT, "gone"), False),
        (MemoryError(), False),
        (OSError("out of memory when reading image file"), False),
        (OSError("decoder jpeg not available"), False),
        (OSError("Unsupported BMP compression (4)"), False),
        (OSError("broken data stream when reading image file"), True),
        (SyntaxError("broken PNG file"), True),
        (EOFError(), True),
    ],
)
def test_which_errors_of_a_decoder_are_damage(tmp_path: Path, error: Exception, expected: bool):
    path = write(tmp_path / "a.jpg", CUT)
    assert damage.is_damage(decode_errors.reason_in_words(str(path), error)) == expected


def test_an_image_whose_decoder_is_missing_is_not_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not AvifImagePlugin.SUPPORTED:
        pytest.skip("this Pillow makes no AVIF")
    path = write(tmp_path / "a.avif", encode(draw_image(1), "AVIF", speed=10))
    monkeypatch.setattr(AvifImagePlugin, "SUPPORTED", False)
    with pytest.warns(UserWarning), pytest.raises(images.Unreadable) as caught:
        images.open_image(str(path))
    assert "AVIF, which this Pillow" in str(caught.value)
    assert not damage.is_damage(str(caught.value))


def test_merge_leaves_out_what_the_search_found_damaged(dataset: Path, merge) -> None:
    search(dataset)
    planned = merge(dataset, "--dry-run")
    result = merge(dataset)
    assert nonzero_counts(result) == {"found": 4, "copied": 1, "unreadable": 3}
    assert result["damaged"] == planned["damaged"] == result["datasets"][0]["damaged"] == 3
    assert result["status"] == 0 and "4 images found = 1 copied + 3 unreadable" in result["talk"]
    lines = {Path(line["source"]).name: line for line in manifest_lines(dataset.parent / "full")}
    assert lines["cut.jpg"]["action"] == "unreadable" and lines["cut.jpg"]["target"] is None
    assert lines["cut.jpg"]["reason"] == "cut short: its end is missing; fetch it again"
    skipped = {
        Path(action["source"]).name
        for action in planned["actions"]
        if action["action"] == "unreadable"
    }
    assert skipped == {"cut.jpg", "empty.png", "page.jpg"}
    assert [Path(each["path"]).name for each in result["left_behind"]] == ["cut.txt"]
    assert [path.name for path in (dataset.parent / "full" / AT).iterdir() if path.is_file()] == [
        "sound.jpg"
    ]
    before = files(dataset.parent / "full")
    merge(dataset)
    assert files(dataset.parent / "full") == before


def test_merge_leaves_out_what_the_scorer_found_damaged(dataset: Path, merge, tower: Path) -> None:
    head = towers.save_head(dataset.parent / "head.pth", 16)
    model = ["--model", f"local-dir:{tower}", "--head", str(head), "--device", "cpu"]
    assert cli.run_script(aesthetic_scorer.main, [str(dataset), *model, "--workers", "0"]) == 0
    assert recorded(dataset) == {"cut.jpg", "empty.png", "page.jpg"}
    assert nonzero_counts(merge(dataset)) == {"found": 4, "copied": 1, "unreadable": 3}


def test_keep_unreadable_brings_damaged_images(dataset: Path, merge) -> None:
    search(dataset)
    merge(dataset)
    result = merge(dataset, "--keep-unreadable")
    assert (result["copied"], result["already_there"], result["damaged"]) == (3, 1, 0)
    assert (dataset.parent / "full" / AT / "cut.txt").read_text() == "half an owl"
    assert merge(dataset)["already_there"] == 4  # what is in the target stays


def test_damage_is_believed_only_of_the_same_bytes(dataset: Path, merge) -> None:
    search(dataset)
    other = dataset.parent / "B"
    shutil.copytree(dataset, other, copy_function=shutil.copyfile)  # with new times
    assert recorded(other) == {"cut.jpg", "empty.png", "page.jpg"}
    write(dataset / AT / "page.jpg", PHOTO)  # fetched again
    write(dataset / AT / "cut.jpg", bytes(reversed(CUT)))  # of the same size and time
    assert recorded(dataset) == {"empty.png"}
    assert nonzero_counts(merge(dataset)) == {
        "found": 4,
        "copied": 3,
        "unreadable": 1,
        "sidecars": 1,
    }


def test_an_image_that_can_be_decoded_now_is_no_longer_recorded(dataset: Path) -> None:
    there = topic(dataset / AT)
    stamps = image_identity.confirm_topic(there)
    reasons = {"sound.jpg": "cut short: by an older decoder", "cut.jpg": "no permission"}
    damage.record_damage(there, stamps, set(stamps), reasons)
    assert recorded(dataset) == {"sound.jpg"}
    search(dataset)
    assert recorded(dataset) == {"cut.jpg", "empty.png", "page.jpg"}


def test_a_second_search_changes_nothing(dataset: Path) -> None:
    search(dataset)
    before = files(dataset)
    search(dataset)
    assert files(dataset) == before


def test_an_image_that_changed_while_it_was_tried_is_not_recorded(dataset: Path) -> None:
    there = topic(dataset / AT)
    stamps = image_identity.confirm_topic(there)
    write(dataset / AT / "cut.jpg", PHOTO)  # the download went on
    damage.record_damage(there, stamps, {"cut.jpg"}, {"cut.jpg": "cut short"})
    assert not recorded(dataset)


def test_records_that_are_not_understood_are_not_believed(dataset: Path) -> None:
    search(dataset)
    path = dataset / AT / ".cache/images.json"
    stored = json.loads(path.read_text())
    digest, *_ = stored["damaged"]["cut.jpg"].split(" ")
    assert len(digest) == 64
    stored["damaged"] |= {"cut.jpg": "x", "page.jpg": digest, "../a.jpg": "", "empty.png": None}
    path.write_text(json.dumps(stored))
    assert not recorded(dataset)
    assert cache.load_cache(topic(dataset / AT)).extents  # the rest is


def test_no_copy_is_dropped_in_favour_of_a_damaged_image(dataset: Path, merge) -> None:
    search(dataset)
    write(dataset / AT / "copy.jpg", PHOTO)
    there = topic(dataset / AT)
    search(dataset)
    stamps = there.image_statuses()
    records = {}
    for name in ("sound.jpg", "copy.jpg"):
        status = stamps[name]
        look = image_identity.look_after(there.path_of(name), status)
        assert look
        records[name] = FileRecord(look.digest, status.stamp, status)
    text = damage.Damage(records["copy.jpg"], "cut short").as_text()
    known = {**cache.load_cache(there).damaged, "copy.jpg": text}
    cache.update_cache(there, damaged=known)
    for options in ((), ("--drop-across",)):
        to = f"full{len(options)}"
        result = merge(dataset, *options, to=to)
        assert nonzero_counts(result) == {"found": 5, "copied": 1, "unreadable": 4}
        assert (dataset.parent / to / AT / "sound.jpg").exists()
