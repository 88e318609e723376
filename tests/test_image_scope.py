"""--include and --exclude for single images: what a run works on, and what stays as it was."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from conftest import draw_image

from imaging import images

TINY = ("--model", "tiny", "--workers", 0)
SEARCH = ("--variants", "--across", "--workers", 0)
TOPIC = "DS/Animals/Birds/Owls"
HALF = ("--include", "*/Owls/[ab]*")  # a.png, b.png and bad.jpg


@pytest.fixture
def run(run_by_name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return run_by_name


@pytest.fixture
def dataset(tmp_path, make_topic) -> Path:
    """Two topics. In the first, large.png and small.png are copies, a third is in the other."""
    owls = make_topic(TOPIC, "a.png", "b.png", "c.png", "d.png", seed=10)
    oaks = make_topic("DS/Plants/Trees/Oaks", "a.png", "b.png", seed=20)
    photo = draw_image(1000, (320, 240))
    photo.save(owls / "large.png")
    photo.resize((160, 120)).save(owls / "small.png")
    photo.save(oaks / "again.png", compress_level=1)
    photo.transpose(0).save(owls / "mirrored.png")
    (owls / "bad.jpg").write_bytes(b"\xff\xd8\xff nothing")
    (owls / "x_bad.jpg").write_bytes(b"\xff\xd8\xff nothing")
    return tmp_path / "DS"


def read_all(folder: Path) -> dict[str, bytes]:
    files = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            files[str(path.relative_to(folder))] = path.read_bytes()
    return files


def test_a_run_works_on_the_included_images_only(run, dataset, tmp_path):
    for script, options, totals in (
        ("dataset_stats", (), "2 counted + 1 unreadable"),
        ("aesthetic_scorer", TINY, "2 scored + 1 unreadable"),
        ("aesthetic_stats", (), "2 scored + 1 without score"),
        ("find_duplicates", ("--workers", 0), "2 searched + 1 unreadable"),
        ("duplicates_stats", (), "2 searched + 1 unreadable"),
        ("merge_clusters", ("--output", tmp_path / "merged"), "2 copied + 1 unreadable"),
        ("split_data", ("--train", 1, "--valid", 1), "1 train + 1 valid + 1 without score"),
    ):
        _, talk = run(script, dataset, *HALF, *options)
        assert re.findall(r"^12 images found = (.*)$", talk, re.M) == [f"{totals} + 9 excluded"]
    owls = dataset / "Animals/Birds/Owls"
    assert set(json.loads((owls / "aesthetic_data.json").read_text())) == {"a.png", "b.png"}
    found = json.loads((owls.parent / "duplicates_Owls.json").read_text())
    assert set(found) == {"a.png", "b.png", "bad.jpg"}
    assert not (dataset / "Plants/Trees/Oaks/aesthetic_data.json").exists()


@pytest.fixture
def opened(monkeypatch) -> list[str]:
    """The names of images in the order in which they are opened; opens them as ever."""
    names: list[str] = []
    open_image = images.open_image

    def note_image(path: str, *args: object, **options: object) -> object:
        names.append(Path(path).name)
        return open_image(path, *args, **options)

    monkeypatch.setattr(images, "open_image", note_image)
    return names


def test_records_of_other_images_stay_and_nothing_is_done_twice(run, dataset, opened):
    run("aesthetic_scorer", dataset, *TINY)
    run("find_duplicates", dataset, *SEARCH)
    before = read_all(dataset)
    opened.clear()
    for patterns in (("--include", "*/Owls"), HALF, ("--exclude", "*/[a-l]*.png"), ()):
        scored, _ = run("aesthetic_scorer", dataset, *TINY, *patterns)
        assert scored["scored"] == 0
        run("find_duplicates", dataset, *SEARCH, *patterns)
        assert read_all(dataset) == before
    assert set(opened) == {"bad.jpg", "x_bad.jpg"}  # what cannot be read is tried again


def test_verdicts_on_excluded_images_stay_without_a_result_file(run, dataset, opened):
    run("find_duplicates", dataset, *SEARCH)
    (dataset / "Animals/Birds/duplicates_Owls.json").unlink()
    opened.clear()
    run("find_duplicates", dataset, *SEARCH, *HALF)
    run("find_duplicates", dataset, *SEARCH)
    assert "mirrored.png" not in opened


def test_parts_add_up_to_the_whole(run, dataset, tmp_path):
    whole = tmp_path / "whole" / "DS"
    shutil.copytree(dataset, whole, copy_function=shutil.copy2)
    run("aesthetic_scorer", whole, *TINY)
    run("find_duplicates", whole, "--variants", "--workers", 0)
    scored = 0
    for patterns in (HALF, ("--include", "*/large.png", "--include", "*/mirrored.png"), ()):
        scored += run("aesthetic_scorer", dataset, *TINY, *patterns)[0]["scored"]
        run("find_duplicates", dataset, "--variants", "--workers", 0, *patterns)
    assert scored == 10
    for path, content in read_all(whole).items():
        if ".cache" not in path:
            assert read_all(dataset)[path] == content, path


def test_a_new_image_is_compared_with_those_that_a_search_saw(run, dataset):
    run("find_duplicates", dataset, "--exclude", "*/small.png", "--workers", 0)
    found, _ = run("find_duplicates", dataset, "--include", "*/small.png", "--workers", 0)
    assert (found["images"], found["matches"], found["redundant"]) == (1, 0, 0)
    copies = json.loads((dataset / "Animals/Birds/duplicates_Owls.json").read_text())
    assert copies["large.png"] == ["small.png"] and copies["small.png"] == ["large.png"]


def test_what_is_known_of_excluded_images_stays_when_they_change(run, dataset):
    run("aesthetic_scorer", dataset, *TINY)
    run("find_duplicates", dataset, "--variants", "--workers", 0)
    scores = dataset / "Animals/Birds/Owls/aesthetic_data.json"
    before = [path.read_bytes() for path in (scores, *sorted(dataset.rglob("*_Owls.json")))]
    draw_image(5).save(dataset / "Animals/Birds/Owls/large.png")
    (dataset / "Animals/Birds/Owls/mirrored.png").unlink()
    run("aesthetic_scorer", dataset, *TINY, *HALF)
    run("find_duplicates", dataset, "--variants", "--workers", 0, *HALF)
    assert [path.read_bytes() for path in (scores, *sorted(dataset.rglob("*_Owls.json")))] == before
    again, _ = run("find_duplicates", dataset, "--variants", "--workers", 0)
    assert again["matches"] == 0 and again["images"] == 11
    assert run("aesthetic_scorer", dataset, *TINY)[0]["scored"] == 1


def test_no_copy_is_left_out_for_an_excluded_one(run, dataset, tmp_path):
    run("aesthetic_scorer", dataset, *TINY)
    run("find_duplicates", dataset, *SEARCH)
    exclude = ("--exclude", "*/large.png", "--exclude", "*/again.png")
    shown, _ = run("duplicates_stats", dataset, *exclude)
    assert shown["redundant_images"] == shown["duplicate_entries"] == 0
    assert not shown["across"]["pairs"].get("copy")
    run("split_data", dataset, "--exclude-duplicates", *exclude)
    assert any(
        path.endswith("small.png") for path in json.loads(Path("train_set.json").read_text())
    )
    merged, talk = run("merge_clusters", dataset, "--output", "merged", "--drop-across", *exclude)
    assert (merged["copied"], merged["duplicates"]) == (8, 0) and "2 excluded" in talk
    assert (tmp_path / "merged/Animals/Birds/Owls/small.png").exists()
    assert not list((tmp_path / "merged").rglob("large.png"))


def test_captions_of_excluded_images_stay_behind_and_are_no_orphans(run, dataset, tmp_path):
    owls = dataset / "Animals/Birds/Owls"
    for name in ("a", "c"):
        (owls / f"{name}.txt").write_text(f"an owl {name}")
    (owls / "orphan.txt").write_text("of nothing")
    stats, _ = run("dataset_stats", dataset, "--exclude", "*/c.png")
    assert stats["for_trainers"]["caption_without_image"]["count"] == 1
    merged, _ = run("merge_clusters", dataset, "--output", "merged", "--exclude", "*/c.png")
    assert [Path(each["path"]).name for each in merged["left_behind"]] == ["orphan.txt"]
    assert {path.name for path in tmp_path.glob("merged/**/*.txt")} == {"a.txt"}


def test_an_export_keeps_files_and_rows_of_excluded_images(run, dataset, tmp_path):
    run("aesthetic_scorer", dataset, *TINY)
    counts = ("--train", 9, "--valid", 1)
    run("split_data", dataset, *counts, "--export", "ready")
    before = read_all(tmp_path / "ready")
    run("split_data", dataset, *counts, "--export", "ready", "--exclude", "*/Owls/[a-l]*")
    after = read_all(tmp_path / "ready")
    names = {path for path in before if Path(path).name in ("a.png", "b.png", "large.png")}
    assert names and {path: after[path] for path in names} == {path: before[path] for path in names}
    rows = "".join(content.decode() for path, content in after.items() if "metadata" in path)
    assert "large.png" in rows


def test_decisions_about_excluded_images_are_not_gone(run, dataset, tmp_path):
    pair = sorted(["Animals/Birds/Owls/c.png", "Animals/Birds/Owls/d.png"])
    decided = {"same": [pair], "drop": ["Animals/Birds/Owls/large.png"]}
    (dataset / "decisions.json").write_text(json.dumps(decided))
    run("aesthetic_scorer", dataset, *TINY)
    run("find_duplicates", dataset, "--workers", 0)
    for script, options in (
        ("find_duplicates", ("--workers", 0)),
        ("duplicates_stats", ()),
        ("merge_clusters", ("--output", "merged")),
        ("split_data", ("--exclude-duplicates",)),
    ):
        result, talk = run(script, dataset, *options, "--exclude", "*/[dl]*.png")
        assert "gone" not in talk and "no longer fits" not in talk, script
        assert result.get("duplicate_entries", 0) == 0
        assert result.get("redundant", 0) == result.get("duplicates", 0) == 0
    copies = json.loads((dataset / "Animals/Birds/duplicates_Owls.json").read_text())
    assert copies["c.png"] == ["d.png"]


@pytest.mark.parametrize(
    ("patterns", "words"),
    [
        (("--include", "*.tiff"), "matches no image, no topic and no folder above one"),
        (("--include", "large.png"), "did you mean '*/large.png'?"),
        (("--include", "*/a.png", "--exclude", "*.png"), "leave no image"),
    ],
)
def test_patterns_that_leave_nothing_are_refused(run, dataset, patterns, words):
    _, talk = run("dataset_stats", dataset, *patterns, status=2)
    assert words in talk and talk.count("error: ") == 1
