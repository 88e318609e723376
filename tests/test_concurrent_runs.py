"""Two runs at once on one tree write what one after the other would write; nothing is lost."""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import ROOT, draw_image
from towers import save_head

from common import atomic_files, cache, json_files, locks, topic_scores
from common.cache import Provenance
from common.clip import model
from common.topics import Topic

TINY = ["--model", "tiny", "--workers", "0", "--quiet"]


def topic_of(folder: Path) -> Topic:
    return Topic(str(folder), *folder.parts[-4:], image_count=0)


def dataset_of(root: Path, topics: int, images: int) -> Path:
    for number in range(topics):
        folder = root / "DataSet/C/S" / f"T{number}"
        folder.mkdir(parents=True)
        for image in range(images):
            picture = draw_image(number * images + image % (images - 1))
            # The last one shows the first one in other bytes, so that a pair is compared.
            picture.save(folder / f"{image:03}.png", compress_level=1 + image // (images - 1))
    return root / "DataSet"


def start(script: str, *args: object, **options) -> subprocess.Popen:
    command = [sys.executable, str(ROOT / script), *map(str, args)]
    return subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, **options
    )


def wait_for(*runs: subprocess.Popen) -> None:
    for run in runs:
        _, said = run.communicate(timeout=300)
        assert run.returncode == 0, said


# The lock


COUNT = """
import sys, time
from common import cache, locks
from common.topics import Topic
topic = Topic(sys.argv[1], "D", "C", "S", "T", 0)
stamps = topic.image_stamps()
for name in sys.argv[2:]:
    with locks.topic_lock(topic):
        known = cache.load_cache(topic)
        time.sleep(0.003)  # between what is read and what is written
        cache.update_cache(topic, {**known.extents, name: (stamps[name], (1, 1))})
"""


def test_no_update_is_lost_between_reading_and_writing(make_topic) -> None:
    names = [f"{number}.png" for number in range(40)]
    folder = make_topic("D/C/S/T", *names)
    runs = [
        subprocess.Popen([sys.executable, "-c", COUNT, str(folder), *names[number::4]], cwd=ROOT)
        for number in range(4)
    ]
    assert [run.wait(60) for run in runs] == [0, 0, 0, 0]
    assert sorted(cache.load_cache(topic_of(folder)).extents) == sorted(names)
    assert os.listdir(folder / ".cache") == ["images.json"]


def test_a_lock_dies_with_its_holder_and_may_be_held_twice_by_a_thread(tmp_path: Path) -> None:
    path = str(tmp_path / ".cache/lock")
    code = "import sys, time; from common import locks\n"
    code += "with locks.file_lock(sys.argv[1]): print(flush=True); time.sleep(99)"
    run = subprocess.Popen([sys.executable, "-c", code, path], cwd=ROOT, stdout=subprocess.PIPE)
    assert run.stdout and run.stdout.readline()
    assert locks.try_lock(path) is None
    run.kill()
    run.wait()
    with locks.file_lock(path), locks.file_lock(path):
        pass
    assert not os.path.exists(path)


@pytest.mark.parametrize("link", [os.link, os.symlink])
def test_a_claim_writes_into_no_file_of_another_name(make_topic, link) -> None:
    topic = topic_of(make_topic("D/C/S/T", "a.png"))
    (folder := Path(cache.make_cache_folder(topic))).joinpath("precious").write_text("precious")
    link(folder / "precious", folder / "phash.claim")
    claimed = locks.Claims("phash", None)  # type: ignore[arg-type]
    assert claimed.try_claim(topic) or claimed.try_claim(topic)
    assert (folder / "precious").read_text() == "precious"


def test_scores_survive_the_deletion_of_the_cache_meanwhile(make_topic) -> None:
    folder = make_topic("D/C/S/T", "a.png")
    topic = topic_of(folder)
    code = "import shutil, sys, time\n"
    code += "while True: shutil.rmtree(sys.argv[1], ignore_errors=True); time.sleep(0.1)"
    run = subprocess.Popen([sys.executable, "-c", code, str(folder / ".cache")])
    try:
        for number in range(100):
            topic_scores.write_scores_with_provenance(
                topic, {"a.png": number}, Provenance({}, topic.image_stamps())
            )
    finally:
        run.kill()
        run.wait()
    assert topic_scores.read_scores(topic) == {"a.png": 99}


# Scores, and what made them


KILLED = """
import os, sys
from common import cache, json_files, topic_scores
from common.cache import Provenance
from common.topics import Topic
topic = Topic(sys.argv[1], "D", "C", "S", "T", 0)
left, replace = [int(sys.argv[2])], os.replace
def dying(source, target):
    if not left[0]:
        os._exit(9)
    left[0] -= 1
    replace(source, target)
os.replace = dying
made = Provenance({"head": "new"}, topic.image_stamps())
topic_scores.write_scores_with_provenance(topic, {"a.png": 2.0}, made)
"""


@pytest.mark.parametrize("earlier", [False, True])
@pytest.mark.parametrize("writes", range(4))
def test_killed_between_any_two_writes_scores_and_their_provenance_agree(
    make_topic, writes: int, earlier: bool
) -> None:
    folder = make_topic("D/C/S/T", "a.png")
    topic = topic_of(folder)
    if earlier:
        topic_scores.write_scores_with_provenance(
            topic, {"a.png": 1.0}, Provenance({"head": "old"}, topic.image_stamps())
        )
    run = subprocess.run([sys.executable, "-c", KILLED, str(folder), str(writes)], cwd=ROOT)
    assert run.returncode in (0, 9)
    scores, known, _ = topic_scores.read_scores_with_provenance(topic)
    found = (scores.get("a.png"), known.scores and known.scores.made_by["head"])
    assert found in ([(1.0, "old"), (2.0, "new")] if earlier else [(None, None), (2.0, "new")])


SEARCHED = (
    KILLED.rpartition("topic_scores.write_scores")[0]
    + """
files = {"duplicates": (json_files.copies_content({"a.png": {"b.png"}}), made)}
cache.write_with_provenance(topic, files)
"""
)


@pytest.mark.parametrize("earlier", [False, True])
@pytest.mark.parametrize("writes", range(4))
def test_killed_between_any_two_writes_a_search_and_its_provenance_agree(
    make_topic, writes: int, earlier: bool
) -> None:
    topic = topic_of(make_topic("D/C/S/T", "a.png"))
    if earlier:
        files = {
            "duplicates": (
                json_files.copies_content({"a.png": set()}),
                Provenance({"head": "old"}, topic.image_stamps()),
            )
        }
        cache.write_with_provenance(topic, files)
    run = subprocess.run([sys.executable, "-c", SEARCHED, topic.path, str(writes)], cwd=ROOT)
    assert run.returncode in (0, 9)
    found, known, _ = cache.read_with_provenance(
        topic, "duplicates", json_files.parse_copies, lambda: cache.load_cache(topic)
    )
    matched = found and bool(found["a.png"]), known.duplicates and known.duplicates.made_by["head"]
    assert matched in (
        [(False, "old"), (True, "new")] if earlier else [(None, None), (True, "new")]
    )


def test_a_provenance_holds_for_its_file_alone_and_one_without_digest_for_any(make_topic) -> None:
    folder = make_topic("D/C/S/T", "a.png")
    topic = topic_of(folder)
    topic_scores.write_scores_with_provenance(
        topic, {"a.png": 1.0}, Provenance({"head": "ours"}, topic.image_stamps())
    )
    (folder / "aesthetic_data.json").write_text('{"a.png": 9.0}')
    assert topic_scores.read_scores_with_provenance(topic)[1].scores is None
    cache.update_cache(
        topic, scores=Provenance({"head": "of an earlier version"}, topic.image_stamps())
    )
    assert topic_scores.read_scores_with_provenance(topic)[1].scores.made_by == {
        "head": "of an earlier version"
    }


def score(dataset: Path, *options: object) -> subprocess.CompletedProcess:
    command = [
        sys.executable,
        str(ROOT / "aesthetic_scorer.py"),
        str(dataset),
        *TINY,
        "--json",
        *map(str, options),
    ]
    return subprocess.run(command, capture_output=True, text=True)


def test_rescore_repairs_a_wrong_provenance_and_a_wrong_score(tmp_path: Path) -> None:
    dataset = dataset_of(tmp_path, 1, 3)
    assert score(dataset).returncode == 0
    file = dataset / "C/S/T0/aesthetic_data.json"
    right = file.read_bytes()
    topic = topic_of(dataset / "C/S/T0")
    made = cache.load_cache(topic).scores
    file.write_bytes(right.replace(b": ", b": 1"))
    assert score(dataset).returncode == 2
    cache.update_cache(
        topic, scores=Provenance(made.made_by, made.images)
    )  # as an earlier version may have left it
    assert json.loads(score(dataset).stdout)["scored"] == 0
    assert json.loads(score(dataset, "--rescore").stdout)["scored"] == 3
    assert file.read_bytes() == right


# Claims


SPY = """
import atexit, runpy, sys, time
from imaging import images
opened, open_image = [], images.open_image
def slowly(path, *args, **options):
    opened.append(path)
    time.sleep(0.05)
    return open_image(path, *args, **options)
images.open_image = slowly
sys.argv = sys.argv[1:]
atexit.register(lambda: print(len(opened), file=sys.stderr))
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def count_opened(dataset: Path, script: str, options: list[object], runs: int) -> int:
    """Start so many runs at once; return how often they opened an image."""
    command = [sys.executable, "-c", SPY, str(ROOT / script), str(dataset), *map(str, options)]
    begun = [
        subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) for _ in range(runs)
    ]
    said = [run.communicate(timeout=300)[1] for run in begun]
    assert [run.returncode for run in begun] == [0] * runs, said
    return sum(int(each.splitlines()[-1]) for each in said)


@pytest.mark.parametrize(
    "script, options",
    [
        ("aesthetic_scorer.py", TINY),
        ("aesthetic_scorer.py", [*TINY, "--no-cache"]),
        ("find_duplicates.py", ["--workers", "0", "--quiet"]),
    ],
)
def test_two_runs_share_the_work(tmp_path: Path, script: str, options: list[object]) -> None:
    dataset = dataset_of(tmp_path, 8, 4)
    together = count_opened(dataset, script, options, 2)
    left = [
        path.name for path in dataset.rglob(".cache/*") if path.name.endswith(("claim", "lock"))
    ]
    made = {path: path.read_bytes() for path in dataset.rglob("*_*.json")}
    for path in (*made, *dataset.rglob(".cache/*")):
        path.unlink()
    assert together <= 1.1 * count_opened(dataset, script, options, 1)
    assert made == {path: path.read_bytes() for path in dataset.rglob("*_*.json")} and left == []


HOLD = """
import sys, time
from common.locks import Claims
from common.topics import Topic
claims = Claims(sys.argv[2], None)
assert claims.try_claim(Topic(sys.argv[1], "D", "C", "S", "T", 0))
print(flush=True)
time.sleep(99)
"""


@pytest.mark.parametrize(
    "script, has_hashes",
    [("aesthetic_scorer.py", False), ("find_duplicates.py", False), ("find_duplicates.py", True)],
)
def test_a_claimed_topic_comes_last_and_is_waited_for(
    tmp_path: Path, script: str, has_hashes: bool
) -> None:
    dataset = dataset_of(tmp_path, 2, 4)
    if has_hashes:  # so that only verification is left to do
        wait_for(start("find_duplicates.py", dataset, "--threshold", 0))
        for path in (*dataset.rglob("looked.npz"), *dataset.rglob("duplicates_*")):
            path.unlink()
    tiny = model.resolve_model(argparse.Namespace(model="tiny", pretrained=None, fast_decode=False))
    scores = script == "aesthetic_scorer.py"
    free, claimed = (
        dataset / f"C/S/T{number}/aesthetic_data.json"
        if scores
        else dataset / f"C/S/duplicates_T{number}.json"
        for number in (1, 0)
    )
    command = [
        sys.executable,
        "-c",
        HOLD,
        str(dataset / "C/S/T0"),
        tiny.sidecar if scores else "phash",
    ]
    holder = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)
    assert holder.stdout and holder.stdout.readline()
    run = start(script, dataset, "--workers", 0, *(["--model", "tiny"] if scores else []))
    assert run.stderr
    said = next(line for line in run.stderr if "waiting" in line)
    assert "T0" in said and str(holder.pid) in said and socket.gethostname() in said
    while not free.exists():
        assert run.poll() is None
        time.sleep(0.05)
    assert not claimed.exists()
    holder.kill()
    holder.communicate()
    wait_for(run)
    assert claimed.exists() and not list(dataset.rglob(".cache/*.claim"))


def test_work_is_done_if_no_claim_can_be_had(tmp_path: Path) -> None:
    dataset = dataset_of(tmp_path, 1, 3)
    (dataset / "C/S/T0/.cache/phash.claim").mkdir(parents=True)
    wait_for(start("find_duplicates.py", dataset))
    assert list(dataset.rglob("duplicates_T0.json"))


# Whole runs


DIM = 192  # of the tiny model


@pytest.fixture
def world(
    tmp_path: Path,
) -> tuple[Path, list[list[object]], dict[str, dict[str, bytes]], dict[str, bytes]]:
    """A dataset, the options of two scorings, what each makes of it alone, what a search finds."""
    dataset = dataset_of(tmp_path, 3, 5)
    scorings = [
        [*TINY, "--rescore"],
        [*TINY, "--rescore", "--head", save_head(tmp_path / "other.pth", DIM)],
    ]
    alone = {}
    for scoring in scorings:
        wait_for(start("aesthetic_scorer.py", dataset, *scoring))
        paths = sorted(dataset.rglob("aesthetic_data.json"))
        _, known, _ = topic_scores.read_scores_with_provenance(topic_of(paths[0].parent))
        assert known.scores
        alone[known.scores.made_by["head"]] = {
            path.parent.name: path.read_bytes() for path in paths
        }
    wait_for(start("find_duplicates.py", dataset, "--quiet"))
    found = {path.name: path.read_bytes() for path in dataset.rglob("duplicates_*.json")}
    assert len(alone) == 2 and len(found) == 3
    return dataset, scorings, alone, found


def check(world) -> None:
    """Check that each topic has one head's scores with provenance, and the search's results."""
    dataset, _, alone, found = world
    for path in sorted(dataset.rglob("aesthetic_data.json")):
        topic = topic_of(path.parent)
        _, known, _ = topic_scores.read_scores_with_provenance(topic)
        assert known.scores and known.duplicates
        assert path.read_bytes() == alone[known.scores.made_by["head"]][topic.name]
        assert known.scores.images == known.duplicates.images == topic.image_stamps()
        assert known.duplicates.digest == atomic_files.file_digest(
            json_files.duplicates_path(topic)
        )
        assert len(known.extents) == 5
        lock = topic.path_of(".cache/lock")
        left = locks.try_lock(lock)  # a killed run leaves the file, but nothing locked
        assert left is not None
        locks.unlock(lock, left)
    assert {path.name: path.read_bytes() for path in dataset.rglob("duplicates_*.json")} == found


def overlap(world, times: int, seed: int = 0) -> None:
    dataset, (one, other), *_ = world
    rng = random.Random(seed)
    search = ["--quiet", "--workers", "0", "--threshold"]
    for round_number in range(times):
        shutil.rmtree(dataset / "C/S/T1/.cache")
        pairs = [
            (("aesthetic_scorer.py", one), ("aesthetic_scorer.py", other)),
            (("aesthetic_scorer.py", one), ("aesthetic_scorer.py", one)),
            (("aesthetic_scorer.py", other), ("find_duplicates.py", [*search, 14])),
            (("find_duplicates.py", [*search, 14]), ("find_duplicates.py", [*search, 13])),
        ]
        for pair in pairs:
            runs = []
            for script, options in pair:
                runs.append(start(script, dataset, *options))
                time.sleep(rng.random() / 5)
            wait_for(*runs)
        wait_for(start("aesthetic_scorer.py", dataset, *(one, other)[round_number % 2]))
        wait_for(start("find_duplicates.py", dataset, *search, 14))
        check(world)


def test_runs_that_overlap_leave_what_one_after_the_other_would(world) -> None:
    overlap(world, 1)


@pytest.mark.soak
def test_fifty_pairs_of_each_kind(world) -> None:
    overlap(world, 50)


def kill_one(world, times: int) -> None:
    dataset, (one, other), *_ = world
    rng = random.Random(times)
    for _ in range(times):
        killed, finishing = (
            start("aesthetic_scorer.py", dataset, *one),
            start("aesthetic_scorer.py", dataset, *other),
        )
        time.sleep(rng.uniform(0.5, 4))
        killed.send_signal(signal.SIGKILL)
        killed.communicate()
        wait_for(finishing)
        check(world)


def test_one_of_two_is_killed_and_the_other_finishes(world) -> None:
    kill_one(world, 1)


@pytest.mark.soak
def test_one_of_two_is_killed_at_thirty_moments(world) -> None:
    kill_one(world, 30)


def merge_twice(root: Path, times: int) -> None:
    """Check that two merges leave what one does; one may be refused while the other works."""
    dataset = dataset_of(root, 2, 4)
    merge = ["--output", root / "alone", "--quiet"]
    wait_for(start("merge_clusters.py", dataset, *merge))

    def files(target: Path) -> dict[str, bytes]:
        found = {
            str(p.relative_to(target)): p.read_bytes()
            for p in sorted(target.rglob("*"))
            if p.is_file()
        }
        return {
            name: content
            for name, content in found.items()
            if ".cache" not in name and "manifest" not in name
        }

    rng = random.Random(times)
    for number in range(times):
        target = root / f"target{number}"
        runs = []
        for _ in range(2):
            runs.append(start("merge_clusters.py", dataset, "--output", target, "--quiet"))
            time.sleep(rng.random() / 10)
        said = [run.communicate(timeout=300)[1] for run in runs]
        assert sorted(run.returncode for run in runs) in ([0, 0], [0, 2]), said
        assert files(target) == files(root / "alone")
        shutil.rmtree(target)


def test_two_merges_into_one_target_leave_what_one_would(tmp_path: Path) -> None:
    merge_twice(tmp_path, 2)


@pytest.mark.soak
def test_fifty_pairs_of_merges(tmp_path: Path) -> None:
    merge_twice(tmp_path, 50)
