"""A merge and an export change nothing that is not provably theirs, and follow no link."""

from __future__ import annotations

import contextlib
import errno
import importlib
import io
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import run_script
from test_export import lines, make_scored_topic, places, run_split
from test_merge_clusters import files_with_stamps, write

import merge_clusters
from common import cli
from common.target_folder import TargetFolder, check_place

Export = Callable[..., dict]


@pytest.fixture
def export(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Export:
    """Export into tmp_path/ready. Returns the JSON."""
    monkeypatch.chdir(tmp_path)

    def run(*args: object, status: int = 0) -> dict:
        return run_split(*args, "--export", "ready", status=status)

    return run


def run_merge(*args: object) -> tuple[int, str]:
    """Merge. Returns the exit status, and what was printed to stderr."""
    err = io.StringIO()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(err):
        status = cli.run_script(merge_clusters.main, list(map(str, args)))
    return status, err.getvalue()


# Links below a target


@pytest.mark.parametrize("mode", ["hardlink", "copy"])
def test_export_through_a_linked_folder_is_refused(
    export: Export, tmp_path: Path, mode: str
) -> None:
    topic = make_scored_topic(tmp_path / "DS/C/S/T", "a.png", "b.png", captions={"a.txt": "a"})
    export("DS", "--mode", mode)
    shutil.rmtree(tmp_path / "ready/train/C/S/T")
    (tmp_path / "ready/train/C/S/T").symlink_to(topic)
    before = files_with_stamps(tmp_path)
    data = export("DS", "--mode", mode, "--train", 1, "--valid", 0, status=2)
    assert "ready/train/C/S/T: a link where a folder" in data["talk"]
    assert files_with_stamps(tmp_path) == before


@pytest.mark.parametrize("mode", ["hardlink", "copy", "symlink"])
def test_folder_swapped_during_an_export_changes_nothing_behind_the_link(
    export: Export, tmp_path: Path, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = make_scored_topic(tmp_path / "DS/C/S/T", "a.png", "b.png", "c.png")
    export("DS", "--mode", mode)
    before = files_with_stamps(tmp_path / "DS")
    remove_file = TargetFolder.remove_file

    def swap_then_remove(folder: TargetFolder, *args: object) -> bool:
        place = tmp_path / "ready/train/C/S/T"
        if not place.is_symlink():
            place.rename(tmp_path / "aside")
            place.symlink_to(topic)
        return remove_file(folder, *args)

    monkeypatch.setattr(TargetFolder, "remove_file", swap_then_remove)
    data = export("DS", "--mode", mode, "--train", 1, "--valid", 0, status=2)
    assert "a link where a folder" in data["talk"]
    assert files_with_stamps(tmp_path / "DS") == before


@pytest.mark.parametrize(
    "place", [".merge_unfinished", "C", "C/S/T", "C/S/T/.cache", "decisions.json"]
)
def test_merge_through_a_link_is_refused(tmp_path: Path, place: str) -> None:
    write(tmp_path / "A/C/S/T/a.jpg", "a")
    write(tmp_path / "B/C/S/T/b.jpg", "b")
    assert run_merge(tmp_path / "A", "--output", tmp_path / "full")[0] == 0
    link = tmp_path / "full" / place
    if link.is_dir():
        shutil.rmtree(link)
    other = tmp_path / "other"
    for name in ("0", "1", "lock", "images.json", "S/T/a.jpg", "a.jpg"):
        write(other / name, "mine")
    link.symlink_to(other if place != "decisions.json" else other / "0")
    before = files_with_stamps(tmp_path)
    status, said = run_merge(tmp_path / "A", tmp_path / "B", "--output", tmp_path / "full")
    assert status == 2 and f"full/{place}: a link where" in said
    assert files_with_stamps(tmp_path) == before


@pytest.mark.parametrize("name", ["thesis.txt", "0", "12"])
def test_foreign_files_in_the_staging_folder_stay(tmp_path: Path, name: str) -> None:
    write(tmp_path / "A/C/S/T/a.jpg", "a")
    write(tmp_path / "full/.merge_unfinished" / name, "mine")
    assert run_merge(tmp_path / "A", "--output", tmp_path / "full")[0] == 0
    assert (tmp_path / "full/.merge_unfinished" / name).read_text() == "mine"
    assert os.listdir(tmp_path / "full/.merge_unfinished") == [name]


def test_entry_of_a_source_is_never_removed(tmp_path: Path) -> None:
    write(tmp_path / "a.jpg", "a")
    with TargetFolder(str(tmp_path), "--export") as folder:
        status = folder.status("a.jpg")
        assert status and not folder.remove_file("a.jpg", str(tmp_path / "a.jpg"), status)
        assert (tmp_path / "a.jpg").exists()
        assert folder.remove_file("a.jpg", str(tmp_path / "b.jpg"), status)
        assert not (tmp_path / "a.jpg").exists()


# Manifests


@pytest.mark.parametrize(
    "place", ["", "/etc/passwd", "../a", "a/../b", "a//b", "./a", "a/", "a\0b", "\ud800", 7, None]
)
def test_places_that_lead_out_of_the_folder_are_refused(place: object) -> None:
    with pytest.raises((ValueError, TypeError)):
        check_place(place)


FORGED_LINES = [
    {"place": "../docs/thesis.txt", "source": "{docs}/thesis.txt"},
    {"place": "{docs}/thesis.txt", "source": "{docs}/thesis.txt"},
    {"place": "train/../../docs/thesis.txt", "source": "{docs}/thesis.txt"},
    {"place": "notes.txt", "source": "{docs}/thesis.txt"},
    {"place": "train/notes.txt", "source": "{ready}/train/notes.txt"},
    {"place": "train/notes.txt", "source": "", "mode": "written"},
    {"place": "train/notes.txt", "source": "/a\0b"},
    {"place": "train/notes.txt", "source": "/a", "size": 1e999},
    {"place": "train/notes.txt", "source": ["/a"]},
    {"place": "train/notes.txt", "source": "/a", "mode": "move"},
]


@pytest.mark.parametrize("forged", FORGED_LINES)
@pytest.mark.parametrize("prune", [(), ("--prune",)])
def test_forged_line_of_an_export_manifest_is_damage(
    export: Export, tmp_path: Path, forged: dict, prune: tuple[str, ...]
) -> None:
    make_scored_topic(tmp_path / "DS/C/S/T", "a.png")
    export("DS")
    write(tmp_path / "docs/thesis.txt", "mine")
    write(tmp_path / "ready/train/notes.txt", "mine")
    write(tmp_path / "ready/notes.txt", "mine")
    status = os.stat(tmp_path / "ready/notes.txt")
    line = {"size": status.st_size, "mtime_ns": status.st_mtime_ns, "mode": "hardlink", **forged}
    paths = {"{docs}": str(tmp_path / "docs"), "{ready}": str(tmp_path / "ready")}
    for key in ("place", "source"):
        for name, path in paths.items():
            if isinstance(line[key], str):
                line[key] = line[key].replace(name, path)
    with open(tmp_path / "ready/export_manifest.jsonl", "a") as file:
        file.write(json.dumps(line) + "\n")
    before = files_with_stamps(tmp_path)
    assert "not the manifest of an export" in export("DS", *prune, status=2)["talk"]
    assert files_with_stamps(tmp_path) == before


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("target", "../docs/a.jpg"),
        ("target", "C/S/U/a.jpg"),
        ("target", "C/S/T/../../a.jpg"),
        ("kept", "/etc/passwd"),
        ("source", "C/S/T/a.jpg"),
        ("source", "/x/C/../T/a.jpg"),
        ("sidecars", ["../../a.txt"]),
        ("size", 1e999),
    ],
)
def test_forged_line_of_a_merge_manifest_is_damage(tmp_path: Path, key: str, value: object) -> None:
    write(tmp_path / "A/C/S/T/a.jpg", "a")
    assert run_merge(tmp_path / "A", "--output", tmp_path / "full")[0] == 0
    manifest = tmp_path / "full/merge_manifest.jsonl"
    line = json.loads(manifest.read_text())
    manifest.write_text(json.dumps({**line, key: value}) + "\n")
    before = files_with_stamps(tmp_path)
    status, said = run_merge(tmp_path / "A", "--output", tmp_path / "full")
    assert status == 2 and "merge_manifest.jsonl: damaged" in said
    assert files_with_stamps(tmp_path) == before


# Captions that are links, pipes and endless files


def test_caption_links_are_followed_only_within_the_dataset(export: Export, tmp_path: Path) -> None:
    names = ("own.png", "secret.png", "farm.png", "gone.png")
    topic = make_scored_topic(tmp_path / "DS/C/S/T", *names)
    write(tmp_path / "secret/shadow", "password")
    write(tmp_path / "DS/texts/own", "a text of the dataset")
    (topic / "own.txt").symlink_to(tmp_path / "DS/texts/own")
    (topic / "secret.txt").symlink_to(tmp_path / "secret/shadow")
    (topic / "gone.txt").symlink_to(tmp_path / "no such file")
    (tmp_path / "farm").mkdir()
    (topic / "farm.png").rename(tmp_path / "farm/farm.png")
    write(tmp_path / "farm/farm.txt", "beside the real image")
    for name in ("farm.png", "farm.txt"):
        (topic / name).symlink_to(tmp_path / "farm" / name)
    data = export("DS")
    assert "1 sidecar is a link to files outside" in data["talk"]
    exported = tmp_path / "ready/train/C/S/T"
    assert sorted(path.name for path in exported.glob("*.txt")) == ["farm.txt", "own.txt"]
    assert "password" not in (tmp_path / "ready/train/metadata.jsonl").read_text()
    status, said = run_merge("DS", "--output", "full")
    assert status == 0 and "2 sidecars are links" in said
    assert sorted(path.name for path in (tmp_path / "full/C/S/T").glob("*.txt")) == [
        "farm.txt",
        "own.txt",
    ]
    # Through a linked folder, a caption that is no link itself is read.
    (tmp_path / "Linked/C/S").mkdir(parents=True)
    (tmp_path / "Linked/C/S/T").symlink_to(topic)
    (tmp_path / "ready").rename(tmp_path / "first")
    (topic / "own.txt").unlink()
    write(topic / "own.txt", "no link")
    export("Linked")
    assert (tmp_path / "ready/train/C/S/T/own.txt").read_text() == "no link"


def test_caption_larger_than_a_megabyte_is_named_and_not_read(
    export: Export, tmp_path: Path
) -> None:
    topic = make_scored_topic(tmp_path / "DS/C/S/T", "a.png")
    with open(topic / "a.txt", "wb") as file:
        file.truncate(1 << 40)  # a hole
    data = export("DS")
    assert data["export"]["large_captions"] == [str(topic / "a.txt")]
    assert places(tmp_path / "ready") == {"train/C/S/T/a.png"}


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: os.symlink("/dev/zero", path)])
def test_what_is_no_file_is_never_opened_in_a_target(
    export: Export, tmp_path: Path, make: Callable[[Path], None]
) -> None:
    make_scored_topic(tmp_path / "DS/C/S/T", "a.png", "b.png", captions={"a.txt": "a"})
    export("DS")
    assert run_merge("DS", "--output", "full")[0] == 0
    for path in (tmp_path / "ready/train/C/S/T", tmp_path / "full/C/S/T"):
        for name in ("a.png", "a.txt"):
            (path / name).unlink()
            make(path / name)
    assert export("DS")["export"]["edited"] == ["train/C/S/T/a.png", "train/C/S/T/a.txt"]
    assert run_merge("DS", "--output", "full")[0] == 0
    for path in ("ready/train/metadata.jsonl", "ready/kohya.toml", "ready/export_manifest.jsonl"):
        (tmp_path / path).unlink()
        make(tmp_path / path)
        assert run_split("DS", "--export", "ready", status=2)["talk"]
    (tmp_path / "full/merge_manifest.jsonl").unlink()
    make(tmp_path / "full/merge_manifest.jsonl")
    assert run_merge("DS", "--output", "full")[0] == 2


# A linked cache


@pytest.mark.parametrize("holds", ["foreign", "empty", "ours"])
def test_linked_cache_is_used_only_if_it_is_ours(tmp_path: Path, holds: str) -> None:
    topic = make_scored_topic(tmp_path / "DS/C/S/T", "a.png", "b.png")
    other = tmp_path / "other"
    other.mkdir()
    if holds == "foreign":
        for name in ("lock", "phash.claim", "thesis.txt", "images.json"):
            write(other / name, "mine")
    if holds == "ours":
        write(other / "images.json", json.dumps({"images": {}}))
    before = files_with_stamps(other)
    (topic / ".cache").symlink_to(other)
    for _ in range(2):
        ran = run_script("find_duplicates.py", "DS", "--workers", "0", cwd=tmp_path)
        assert ran.returncode == 0, ran.stderr
        assert (topic / ".cache").is_symlink()
        warnings = ran.stderr.count("a link to a folder that is no cache")
        assert warnings == (holds == "foreign")
        assert (files_with_stamps(other) == before) == (holds == "foreign")
        assert (other / "phash.npz").exists() == (holds != "foreign")


# Outputs


@pytest.mark.parametrize(
    ("option", "script"),
    [
        ("--output", "dataset_stats.py"),
        ("--html", "dataset_stats.py"),
        ("--html", "aesthetic_stats.py"),
        ("--output", "aesthetic_stats.py"),
        ("--html", "duplicates_stats.py"),
        ("--bad-files", "split_data.py"),
    ],
)
def test_no_output_replaces_a_file_of_a_dataset(tmp_path: Path, option: str, script: str) -> None:
    topic = make_scored_topic(tmp_path / "DS/C/S/T", "a.png", captions={"a.txt": "a"})
    write(topic.parent / "duplicates_T.json", "{}")
    write(topic / ".cache/images.json", "{}")
    (tmp_path / "link.html").symlink_to(topic / "a.png")
    before = files_with_stamps(tmp_path)
    refused = [topic / "a.png", topic / "new.JPG", topic / "aesthetic_data.json", topic / "a.txt"]
    refused += [topic.parent / "duplicates_T.json", topic / ".cache/images.json"]
    refused += [tmp_path / "link.html"]
    main = importlib.import_module(script.removesuffix(".py")).main
    for path in refused:
        err = io.StringIO()
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(err):
            status = cli.run_script(main, [str(tmp_path / "DS"), option, str(path)])
        assert status == 2 and "not to be replaced" in err.getvalue(), path
    assert files_with_stamps(tmp_path) == before


@pytest.mark.parametrize(
    ("script", "option"),
    [
        ("split_data.py", "--export"),
        ("split_data.py", "--output-dir"),
        ("merge_clusters.py", "--output"),
        ("dataset_stats.py", "--html"),
        ("find_duplicates.py", "--decisions"),
        ("aesthetic_scorer.py", "--bad-files"),
    ],
)
def test_empty_option_value_is_an_error(tmp_path: Path, script: str, option: str) -> None:
    make_scored_topic(tmp_path / "DS/C/S/T", "a.png")
    ran = run_script(script, "DS", option, "", cwd=tmp_path)
    assert ran.returncode == 2 and f"{option}: the value is empty" in ran.stderr
    assert os.listdir(tmp_path) == ["DS"]


# Sources that are not there


def without_images(dataset: Path) -> None:
    shutil.rmtree(dataset)
    dataset.mkdir()


def without_scores(dataset: Path) -> None:
    (dataset / "C/S/U/aesthetic_data.json").unlink()


def without_topic(dataset: Path) -> None:
    shutil.rmtree(dataset / "C/S/U")
    make_scored_topic(dataset / "C/S/V", "v.png")


def without_image(dataset: Path) -> None:
    (dataset / "C/S/U/b.png").unlink()
    make_scored_topic(dataset / "C/S/U", "c.png")


@pytest.mark.parametrize("mode", ["copy", "hardlink"])
@pytest.mark.parametrize("lose", [without_scores, without_topic, without_image])
def test_exported_files_stay_if_their_source_was_not_seen(
    export: Export, tmp_path: Path, mode: str, lose: Callable[[Path], None]
) -> None:
    make_scored_topic(tmp_path / "A/C/S/T", "a.png", captions={"a.txt": "a"})
    make_scored_topic(tmp_path / "B/C/S/U", "b.png", captions={"b.txt": "b"})
    export("A", "B", "--mode", mode)
    rows = lines(tmp_path / "ready/train/metadata.jsonl")
    kohya = (tmp_path / "ready/kohya.toml").read_text()
    lose(tmp_path / "B")
    data = export("A", "B", "--mode", mode)
    assert set(data["export"]["kept"]) == {"train/C/S/U/b.png", "train/C/S/U/b.txt"}
    assert {"train/C/S/U/b.png", "train/C/S/U/b.txt"} <= places(tmp_path / "ready")
    assert set(rows) <= set(lines(tmp_path / "ready/train/metadata.jsonl"))
    assert set(kohya.splitlines()) <= set((tmp_path / "ready/kohya.toml").read_text().splitlines())
    before = files_with_stamps(tmp_path / "ready")
    export("A", "B", "--mode", mode)
    assert files_with_stamps(tmp_path / "ready") == before
    data = export("A", "B", "--mode", mode, "--prune")
    assert "kept" not in data["export"]
    assert "train/C/S/U/b.png" not in places(tmp_path / "ready")
    assert "train/C/S/T/a.png" in places(tmp_path / "ready")


@pytest.mark.parametrize("script", ["export", "merge"])
def test_a_dataset_without_images_ends_the_run(export: Export, tmp_path: Path, script: str) -> None:
    make_scored_topic(tmp_path / "A/C/S/T", "a.png")
    make_scored_topic(tmp_path / "B/C/S/U", "b.png")
    export("A", "B")
    assert run_merge("A", "B", "--output", tmp_path / "full")[0] == 0
    without_images(tmp_path / "B")
    before = files_with_stamps(tmp_path)
    if script == "export":
        said = export("A", "B", status=2)["talk"]
    else:
        status, said = run_merge("A", "B", "--output", tmp_path / "full")
        assert status == 2
    assert "B: not a dataset, there are no images below it" in said
    assert files_with_stamps(tmp_path) == before


def test_kept_image_and_a_new_one_of_its_name_get_a_place_each(
    export: Export, tmp_path: Path
) -> None:
    make_scored_topic(tmp_path / "A/C/S/T", "a.png")
    make_scored_topic(tmp_path / "B/C/S/T", "a.png", "b.png")
    export("A")
    kept = (tmp_path / "ready/train/C/S/T/a.png").read_bytes()
    export("B")
    assert (tmp_path / "ready/train/C/S/T/a.png").read_bytes() == kept
    assert places(tmp_path / "ready") == {
        "train/C/S/T/a.png",
        "train/C/S/T/a__B.png",
        "train/C/S/T/b.png",
    }
    before = files_with_stamps(tmp_path / "ready")
    export("B")
    assert files_with_stamps(tmp_path / "ready") == before


def test_dataset_that_moved_keeps_its_places(export: Export, tmp_path: Path) -> None:
    make_scored_topic(tmp_path / "A/C/S/T", "a.png", "b.png")
    export("A", "--train", 1, "--valid", 1)
    before = places(tmp_path / "ready")
    (tmp_path / "A").rename(tmp_path / "A2")
    data = export("A2", "--train", 1, "--valid", 1)
    assert "kept" not in data["export"] and places(tmp_path / "ready") == before
    (tmp_path / "A2").rename(tmp_path / "A3")
    data = export("A3", "--train", 2, "--valid", 0, status=2)
    assert "one image in both sets" in data["talk"]
    assert places(export_pruned(export, tmp_path)) == {"train/C/S/T/a.png", "train/C/S/T/b.png"}


def export_pruned(export: Export, root: Path) -> Path:
    export("A3", "--train", 2, "--valid", 0, "--prune")
    return root / "ready"


# File systems without times


@pytest.mark.parametrize("error", [errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS])
def test_copies_are_made_where_times_cannot_be_set(
    export: Export, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    make_scored_topic(tmp_path / "DS/C/S/T", "a.png", "b.png", captions={"a.txt": "a"})

    def refuse(*_args: object, **_options: object) -> None:
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(os, "utime", refuse)
    export("DS", "--mode", "copy")
    assert run_merge("DS", "--output", "full")[0] == 0
    assert (tmp_path / "full/C/S/T/a.png").exists()
    before = files_with_stamps(tmp_path / "ready")
    data = export("DS", "--mode", "copy")["export"]
    assert data["put"] == 0 and data["edited"] == []
    assert files_with_stamps(tmp_path / "ready") == before
    assert run_merge("DS", "--output", "full")[0] == 0


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (errno.EACCES, "permissions"),
        (errno.EROFS, "its file system is read-only"),
        (errno.EMFILE, "ulimit -n"),
        (errno.EIO, "check its disk"),
        (errno.ENOENT, "it is gone"),
    ],
)
def test_advice_fits_the_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: int, advice: str
) -> None:
    write(tmp_path / "A/C/S/T/a.jpg", "a")

    def fail(*_args: object, **_options: object) -> None:
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(TargetFolder, "move_into_place", fail)
    status, said = run_merge(tmp_path / "A", "--output", tmp_path / "full")
    assert status == 2 and advice in said
    assert ("permissions" in said) == (error == errno.EACCES)


# Exports that were copied


@pytest.mark.parametrize("mode", ["copy", "hardlink"])
def test_export_that_was_copied_without_its_times_is_not_edited(
    export: Export, tmp_path: Path, mode: str
) -> None:
    topic = make_scored_topic(
        tmp_path / "DS/C/S/T", *(f"{name}.png" for name in "abcdef"), captions={"a.txt": "a"}
    )
    export("DS", "--mode", mode, "--train", 3, "--valid", 2)
    (tmp_path / "ready").rename(tmp_path / "first")
    shutil.copytree(tmp_path / "first", tmp_path / "ready", copy_function=shutil.copy)
    shutil.rmtree(tmp_path / "first")
    scores = {f"{name}.png": place for place, name in enumerate("abcdef", 1)}
    (topic / "aesthetic_data.json").write_text(json.dumps(scores))
    data = export("DS", "--mode", mode, "--train", 3, "--valid", 2)
    assert data["export"]["edited"] == []
    images = {place for place in places(tmp_path / "ready") if place.endswith(".png")}
    assert images == {
        *(f"train/C/S/T/{name}.png" for name in "fed"),
        *(f"valid/C/S/T/{name}.png" for name in "cb"),
    }
    assert "first" not in (tmp_path / "ready/kohya.toml").read_text()


def test_edited_table_without_a_row_for_an_image_ends_with_2(
    export: Export, tmp_path: Path
) -> None:
    make_scored_topic(tmp_path / "DS/C/S/T", "a.png", "b.png")
    export("DS", "--train", 1, "--valid", 0)
    with open(tmp_path / "ready/train/metadata.jsonl", "a") as file:
        file.write("\n")
    assert export("DS", "--train", 1, "--valid", 0)["export"]["edited"]
    data = export("DS", "--train", 2, "--valid", 0, status=2)
    assert "train/C/S/T/b.png: not in train/metadata.jsonl" in data["talk"]
    assert "train/C/S/T/b.png" in places(tmp_path / "ready")


def test_edited_kohya_file_that_names_a_missing_folder_ends_with_2(
    export: Export, tmp_path: Path
) -> None:
    make_scored_topic(tmp_path / "DS/C/S/T", "a.png")
    export("DS")
    config = tmp_path / "ready/kohya.toml"
    config.write_text(config.read_text() + "# mine\n")
    assert export("DS")["export"]["edited"] == ["kohya.toml"]
    config.write_text(config.read_text().replace("/C/S/T", "/C/S/Other"))
    assert "train/C/S/Other, which is not there" in export("DS", status=2)["talk"]


@pytest.mark.parametrize("mode", ["copy", "hardlink"])
def test_manifests_of_earlier_versions_are_read(export: Export, tmp_path: Path, mode: str) -> None:
    make_scored_topic(tmp_path / "DS/C/S/T", "a.png", "b.png", captions={"a.txt": "a"})
    export("DS", "--mode", mode)
    manifest = tmp_path / "ready/export_manifest.jsonl"
    with_digest = manifest.read_text()
    plain = [json.loads(line) for line in with_digest.splitlines()]
    for line in plain:
        line.pop("digest", None)
    manifest.write_text("".join(json.dumps(line) + "\n" for line in plain))
    data = export("DS", "--mode", mode)
    assert data["export"]["edited"] == [] and data["export"]["put"] == 0
    assert manifest.read_text() == with_digest


def test_a_link_that_is_no_caption_is_named_in_the_manifest(tmp_path: Path) -> None:
    write(tmp_path / "A/C/S/T/a.jpg", "a")
    write(tmp_path / "A/C/S/T/b.jpg", "b")
    write(tmp_path / "secret.txt", "secret")
    (tmp_path / "A/C/S/T/a.txt").symlink_to(tmp_path / "secret.txt")
    for _ in range(2):
        assert run_merge(tmp_path / "A", "--output", tmp_path / "full")[0] == 0
        lines = (tmp_path / "full/merge_manifest.jsonl").read_text().splitlines()
        named = {
            json.loads(line)["target"]: json.loads(line).get("ignored_links") for line in lines
        }
        assert named == {"C/S/T/a.jpg": ["a.txt"], "C/S/T/b.jpg": None}
    assert not (tmp_path / "full/C/S/T/a.txt").exists()
