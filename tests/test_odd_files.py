"""Odd files that people have among their images: each gets one line, and its advice works."""

from __future__ import annotations

import importlib
import json
import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import ROOT, draw_image
from unread_images import SOUND_BUT_UNREAD, cut_before_end
from zoo import encode

from common import cli
from common.folder_walk import FOREIGN_FOLDERS
from common.image_formats import ENDINGS

TOPIC = "DS/Animals/Birds/Owls"
SCRIPTS = {  # in the order of a pipeline
    "dataset_stats": (),
    "aesthetic_scorer": ("--model", "tiny", "--workers", "0"),
    "aesthetic_stats": (),
    "find_duplicates": ("--workers", "0"),
    "duplicates_stats": (),
    "merge_clusters": ("--output", "full"),
    "split_data": (),
}


@pytest.fixture
def topic(make_topic, tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return make_topic(TOPIC, "a.png", "b.png")


@pytest.fixture
def run(capsys):
    """Run a script on the dataset, as a function: its status, JSON and talk."""

    def run_script(script: str, *options: str) -> tuple[int, dict, str]:
        main = importlib.import_module(script).main
        status = cli.run_script(main, ["DS", "--json", *SCRIPTS[script], *options])
        printed = capsys.readouterr()
        return status, json.loads(printed.out or "{}"), printed.err

    return run_script


def save_as_png(path: Path) -> None:
    path.unlink()
    draw_image(50).save(path.with_name("saved.png"))


def fetch_again(path: Path) -> None:
    draw_image(51, (161, 120)).save(path, "JPEG")


def add_ending(path: Path) -> None:
    path.rename(f"{path}.jpg")


@dataclass(frozen=True)
class OddFile:
    name: str
    content: bytes
    line: str  # that every script prints once; if it is named like an image, those that open it
    follow_advice: Callable[[Path], None] = save_as_png


JPEG = encode(draw_image(51, (161, 120)), "JPEG")
AS_USUAL = "is not read: save it as JPEG or PNG"
ODD_FILES = [
    *(OddFile(name, *row) for name, row in SOUND_BUT_UNREAD.items()),
    OddFile("cut.jpg", cut_before_end(JPEG, 0.5), "cut short: its end is missing", fetch_again),
    OddFile("half.jpg", JPEG[:2000], "cut short: its end is missing; fetch it again", fetch_again),
    OddFile("none.jpg", b"", "empty file; fetch it again or delete it", fetch_again),
    OddFile("gone.jpg", b"<html>404</html>", "text or a web page); fetch it again", fetch_again),
    OddFile("photo", JPEG, "1 image without an ending is not read: add one to the", add_ending),
    OddFile("x.jxl", b"\xff\x0a", f"1 .jxl file {AS_USUAL}"),
    OddFile("x.JP2", b"\0\0\0\x0cjP  ", f"1 .jp2 file {AS_USUAL}"),
    OddFile("x.psd", b"8BPS", f"1 .psd file {AS_USUAL}"),
    OddFile("x.NEF", b"MM\0*", f"1 .nef file {AS_USUAL}"),
    OddFile("x.svg", b"<svg></svg>", f"1 .svg file {AS_USUAL}"),
    OddFile("x.tga", b"\0\0\2", f"1 .tga file {AS_USUAL}"),
]
if ".heic" not in ENDINGS:
    ODD_FILES.append(OddFile("x.heic", b"ftypheic", "1 .heic file is not read: pip install"))


@pytest.mark.parametrize("odd", ODD_FILES, ids=lambda odd: odd.name)
def test_an_odd_file_has_one_line_and_its_advice_works(topic, run, odd):
    (topic / odd.name).write_bytes(odd.content)
    is_named_like_image = Path(odd.name).suffix in ENDINGS
    status, found, talk = run("find_duplicates", "--strict")
    assert status == (1 if is_named_like_image else 0)
    assert talk.count(odd.line) == 1, talk
    assert found["unreadable"] == is_named_like_image
    assert found.get("unread_files", {}).get(Path(odd.name).suffix.lower(), 0) == (
        not is_named_like_image
    )
    odd.follow_advice(topic / odd.name)
    status, found, talk = run("find_duplicates", "--strict")
    assert (status, found["images"], found["unreadable"]) == (0, 3, 0)
    assert odd.line not in talk and "unread_files" not in found


def test_every_script_says_once_what_is_not_read(topic, run):
    (topic / "photo").write_bytes(JPEG)
    for name in ("x.jxl", "y.jxl", "z.psd", "~$a.png", "._a.png", ".a.jxl", "~$b.jxl"):
        (topic / name).write_bytes(b"\xff\x0a")
    for folder in FOREIGN_FOLDERS:
        (topic / folder).mkdir()
        draw_image(60).save(topic / folder / "thumbnail.jpg")
    foreign = f"5 images in folders of other programs ({', '.join(sorted(FOREIGN_FOLDERS))})"
    for script in SCRIPTS:
        status, result, talk = run(script)
        assert status == 0, talk
        assert result["unread_files"] == {"": 1, ".jxl": 2, ".psd": 1}
        lines = talk.splitlines()
        assert (
            lines.count("⚠️  2 .jxl files, 1 .psd file are not read: save them as JPEG or PNG") == 1
        )
        assert lines.count(f"⚠️  {foreign} passed over") == 1
        assert talk.count("without an ending") == 1
        assert talk.count("2 images found = ") == 1, talk
    reasons = {file["reason"] for file in run("merge_clusters")[1]["left_behind"]}
    assert reasons == {".jxl files are not read", ".psd files are not read", "goes with no image"}
    merged = {path.name for path in Path("full").rglob("*") if path.is_file()}
    assert merged & {"photo", "x.jxl", "~$a.png", "thumbnail.jpg"} == set()


@pytest.mark.parametrize("folder", FOREIGN_FOLDERS)
def test_a_folder_of_another_program_that_is_given_by_name_is_taken(topic, capsys, folder):
    (topic / folder).mkdir()
    draw_image(60).save(topic / folder / "thumbnail.jpg")
    main = importlib.import_module("dataset_stats").main
    assert cli.run_script(main, [str(topic / folder), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["total_files"] == 1


def test_a_folder_of_unread_images_alone_says_so(tmp_path, run, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / TOPIC).mkdir(parents=True)
    for name in ("a.jxl", "b.jxl"):
        (tmp_path / TOPIC / name).write_bytes(b"\xff\x0a")
    for script in SCRIPTS:
        status, _, talk = run(script)
        assert status == 2
        assert re.search("DS: no.* images .*; 2 .jxl files are not read: save them as", talk), talk
        assert talk.count("not read") == 1
    draw_image(1).save(tmp_path / TOPIC / "a.png")
    assert run("dataset_stats")[0] == 0


CAPTIONS = {  # content, its text in an export, and what dataset_stats.py says of it
    "utf8": ("夜".encode(), "夜", ()),
    "mark": (b"\xef\xbb\xbfan owl", "an owl", ("caption_with_bom",)),
    "lines": (b"an owl\r\nat night\r\n", "an owl\nat night\n", ()),
    "utf16": ("夜".encode("utf-16"), "夜", ("caption_not_utf8",)),
    "utf16_big": (b"\xfe\xff" + "夜".encode("utf-16-be"), "夜", ("caption_not_utf8",)),
    "latin": (b"caf\xe9", "", ("caption_not_utf8",)),
}


@pytest.mark.parametrize("name", CAPTIONS)
def test_captions_of_other_encodings_are_read_or_named_and_then_saved_as_utf8(topic, run, name):
    content, text, kinds = CAPTIONS[name]
    (topic / "a.txt").write_bytes(content)
    (topic / "b.txt").write_text("another")
    run("aesthetic_scorer")

    def check(kinds: tuple[str, ...], expected: str) -> None:
        checks = run("dataset_stats")[1]["for_trainers"]
        about_texts = ("empty_caption", "caption_not_utf8", "caption_with_bom")
        assert {kind for kind in about_texts if checks[kind]["count"]} == set(kinds)
        odd = [] if expected else [str(topic / "a.txt")]
        assert run("split_data")[1].get("odd_captions", []) == odd
        status, split, _ = run("split_data", "--export", "ready")
        assert status == 0 and split["export"].get("odd_captions", []) == odd
        if expected:
            (exported,) = Path("ready").rglob("a.txt")
            assert exported.read_bytes().decode() == expected

    check(kinds, text)
    if not text:
        (topic / "a.txt").write_text(content.decode("latin-1"), "utf-8")
        check((), "café")


def test_a_pipeline_says_each_warning_and_each_broken_file_once(make_topic, tmp_path):
    for number, place in enumerate(("Animals/Birds/Owls", "Animals/Birds/Geese", "Plants/A/B")):
        topic = make_topic(f"DS/{place}", "a.png", "b.png", "c.png", seed=number + 1)
        for name, content in (("torn.jpg", JPEG[:900]), ("x.jxl", b"\xff\x0a"), ("a.jpg", b"")):
            (topic / name).write_bytes(content)
        (topic / "link.jpg").symlink_to("nowhere.jpg")
    draw_image(1).save(tmp_path / "DS/loose.png")
    options = ("--output", tmp_path / "full", "--model", "tiny", "--workers", "0")
    command = [ROOT / "pipeline.sh", tmp_path / "DS", *options]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    warned = [line for line in ended.stderr.splitlines() if line.startswith(("⚠", "❌"))]
    assert len(warned) == len(set(warned)) == 4 + 6, "\n".join(warned)
    assert ended.stderr.count("🔕 as said before: ") >= 5
