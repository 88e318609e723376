"""merge_clusters.py --for-search: a folder of links, and the merge of it that names the sources."""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from pathlib import Path

import pytest
from conftest import draw_image, run_script
from test_merge_clusters import AT, add_records, files_with_stamps, write
from test_merge_safety import manifest_lines

import find_duplicates
import merge_clusters


def draw(path: Path, seed: int, size: tuple[int, int] = (320, 240)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    draw_image(seed, size).save(path)
    return path


@pytest.fixture
def sources(tmp_path: Path) -> list[Path]:
    """Two datasets: a smaller copy with the caption, the same bytes, and a name that both use."""
    first, second = tmp_path / "A", tmp_path / "B"
    draw(first / AT / "owl.png", 0)
    draw(second / AT / "small.png", 0, (160, 120))
    write(second / AT / "small.txt", "an owl")
    draw(first / AT / "boat.png", 1)
    (second / AT / "boat.png").write_bytes((first / AT / "boat.png").read_bytes())
    draw(first / AT / "1.png", 2)
    write(first / AT / "1.txt", "a barn")
    draw(second / AT / "1.png", 3)
    (second / AT / "torn.png").write_bytes((first / AT / "1.png").read_bytes()[:999])
    return [first, second]


def link(run, sources: list[Path], linked: Path) -> dict:
    status, told, said = run(merge_clusters, *sources, "--for-search", "--output", linked)
    assert status == 0, said
    return told


def merge_all(run, sources: list[Path], target: Path, *options: object) -> dict:
    linked = Path(f"{target}.linked")
    link(run, sources, linked)
    assert run(find_duplicates, linked)[0] == 0
    status, told, said = run(merge_clusters, linked, "--output", target, *options)
    assert status == 0, said
    return told


def images(folder: Path) -> set[str]:
    return {path.name for path in (folder / AT).glob("*.png")}


def stamps(folder: Path) -> dict[Path, tuple[int, int]]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in files}


def actions(target: Path, folder: Path) -> dict[str, str]:
    return {
        os.path.relpath(line["source"], folder): line["action"] for line in manifest_lines(target)
    }


def test_every_image_is_linked_also_copies_and_damaged_ones(run, sources, tmp_path):
    add_records(sources[0] / AT, matches={"owl.png": ["boat.png"], "boat.png": ["owl.png"]})
    told = link(run, sources, tmp_path / "linked")
    assert images(tmp_path / "linked") == {
        "owl.png", "small.png", "boat.png", "1.png", "1__B.png", "torn.png",
    }  # fmt: skip
    assert (told["copied"], told["identical"], told["bytes_copied"]) == (6, 1, 0)
    for source, name in ((sources[0], "owl.png"), (sources[1], "small.txt")):
        assert (tmp_path / "linked" / AT / name).samefile(source / AT / name)


def test_copies_of_references_stay_out(run, sources, tmp_path):
    reference = draw(tmp_path / "test_set" / AT / "same.png", 0)
    assert run(find_duplicates, sources[0], "--against", reference.parents[3])[0] == 0
    assert link(run, sources, tmp_path / "linked")["references"] == 1
    assert "owl.png" not in images(tmp_path / "linked")


def test_manifest_names_the_sources_and_accounts_for_each_image(run, sources, tmp_path):
    target = tmp_path / "full"
    merge_all(run, sources, target)
    assert images(target) == {"owl.png", "boat.png", "1.png", "1__B.png"}
    assert actions(target, tmp_path) == {
        "A/C/S/T/owl.png": "copied",
        "B/C/S/T/small.png": "duplicate",
        "A/C/S/T/boat.png": "copied",
        "B/C/S/T/boat.png": "identical",
        "A/C/S/T/1.png": "copied",
        "B/C/S/T/1.png": "renamed",
        "B/C/S/T/torn.png": "unreadable",
    }
    kept = {line["action"]: line["kept"] for line in manifest_lines(target)}
    assert (kept["duplicate"], kept["identical"]) == ("C/S/T/owl.png", "C/S/T/boat.png")
    (owl,) = (line for line in manifest_lines(target) if "captions" in line)
    assert owl["captions"][0]["source"] == str(sources[1] / AT / "small.txt")
    assert (target / AT / "owl.txt").read_text() == "an owl"


def test_second_run_changes_nothing(run, sources, tmp_path):
    target = tmp_path / "full"
    merge_all(run, sources, target)
    before = stamps(tmp_path)
    told = merge_all(run, sources, target)
    assert stamps(tmp_path) == before
    assert (told["already_there"], told["copied"]) == (4, 0)


def test_target_of_direct_merges_is_continued(run, sources, tmp_path):
    """What is in it stays, under its name, and nothing comes twice."""
    target = tmp_path / "full"
    for source in reversed(sources):
        assert run(find_duplicates, source)[0] == 0
        assert run(merge_clusters, source, "--output", target)[0] == 0
    before = {path: path.stat().st_mtime_ns for path in target.rglob("*.png")}
    draw(sources[0] / AT / "new.png", 9)
    draw(sources[1] / AT / "new owl.png", 0, (200, 150))
    told = merge_all(run, sources, target)
    assert told["copied"] == 1
    assert {path.name for path in target.rglob("*.png")} == {
        *(path.name for path in before), "new.png",
    }  # fmt: skip
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())
    sources_named = Counter(line["source"] for line in manifest_lines(target))
    assert set(sources_named.values()) == {1} and len(sources_named) == 9
    assert not any("linked" in line["source"] for line in manifest_lines(target))


def test_links_follow_the_sources(run, sources, tmp_path):
    """What is gone, changed, or in none of the datasets now given is not linked any longer."""
    linked = tmp_path / "linked"
    link(run, sources, linked)
    (sources[0] / AT / "owl.png").unlink()
    changed = draw(tmp_path / "changed.png", 7)
    os.replace(changed, sources[0] / AT / "1.png")
    write(tmp_path / "new.txt", "a red barn").rename(sources[0] / AT / "1.txt")
    link(run, sources, linked)
    assert images(linked) == {"small.png", "boat.png", "1.png", "1__B.png", "torn.png"}
    assert (linked / AT / "1.png").samefile(sources[0] / AT / "1.png")
    assert (linked / AT / "1.txt").read_text() == "a red barn"
    link(run, sources[:1], linked)
    assert images(linked) == {"boat.png", "1.png"}
    assert not (linked / AT / "small.txt").exists()
    assert len(manifest_lines(linked)) == 2


def test_scores_are_those_of_the_sources_now(run, sources, tmp_path):
    add_records(sources[0] / AT, scores={"owl.png": 5.0, "1.png": 4.0})
    linked = tmp_path / "linked"
    link(run, sources[:1], linked)
    os.replace(draw(tmp_path / "changed.png", 7), sources[0] / AT / "1.png")
    add_records(sources[0] / AT, scores={"owl.png": 6.0, "1.png": 3.0})
    link(run, sources[:1], linked)
    scores = json.loads((linked / AT / "aesthetic_data.json").read_text())
    assert scores == {"owl.png": 6.0, "1.png": 3.0}


def test_ordinary_targets_are_no_folders_of_links(run, sources, tmp_path):
    """Their images are no links, which could be removed; nor do images come into links."""
    target, linked = tmp_path / "full", tmp_path / "linked"
    assert run(merge_clusters, *sources, "--output", target)[0] == 0
    link(run, sources, linked)
    before = files_with_stamps(tmp_path)
    status, _, said = run(merge_clusters, *sources, "--for-search", "--output", target)
    assert status == 2 and "an ordinary merge made it" in said
    status, _, said = run(merge_clusters, *sources, "--output", linked)
    assert status == 2 and "holds links to search in" in said
    assert files_with_stamps(tmp_path) == before


def test_what_somebody_put_into_the_links_stays(run, sources, tmp_path):
    linked = tmp_path / "linked"
    link(run, sources, linked)
    (linked / AT / "owl.png").unlink()
    draw(linked / AT / "owl.png", 5)
    link(run, sources[1:], linked)
    assert images(linked) >= {"owl.png", "small.png"}


def test_symlinks_lead_to_the_sources_themselves(run, sources, tmp_path):
    target = tmp_path / "full"
    merge_all(run, sources, target, "--mode", "symlink")
    assert os.readlink(target / AT / "owl.png") == str(sources[0] / AT / "owl.png")
    shutil.rmtree(f"{target}.linked")
    assert (target / AT / "1__B.png").samefile(sources[1] / AT / "1.png")


@pytest.mark.skipif(
    not os.access("/dev/shm", os.W_OK) or os.stat("/dev/shm").st_dev == os.stat("/tmp").st_dev,
    reason="needs a second file system",
)
def test_symlinks_where_the_file_system_differs(run, sources, tmp_path):
    elsewhere = Path("/dev/shm") / f"linked_{os.getpid()}"
    try:
        target = elsewhere / "full"
        merge_all(run, sources, target)
        link_path = Path(f"{target}.linked") / AT / "owl.png"
        assert os.readlink(link_path) == str(sources[0] / AT / "owl.png")
        assert actions(target, tmp_path)["B/C/S/T/small.png"] == "duplicate"
        assert (target / AT / "owl.txt").read_text() == "an owl"
        (sources[0] / AT / "1.png").unlink()
        told = merge_all(run, sources, target)
        assert not os.path.lexists(link_path.with_name("1.png"))
        assert told["copied"] == 0
    finally:
        shutil.rmtree(elsewhere, ignore_errors=True)


def test_dry_run_is_refused(sources, tmp_path):
    ran = run_script("merge_clusters.py", sources[0], "--for-search", "--dry-run")
    assert ran.returncode == 2 and "leave --dry-run out" in ran.stderr


def test_damaged_manifest_of_a_source_is_no_reason_to_stop(run, sources, tmp_path):
    target = tmp_path / "full"
    merge_all(run, sources, target)
    write(Path(f"{target}.linked") / "merge_manifest.jsonl", "{")
    status, told, said = run(merge_clusters, f"{target}.linked", "--output", target)
    assert (status, told["copied"]) == (0, 0) and "count as the originals" in said
