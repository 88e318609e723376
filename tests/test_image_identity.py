"""An image is unchanged if its bytes are, whatever its time: records, rows and results go by that.

Counts which image files are opened; decodes and scores are real.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

import aesthetic_scorer
import duplicates_stats
import find_duplicates
import merge_clusters
from common import cache
from common.topics import Topic
from duplicates import hash_rows
from imaging import image_identity, jpeg_stream

NAMES = ("a.png", "b.png", "c.png", "d.png")
LATER_NS = 1_900_000_000_000_000_000

opened: list[str] = []
sys.addaudithook(lambda event, args: opened.append(str(args[0])) if event == "open" else None)


def run(script, *args: object, status: int = 0) -> set[str]:
    """Run a script; return the names of the images that it opened."""
    opened.clear()
    assert script.main([*map(str, args), "--quiet"]) == status
    return {os.path.basename(path) for path in opened if path.endswith(".png")}


def score(folder: Path) -> set[str]:
    return run(aesthetic_scorer, folder, "--model", "tiny", "--workers", 0)


def search(folder: Path) -> set[str]:
    return run(find_duplicates, folder, "--workers", 0)


def topic_in(dataset: Path) -> Topic:
    return Topic(str(dataset / "C/S/T"), dataset.name, "C", "S", "T", 5)


@pytest.fixture
def dataset(make_topic: Callable[..., Path], tmp_path: Path) -> Path:
    """A scored and searched dataset of four images and a copy of one."""
    folder = make_topic("DS/C/S/T", *NAMES)
    shutil.copy(folder / "a.png", folder / "copy.png")
    assert score(tmp_path / "DS") == {*NAMES, "copy.png"}
    assert search(tmp_path / "DS") == {*NAMES, "copy.png"}  # of the copy, its traits
    return tmp_path / "DS"


def copy_tree(dataset: Path, name: str = "Copy") -> Path:
    """Copy a dataset as `cp -r` does: without times."""
    return shutil.copytree(dataset, dataset.parent / name, copy_function=shutil.copyfile)


def results_of(dataset: Path) -> dict[str, bytes]:
    files = [dataset / "C/S/T/aesthetic_data.json", dataset / "C/S/duplicates_T.json"]
    return {file.name: file.read_bytes() for file in files}


def test_a_copy_without_times_is_digested_once_and_not_worked_on(dataset, capsys):
    copy = copy_tree(dataset)
    before = results_of(copy)
    digested = score(copy)
    assert digested == {*NAMES, "copy.png"}
    capsys.readouterr()
    aesthetic_scorer.main([str(copy), "--model", "tiny", "--json", "--quiet"])
    assert json.loads(capsys.readouterr().out)["already_scored"] == 5
    for script in (score, search, score):
        assert script(copy) == set()
    assert results_of(copy) == before


def test_scripts_that_only_read_digest_only_images_with_a_match(dataset, capsys):
    copy = copy_tree(dataset)
    assert run(duplicates_stats, copy) == {"a.png", "copy.png"}
    capsys.readouterr()
    duplicates_stats.main([str(copy), "--json", "--quiet"])
    assert json.loads(capsys.readouterr().out)["redundant_images"] == 1


def test_a_merge_of_a_copied_tree_leaves_out_the_same_images(dataset):
    copy = copy_tree(dataset)
    for source in (dataset, copy):
        run(merge_clusters, source, "--output", dataset.parent / f"full{source.name}")
    left = [sorted(os.listdir(dataset.parent / f"full{name}/C/S/T")) for name in ("DS", "Copy")]
    assert left[0] == left[1] and "copy.png" not in left[0] and "a.png" in left[0]


def test_a_copy_of_a_merged_tree_keeps_its_scores(dataset):
    full = dataset.parent / "full"
    run(merge_clusters, copy_tree(dataset), "--output", full)
    again = copy_tree(full, "again")
    assert score(again) == set(NAMES)  # digests only: its scores stay
    assert score(again) == set()


def test_other_bytes_of_the_same_size_and_time_are_another_image(dataset):
    folder = dataset / "C/S/T"
    status = (folder / "copy.png").stat()
    other = (folder / "b.png").read_bytes()
    other = other[: status.st_size] + b"\0" * (status.st_size - len(other))
    (folder / "new").write_bytes(other)
    os.utime(folder / "new", ns=(status.st_atime_ns, status.st_mtime_ns))
    os.replace(folder / "new", folder / "copy.png")
    assert run(merge_clusters, dataset, "--output", dataset.parent / "full") >= {"copy.png"}
    assert (dataset.parent / "full/C/S/T/copy.png").read_bytes() == other
    stamps = image_identity.confirm_topic(topic_in(dataset))
    assert stamps["copy.png"] != stamps.statuses["copy.png"].stamp
    assert search(dataset) >= {"copy.png"} and score(dataset) >= {"copy.png"}
    assert search(dataset) == score(dataset) == set()


def test_a_link_or_new_permissions_cost_one_look(dataset):
    os.link(dataset / "C/S/T/c.png", dataset.parent / "elsewhere.png")
    (dataset / "C/S/T/d.png").chmod(0o600)
    assert score(dataset) == {"c.png", "d.png"}
    assert search(dataset) == score(dataset) == set()


def test_a_tree_of_an_earlier_version_is_used_as_it_is(dataset):
    path = Path(cache.images_json_path(topic_in(dataset)))
    content = json.loads(path.read_text())
    assert sorted(content.pop("files")) == sorted([*NAMES, "copy.png"])
    path.write_text(json.dumps(content))
    assert score(dataset) == set()
    assert search(dataset) == {
        "a.png",
        "copy.png",
    }  # compared, because nothing says that they are equal
    assert search(dataset) == set()
    os.utime(dataset / "C/S/T/a.png", ns=(LATER_NS, LATER_NS))
    assert score(dataset) >= {"a.png"}  # scored again, and recorded now
    assert list(json.loads(path.read_text())["files"]) == ["a.png"]
    os.utime(dataset / "C/S/T/a.png", ns=(LATER_NS + 1, LATER_NS + 1))
    before = results_of(dataset)
    score(dataset)
    assert results_of(dataset) == before and score(dataset) == set()


def test_a_read_only_tree_is_confirmed_in_each_run(dataset):
    stamps = image_identity.stamps_as_recorded(topic_in(dataset), {})
    assert stamps.unconfirmed == {}
    copy = copy_tree(dataset)
    known = cache.load_cache(topic_in(copy)).files
    stamps = image_identity.stamps_as_recorded(topic_in(copy), known)
    assert stamps.unconfirmed.keys() == {*NAMES, "copy.png"}
    stamps.confirm(["a.png"])
    assert stamps.unconfirmed.keys() == {"b.png", "c.png", "d.png", "copy.png"}
    assert dict(stamps) == dict(image_identity.stamps_as_recorded(topic_in(dataset), known))


def test_rows_know_the_bytes_of_their_images_without_the_json_cache(dataset, monkeypatch):
    copy = copy_tree(dataset)
    Path(cache.images_json_path(topic_in(copy))).unlink()
    decoded = []
    monkeypatch.setattr(hash_rows.images, "open_image", lambda *args, **_: decoded.append(args))
    assert search(copy) == {*NAMES, "copy.png"}  # for their digests
    assert decoded == [] and search(copy) == set()
    assert results_of(copy)["duplicates_T.json"] == results_of(dataset)["duplicates_T.json"]


def test_a_small_jpeg_is_opened_once_for_its_pixels_and_its_digest(tmp_path):
    path = tmp_path / "DS/C/S/T/a.jpg"
    path.parent.mkdir(parents=True)
    Image.effect_noise((64, 48), 60).save(path)
    run(aesthetic_scorer, tmp_path / "DS", "--model", "tiny", "--workers", 0)
    assert opened.count(str(path)) == 1
    run(find_duplicates, tmp_path / "DS", "--workers", 0)
    assert opened.count(str(path)) == 1
    stored = cache.load_cache(topic_in(tmp_path / "DS")).files["a.jpg"]
    assert stored.digest == hashlib.sha256(path.read_bytes()).hexdigest()


JPEG = jpeg_stream.START + b"content"


@pytest.mark.parametrize("limit", [0, 1 << 20])
def test_a_look_has_the_digest_of_what_was_read_and_none_of_a_changed_file(
    tmp_path, monkeypatch, limit
):
    monkeypatch.setattr(image_identity, "MAX_SMALL_JPEG_BYTES", limit)
    path = tmp_path / "a.jpg"
    path.write_bytes(JPEG)
    content, before = image_identity.read_small_jpeg(str(path))
    assert content == (JPEG if limit else None)
    look = image_identity.look_after(str(path), before, content)
    assert look and look.digest == hashlib.sha256(JPEG).hexdigest()
    assert look.status == image_identity.look_before(str(path)) == before
    if not limit:
        path.write_bytes(b"others")
        assert image_identity.look_after(str(path), before) is None


def test_a_file_that_changes_while_it_is_read_has_no_bytes(tmp_path, monkeypatch):
    path = tmp_path / "a.jpg"
    path.write_bytes(JPEG)
    read = os.read

    def write_meanwhile(descriptor: int, count: int) -> bytes:
        part = read(descriptor, count)
        path.write_bytes(JPEG.upper())
        os.utime(path, ns=(LATER_NS, LATER_NS))
        return part

    monkeypatch.setattr(os, "read", write_meanwhile)
    content, before = image_identity.read_small_jpeg(str(path))
    assert content is None and before
    assert image_identity.look_after(str(path), before) is None
    assert image_identity.read_small_jpeg(str(tmp_path / "gone.jpg")) == (None, None)


def test_what_is_decoded_from_its_path_has_no_look_if_it_changes(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(b"content")
    content, before = image_identity.read_small_jpeg(str(path))
    assert content is None
    path.write_bytes(b"others")
    assert image_identity.look_after(str(path), before, content) is None
