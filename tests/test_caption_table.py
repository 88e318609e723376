"""Captions in a topic's metadata.jsonl: read where an image has no sidecar file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import draw_image

PLACE = "Animals/Birds/Owls"
ROWS = [
    {"file_name": "a.png", "text": "an owl\nat night "},
    {"file_name": "b.png", "text": "not this"},
    {"file_name": "c.png", "caption": "a barn owl"},
    {"file_name": "d.png", "text": " ", "caption": "nor this"},
    {"file_name": "gone.png", "text": "no such image"},
]


@pytest.fixture
def run(run_by_name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    return run_by_name


@pytest.fixture
def topic(make_topic) -> Path:
    topic = make_topic(f"DS/{PLACE}", "a.png", "b.png", "c.png", "d.png")
    write_table(topic, *ROWS)
    (topic / "b.txt").write_text("a sidecar file")
    scores = dict.fromkeys(("a.png", "b.png", "c.png", "d.png", "copy.png"), 5.0)
    (topic / "aesthetic_data.json").write_text(json.dumps(scores))
    return topic


def write_table(topic: Path, *rows: dict) -> None:
    (topic / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def read_captions(folder: str) -> dict[str, str]:
    return {path.name: path.read_text("utf-8") for path in Path(folder, PLACE).glob("*.txt")}


def test_a_merge_writes_them_as_text_files_and_names_the_table(run, topic):
    merged, _ = run("merge_clusters", "DS", "--output", "full")
    assert read_captions("full") == {
        "a.txt": "an owl\nat night",
        "b.txt": "a sidecar file",
        "c.txt": "a barn owl",
    }
    counts = [merged[f"captions_{what}"] for what in ("written", "moved", "left")]
    assert counts == [2, 0, 0]
    assert [file["reason"] for file in merged["left_behind"]] == ["its captions come as text files"]
    assert merged["left_behind"][0]["path"] == str(topic / "metadata.jsonl")
    before = Path("full/merge_manifest.jsonl").read_bytes()
    again, _ = run("merge_clusters", "DS", "--output", "full")
    assert (again["captions_written"], again["copied"]) == (0, 0)
    assert Path("full/merge_manifest.jsonl").read_bytes() == before
    Path(f"full/{PLACE}/a.txt").write_text("my own words")
    write_table(topic, {"file_name": "a.png", "text": "another"})
    run("merge_clusters", "DS", "--output", "full")
    assert read_captions("full")["a.txt"] == "my own words"


def test_a_text_file_that_would_go_with_two_images_is_named_for_one(run, topic, make_topic):
    other = make_topic(f"Other/{PLACE}", "a.jpg", seed=7)
    run("merge_clusters", "Other", "DS", "--output", "full")
    assert read_captions("full")["a.png.txt"] == "an owl\nat night"
    assert not Path(f"full/{PLACE}/a.txt").exists() and not list(other.glob("*.txt"))


def test_the_caption_of_a_dropped_copy_goes_to_its_keeper(run, topic):
    draw_image(50, (160, 120)).save(topic / "e.png")
    draw_image(50, (160, 120)).resize((80, 60)).save(topic / "small.png")
    write_table(topic, {"file_name": "small.png", "text": "a small owl"})
    assert run("find_duplicates", "DS", "--workers", 0)[0]["redundant"] == 1
    merged, _ = run("merge_clusters", "DS", "--output", "full")
    assert merged["duplicates"] == 1 and merged["captions_written"] == 1
    assert read_captions("full")["e.txt"] == "a small owl"


def test_an_export_and_a_page_have_them(run, topic):
    exported, _ = run("split_data", "DS", "--train", 4, "--valid", 0, "--export", "ready")
    assert exported["export"]["captions"] == 3
    assert read_captions("ready/train")["c.txt"] == "a barn owl"
    rows = map(json.loads, Path("ready/train/metadata.jsonl").read_text().splitlines())
    assert {row["name"]: row["text"] for row in rows}["a.png"] == "an owl\nat night"
    again, _ = run("split_data", "DS", "--train", 4, "--valid", 0, "--export", "ready")
    assert (again["export"]["put"], again["export"]["edited"]) == (0, [])
    draw_image(0).save(topic / "copy.png", compress_level=1)
    run("find_duplicates", "DS", "--workers", 0)
    run("duplicates_stats", "DS", "--html", "review.html")
    assert "an owl" in Path("review.html").read_text("utf-8")


def test_images_without_a_caption_and_damaged_lines_are_named(run, topic):
    with (topic / "metadata.jsonl").open("ab") as file:
        file.write(b'{"file_name": \n\n{"file_name": 3}\n["a"]\n')
    checks = run("dataset_stats", "DS")[0]["for_trainers"]
    assert [each["path"] for each in checks["without_caption"]["examples"]] == [f"DS/{PLACE}/d.png"]
    (problem,) = checks["unreadable_caption"]["examples"]
    assert problem == {
        "path": f"DS/{PLACE}/metadata.jsonl",
        "why": "lines that are not read: 3",
    }


def test_a_table_elsewhere_is_not_read(run, topic, tmp_path):
    (topic / "metadata.jsonl").rename(tmp_path / "secret.jsonl")
    (topic / "metadata.jsonl").symlink_to(tmp_path / "secret.jsonl")
    assert run("merge_clusters", "DS", "--output", "full")[0]["captions_written"] == 0
    assert read_captions("full").keys() == {"b.txt"}
