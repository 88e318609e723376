"""dataset_stats.py against independent counts, and its summary against a golden file."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import struct
import sys
import zlib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import zoo
from conftest import ROOT, draw_image, run_script
from PIL import Image, ImageSequence
from wcwidth import wcswidth

import dataset_stats
from common import cli
from reports import caption_checks

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture
def stats(tmp_path, capsys):
    """Run the script in this process. stats(*arguments) returns JSON, stdout and stderr."""

    def run(*arguments, status=0):
        output = tmp_path / "stats.json"
        assert (
            cli.run_script(dataset_stats.main, [*map(str, arguments), "--output", str(output)])
            == status
        )
        said = capsys.readouterr()
        return (json.loads(output.read_text()) if output.exists() else None), said.out, said.err

    return run


def saved(folder: Path, name: str, size: tuple[int, int], **options) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    Image.new("L", size).save(folder / name, **options)
    return folder / name


def turned(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def test_the_whole_json(make_topic, stats, tmp_path):
    owls = make_topic("Set/Animals/Birds/Owls", "a.jpg", "b.PNG", "c.jpeg")
    make_topic("Set/Animals/Birds/Empty")
    night = make_topic("Set/Scenes/City/Night", *(f"{n:02}.webp" for n in range(15)))
    (owls / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no more")
    (owls / "caption.txt").write_text("no image")
    (owls / "c.jpeg").rename(owls / "c.png")
    size = {path.name: path.stat().st_size for path in (*owls.iterdir(), *night.iterdir())}
    webp = sum(size[f"{n:02}.webp"] for n in range(15))
    jpg, png = size["a.jpg"] + size["broken.jpg"], size["b.PNG"] + size["c.png"]
    folder = {"bytes": jpg + png, "images": 4, "topics": 2, "unreadable": 1}
    one = {"bytes": jpg + png, "images": 4, "topics": 1, "unreadable": 1}
    scenes = {"bytes": webp, "images": 15, "topics": 1, "unreadable": 0}
    data, _, err = stats(tmp_path / "Set")
    (broken,) = data.pop("unreadable_files")
    assert broken["path"] == "Set/Animals/Birds/Owls/broken.jpg"
    assert broken["reason"]
    assert data == {
        "total_files": 19,
        "bytes": jpg + png + webp,
        "file_type_counts": {"jpg": 2, "png": 2, "webp": 15},
        "file_type_bytes": {"jpg": jpg, "png": png, "webp": webp},
        "format_counts": {"JPEG": 2, "PNG": 1, "WEBP": 15},
        "cluster_image_counts": {"Animals": 4, "Scenes": 15},
        "resolution_counts": {"64x48": 18},
        "resolution_groups": {"small": 18, "medium": 0, "large": 0},
        "megapixels": dict.fromkeys(("min", "p5", "q1", "median", "q3", "p95", "max"), 0.0031),
        "aspect_ratios": dict.fromkeys(("min", "p5", "q1", "median", "q3", "p95", "max"), 1.3333),
        "short_sides": dict.fromkeys(("min", "p5", "q1", "median", "q3", "p95", "max"), 48),
        "short_side_at_least": {"256": 0, "512": 0, "768": 0, "1024": 0},
        "orientations": {"landscape": 18, "portrait": 0, "square": 0},
        "datasets": {
            "Set": {"bytes": jpg + png + webp, "images": 19, "topics": 3, "unreadable": 1}
        },
        "clusters": {"Set/Animals": folder, "Set/Scenes": scenes},
        "subclusters": {"Set/Animals/Birds": folder, "Set/Scenes/City": scenes},
        "topics": {
            "Set/Animals/Birds/Empty": {"bytes": 0, "images": 0, "topics": 1, "unreadable": 0},
            "Set/Animals/Birds/Owls": one,
            "Set/Scenes/City/Night": scenes,
        },
        "empty_topics": ["Set/Animals/Birds/Empty"],
        "small_topics": {"Set/Animals/Birds/Owls": 3},
        "misnamed": 1,
        "misnamed_files": [{"path": "Set/Animals/Birds/Owls/c.png", "format": "JPEG"}],
        "unreadable": 1,
        "for_trainers": {
            **{kind: {"count": 0, "examples": []} for kind in caption_checks.CHECKS},
            "caption_without_image": {
                "count": 1,
                "examples": [{"path": "Set/Animals/Birds/Owls/caption.txt"}],
            },
        },
    }
    assert err.splitlines()[-1] == "19 images found = 18 counted + 1 unreadable"


@pytest.mark.parametrize(
    ("size", "group"),
    [
        ((1000, 499), "small"),
        ((1000, 500), "medium"),
        ((2000, 1000), "medium"),
        ((2000, 1001), "large"),
        ((1, 1), "small"),
    ],
)
def test_groups_have_their_borders(tmp_path, stats, size, group):
    saved(tmp_path / "Set/C/S/T", "a.png", size)
    data, _, _ = stats(tmp_path / "Set")
    assert {name for name, count in data["resolution_groups"].items() if count} == {group}


def late_exif(path: Path, orientation: int) -> None:
    """Put a PNG's EXIF behind its pixels, as some programs do."""
    exif = turned(orientation).tobytes().removeprefix(b"Exif\0\0")
    chunk = (
        struct.pack(">I", len(exif))
        + b"eXIf"
        + exif
        + struct.pack(">I", zlib.crc32(b"eXIf" + exif))
    )
    content = path.read_bytes()
    path.write_bytes(content[:-12] + chunk + content[-12:])


@pytest.mark.parametrize("kind", ["jpg", "png", "webp", "tif"])
@pytest.mark.parametrize("orientation", [1, 3, 5, 6, 7, 8, 9])
def test_orientation_swaps_the_sides(tmp_path, stats, kind, orientation):
    saved(tmp_path / "Set/C/S/T", f"a.{kind}", (30, 20), exif=turned(orientation))
    data, _, _ = stats(tmp_path / "Set")
    assert data["resolution_counts"] == {"20x30" if 5 <= orientation <= 8 else "30x20": 1}


def test_orientation_behind_the_pixels_of_a_png(tmp_path, stats):
    late_exif(saved(tmp_path / "Set/C/S/T", "a.png", (30, 20)), 6)
    data, _, _ = stats(tmp_path / "Set")
    assert data["resolution_counts"] == {"20x30": 1}


def test_headers_alone_are_read(tmp_path, stats):
    """Files cut off behind their header count: their pixels are nobody's business here."""
    folder = tmp_path / "Set/C/S/T"
    for name in ("a.jpg", "b.png", "c.bmp"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        draw_image(1, (400, 300)).save(path)
        os.truncate(path, 1000)
    data, _, _ = stats(tmp_path / "Set")
    assert (data["unreadable"], data["resolution_counts"]) == (0, {"400x300": 3})


def test_unreadable_images_are_listed_everywhere(make_topic, stats, tmp_path):
    topic = make_topic("Set/C/S/T", "good.png")
    (topic / "empty.jpg").touch()
    (topic / "page.png").write_text("<html>404</html>")
    bad = tmp_path / "bad.jsonl"
    data, out, err = stats(tmp_path / "Set", "--bad-files", bad, "--strict", status=1)
    assert [file["path"] for file in data["unreadable_files"]] == [
        "Set/C/S/T/empty.jpg",
        "Set/C/S/T/page.png",
    ]
    assert [json.loads(line)["path"] for line in bad.read_text().splitlines()] == [
        str(topic / "empty.jpg"),
        str(topic / "page.png"),
    ]
    assert "empty file" in out and "empty file" in err
    assert data["total_files"] == 3 == sum(data["file_type_counts"].values())


def test_nothing_but_unreadable_images(tmp_path, stats):
    topic = tmp_path / "Set/C/S/T"
    topic.mkdir(parents=True)
    (topic / "a.jpg").touch()
    data, out, _ = stats(tmp_path / "Set")
    assert (data["megapixels"], data["unreadable"]) == ({}, 1)
    assert "1 unreadable image" in out


def test_more_pixels_than_allowed(make_topic, stats, tmp_path):
    make_topic("Set/C/S/T", "a.png")
    data, _, _ = stats(tmp_path / "Set", "--max-pixels", 100)
    assert "--max-pixels" in data["unreadable_files"][0]["reason"]


def test_two_datasets_of_one_name_stay_apart_and_clusters_add_up(make_topic, stats, tmp_path):
    make_topic("here/Set/C/S/T", "a.png")
    make_topic("there/Set/C/S/T", "a.png", "b.png")
    data, _, _ = stats(tmp_path / "here/Set", tmp_path / "there/Set")
    assert data["cluster_image_counts"] == {"C": 3}
    assert {path: held["images"] for path, held in data["topics"].items()} == {
        str(tmp_path / "here/Set/C/S/T"): 1,
        str(tmp_path / "there/Set/C/S/T"): 2,
    }


def test_photos_against_an_independent_count(photos, stats, tmp_path):
    """The judge walks the tree by itself and asks Pillow for the pixels' own size."""
    for number, file in enumerate(random.Random(1).sample(photos, 60)):
        topic = tmp_path / f"Set/C{number % 3}/S/T{number % 5}"
        topic.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, topic / f"{file.stem}.jpg")
    sizes = []
    for folder, _, names in os.walk(tmp_path / "Set"):
        sizes += [Image.open(os.path.join(folder, name)).convert("RGB").size for name in names]
    data, _, _ = stats(tmp_path / "Set")
    assert data["total_files"] == len(sizes)
    assert data["resolution_counts"] == {f"{w}x{h}": n for (w, h), n in Counter(sizes).items()}
    area = [round(w * h / 1e6, 4) for w, h in sizes]
    assert data["megapixels"]["median"] == np.median(area)
    assert list(data["megapixels"].values()) == pytest.approx(
        [
            np.quantile(
                area,
                {
                    "max": 1,
                    "median": 0.5,
                    "min": 0,
                    "p5": 0.05,
                    "p95": 0.95,
                    "q1": 0.25,
                    "q3": 0.75,
                }[k],
            )
            for k in data["megapixels"]
        ]
    )
    assert data["bytes"] == sum(path.stat().st_size for path in (tmp_path / "Set").rglob("*.jpg"))


def bits(path: Path) -> int:
    """Bits per channel, from the header of a PNG or the tags of a TIFF; else 8."""
    content = path.read_bytes()
    if content.startswith(b"\x89PNG"):
        return content[24]
    with Image.open(path) as image:
        return max(image.tag_v2.get(258, (1,))) if image.format == "TIFF" else 8


def frames(path: Path) -> int:
    """Frames that Pillow can go to, one after the other."""
    with Image.open(path) as image:
        return 1 if image.format == "MPO" else sum(1 for _ in ImageSequence.Iterator(image))


def orientation(path: Path) -> int:
    """The EXIF orientation by Pillow, of the whole image; loading a TIFF removes it."""
    with Image.open(path) as image:
        value = image.tag_v2.get(0x0112, 1) if image.format == "TIFF" else 1
        with contextlib.suppress(Exception):
            image.load()
            value = max(value, image.getexif().get(0x0112, 1))
        return value


def test_what_trainers_trip_over_in_images_against_a_look_at_each(stats, tmp_path):
    """The judge decodes every picture; a trainer's list of suffixes is that of sd-scripts."""
    folder = tmp_path / "Set/C/S/T"
    names = zoo.write_readable_files(folder)
    for name in ("shout.JPEG", "mixed.Jpg", "page.TIF"):
        draw_image(5).save(folder / name)
    names = sorted([*names, "shout.JPEG", "mixed.Jpg", "page.TIF"])
    judged: dict[str, list[str]] = {kind: [] for kind in caption_checks.CHECKS}
    taken = [
        end
        for suffix in ("png", "jpg", "jpeg", "webp", "bmp")
        for end in (f".{suffix}", f".{suffix.upper()}")
    ]
    for name in names:
        path = folder / name
        with Image.open(path) as image:
            can_have_alpha = image.format not in ("JPEG", "MPO") and image.mode not in (
                "CMYK",
                "LAB",
                "F",
            )
            alpha = image.convert("RGBA").getchannel("A") if can_have_alpha else None
            has_alpha = alpha is not None and (
                alpha.getextrema()[0] < 255 or "A" in image.getbands()
            )
            facts = {
                "turned": 2 <= orientation(path) <= 8,
                "cmyk": image.mode == "CMYK",
                "deep": bits(path) > 8,
                "transparent": has_alpha,
                "animated": frames(path) > 1,
                "skipped_suffix": not name.endswith(tuple(taken)),
                "same_stem": [other.rpartition(".")[0] for other in names].count(
                    name.rpartition(".")[0]
                )
                > 1,
            }
        for kind, is_so in facts.items():
            judged[kind] += [f"Set/C/S/T/{name}"] * is_so
    data, _, _ = stats(tmp_path / "Set")
    found = {
        kind: [example["path"] for example in one["examples"]]
        for kind, one in data["for_trainers"].items()
    }
    assert found == judged
    assert {kind: one["count"] for kind, one in data["for_trainers"].items()} == {
        k: len(p) for k, p in judged.items()
    }
    assert all(
        judged[kind]
        for kind in ("turned", "cmyk", "deep", "transparent", "animated", "skipped_suffix")
    )


CAPTIONS = {
    "plain.txt": b"an owl\n",
    "form.jpg.txt": b"an owl",
    "named.caption": b"an owl",
    "nothing.txt": b"",
    "spaces.txt": b" \n\t\r\n",
    "latin.txt": "café".encode("latin-1"),
    "mark.txt": b"\xef\xbb\xbfan owl",
    "only_mark.txt": b"\xef\xbb\xbf",
    "wide.txt": "an owl".encode("utf-16"),
    "wide_space.txt": " ".encode("utf-16"),
    "cut.txt": "夕".encode()[:2],
    "long.txt": b"xx" + "夕".encode() * 30_000,  # the end of what is read cuts a letter in two
    "late.txt": b"x" * 70_000 + b"\xff",  # beyond what is read
}


def test_what_trainers_trip_over_in_captions_against_a_look_at_each(make_topic, stats, tmp_path):
    topic = make_topic(
        "Set/C/S/T", *(f"{name.split('.')[0]}.jpg" for name in CAPTIONS), "bare.jpg", "bare_too.png"
    )
    for name, content in {
        **CAPTIONS,
        "stray.txt": b"x",
        "x.caption": b"x",
        ".hidden.txt": b"x",
    }.items():
        (topic / name).write_bytes(content)
    (topic / "locked.txt").symlink_to("/proc/self/mem")  # opens, and cannot be read
    make_topic("Set/C/S/Uncaptioned", "a.jpg", "b.jpg")
    make_topic("Set/C/S/T", "locked.jpg")

    def judged(name: str) -> set[str]:
        content = CAPTIONS[name][: 64 << 10]
        kinds = {"caption_with_bom"} if content[:3] == b"\xef\xbb\xbf" else set()
        if content[:2] == b"\xff\xfe":  # of UTF-16: one problem, not two
            is_empty = not content.decode("utf-16").strip()
            return {"caption_not_utf8"} | ({"empty_caption"} if is_empty else set())
        try:
            said = content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            if len(CAPTIONS[name]) > 64 << 10 and error.start > len(content) - 4:
                return kinds
            return kinds | {"caption_not_utf8"}
        return kinds | (set() if said.strip() else {"empty_caption"})

    expected = {
        kind: sorted(f"Set/C/S/T/{name}" for name in CAPTIONS if kind in judged(name))
        for kind in ("empty_caption", "caption_not_utf8", "caption_with_bom")
    }
    expected["without_caption"] = ["Set/C/S/T/bare.jpg", "Set/C/S/T/bare_too.png"]
    expected["caption_without_image"] = ["Set/C/S/T/stray.txt", "Set/C/S/T/x.caption"]
    expected["unreadable_caption"] = ["Set/C/S/T/locked.txt"]
    data, out, _ = stats(tmp_path / "Set")
    found = {
        kind: [example["path"] for example in data["for_trainers"][kind]["examples"]]
        for kind in expected
    }
    assert found == expected
    assert all(
        data["for_trainers"][kind]["count"] == len(paths) for kind, paths in expected.items()
    )
    assert "4 empty" not in out and "4 captions without text" in out


def test_many_of_a_kind_are_counted_and_some_are_named(stats, tmp_path):
    for number in range(120):
        saved(tmp_path / "Set/C/S/T", f"{number:03}.gif", (3, 3))
    data, out, _ = stats(tmp_path / "Set", "--html", tmp_path / "page.html")
    kind = data["for_trainers"]["skipped_suffix"]
    assert (kind["count"], len(kind["examples"])) == (120, caption_checks.MAX_EXAMPLES)
    assert kind["examples"][0] == {"path": "Set/C/S/T/000.gif", "why": ".gif"}
    lines = out.splitlines()
    place = lines.index("   120 images that trainers skip by suffix")
    assert lines[place + 3] == "      … and 118 more"
    assert "120 images that trainers skip by suffix" in (tmp_path / "page.html").read_text()


def test_a_gif_that_breaks_behind_its_first_frame_still_counts(stats, tmp_path):
    folder = tmp_path / "Set/C/S/T"
    zoo.write_readable_files(folder)
    content = (folder / "animated.gif").read_bytes()
    for length in range(800, len(content), 97):
        (folder / f"cut{length}.gif").write_bytes(content[:length])
    data, _, _ = stats(tmp_path / "Set")
    assert data["unreadable"] == 0


def build_for_golden(tmp_path: Path) -> Path:
    sizes = [(1920, 1080)] * 4 + [(500, 375)] * 9 + [(800, 1000)] * 3 + [(333, 500)] * 2
    for number, size in enumerate(sizes):
        topic = ("Animals/Birds/Owls", "Scenes/夜景/Night 🌃")[number % 2]
        path = saved(
            tmp_path / "Set" / topic, f"{number:02}.{('bmp', 'gif', 'png')[number % 3]}", size
        )
        os.truncate(path, 1000)  # what a compressor makes of the pixels must not show
    (tmp_path / "Set/Animals/Birds/Empty").mkdir()
    (tmp_path / "Set/Animals/Birds/Owls/broken.jpg").touch()
    (tmp_path / "Set/Animals/Birds/Owls/00.bmp").rename(tmp_path / "Set/Animals/Birds/Owls/00.jfif")
    return tmp_path / "Set"


def test_summary_is_the_golden_one(tmp_path, stats):
    _, out, _ = stats(build_for_golden(tmp_path))
    golden = (GOLDEN / "dataset_stats.txt").read_text()
    out, _, next_step = out.replace(str(tmp_path), "/tmp").partition("👉 next: ")
    assert out == golden
    assert next_step.endswith("/aesthetic_scorer.py /tmp/Set\n")


def test_summary_fits_80_columns_whatever_the_names(tmp_path, stats):
    hard = (
        "x" * 200,
        "フ" * 60,
        "🦉" * 40,
        "e\u0301" * 70,
        "a\nb\x1b[31m",
        "<img src=x onerror=alert(1)>",
        "\udcff",
    )
    for name in hard:
        topic = tmp_path / "Set" / name / "S" / name
        saved(topic, "a.png", (123, 45678))
        (topic / f"{name[:50]}.jpg").touch()
    _, out, _ = stats(tmp_path / "Set", "--output", tmp_path / "x.json")
    wide = [line for line in out.splitlines() if not 0 <= wcswidth(line) <= 80]
    assert [line for line in wide if not line.startswith(("💾", "👉 next: "))] == []
    assert "\x1b" not in out


def test_json_is_the_file_and_a_second_run_touches_nothing(make_topic, stats, tmp_path):
    make_topic("Set/C/S/T", "a.png")
    data, out, _ = stats(tmp_path / "Set", "--json", "--quiet")
    assert json.loads(out) == data
    before = (tmp_path / "stats.json").stat()
    stats(tmp_path / "Set")
    assert (tmp_path / "stats.json").stat().st_mtime_ns == before.st_mtime_ns


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere"], "no such folder"),
        (["."], "no images found"),
        ([".", "--output", "no/such/stats.json"], "no such folder; make it"),
        ([".", "--html", "."], "is a folder; --html needs the name of a file"),
        ([".", "--max-pixels", "0"], "number of at least 1"),
    ],
)
def test_what_the_user_can_mend_is_one_line_and_status_2(tmp_path, arguments, said):
    done = run_script("dataset_stats.py", *arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr.splitlines()[-1]


def test_a_plain_terminal_gets_plain_letters(make_topic, tmp_path):
    make_topic("Set/C/S/T", "a.png")
    done = run_script(
        "dataset_stats.py",
        "Set",
        cwd=tmp_path,
        env={"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    )
    assert done.returncode == 0
    assert done.stdout.isascii()
    assert "####################" in done.stdout
    assert json.loads((tmp_path / "datasets_image_statistics.json").read_text())["total_files"] == 1


def test_neither_numpy_nor_torch_nor_jinja_is_loaded(make_topic, tmp_path):
    make_topic("Set/C/S/T", "a.png")
    code = (
        "import sys, dataset_stats; dataset_stats.main(['Set', '--quiet']); "
        "print(sorted({'numpy', 'torch', 'jinja2', 'open_clip'} & set(sys.modules)))"
    )
    done = run_script_code(code, tmp_path)
    assert done.splitlines()[-1] == "[]"


def run_script_code(code: str, folder: Path) -> str:
    import subprocess

    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
