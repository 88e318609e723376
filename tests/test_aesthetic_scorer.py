"""aesthetic_scorer.py as people run it: fresh, resumed, killed, re-headed, on every kind of
file.
"""

from __future__ import annotations

import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import zoo
from conftest import ROOT, draw_image, run_script
from safetensors.torch import load_file, save_file
from towers import SMALL, save_head, save_model

import aesthetic_scorer
from common import cli
from imaging import images

TOPIC = "DataSet/Cluster/Sub/Topic"


@pytest.fixture(scope="session")
def heads(tmp_path_factory) -> list[Path]:
    folder = tmp_path_factory.mktemp("heads")
    return [save_head(folder / f"{seed}.pth", 16, seed) for seed in range(2)]


@pytest.fixture
def options(tower, heads) -> list[str]:
    return [
        "--model",
        f"local-dir:{tower}",
        "--head",
        str(heads[0]),
        "--device",
        "cpu",
        "--workers",
        "0",
    ]


@pytest.fixture
def score(options, capsys) -> Callable[..., dict]:
    """Score in this process; the object that --json prints, with the exit status and what was said
    on stderr.
    """

    def run(*arguments: object) -> dict:
        capsys.readouterr()
        status = cli.run_script(aesthetic_scorer.main, [*options, "--json", *map(str, arguments)])
        said = capsys.readouterr()
        return {**json.loads(said.out or "{}"), "status": status, "said": said.err}

    return run


def scores(topic: Path) -> dict[str, float]:
    return json.loads((topic / "aesthetic_data.json").read_text())


def spoil(path: Path) -> None:
    """Make an image unreadable without changing its size or time: whoever opens it now will
    notice.
    """
    before = path.stat()
    path.write_bytes(b"\0" * before.st_size)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def forbid_opening(monkeypatch, *names: str) -> None:
    """Make images of these names, or all, unreadable to whoever opens one from now on."""
    open_image = images.open_image

    def guarded(path: str, *args, **options):
        if not names or os.path.basename(path) in names:
            raise images.Unreadable("opened")
        return open_image(path, *args, **options)

    monkeypatch.setattr(images, "open_image", guarded)


def tree(folder: Path) -> dict[str, bytes]:
    """Every JSON file below `folder` but for caches."""
    return {
        str(p.relative_to(folder)): p.read_bytes()
        for p in folder.rglob("*.json")
        if ".cache" not in p.parts
    }


def test_a_fresh_dataset(make_topic, tmp_path, score, tower, heads):
    make_topic(TOPIC, "b.png", "a.jpg")
    other = make_topic("DataSet/Cluster/Sub/Other topic", "a.jpg", seed=1)
    found = score(tmp_path / "DataSet")
    told = {
        key: found[key]
        for key in ("images", "scored", "already_scored", "unreadable", "topics", "status")
    }
    assert told == {
        "images": 3,
        "scored": 3,
        "already_scored": 0,
        "unreadable": 0,
        "topics": 2,
        "status": 0,
    }
    assert found["model"] == f"local-dir:{tower.name}"
    assert found["precision"] == "fp32"
    assert "3 images found = 3 scored" in found["said"]
    written = scores(tmp_path / TOPIC)
    assert list(written) == ["a.jpg", "b.png"]
    assert all(value == round(value, 4) for value in written.values())
    assert found["median_score"] == np.median([*written.values(), *scores(other).values()]).round(4)


@pytest.mark.parametrize(("batch", "workers"), [(1, 0), (7, 2), (64, 2)])
def test_batches_and_workers_do_not_matter(make_topic, tmp_path, score, batch, workers):
    for number in range(3):
        make_topic(f"{TOPIC}{number}", *(f"{i}.jpg" for i in range(5)), seed=number)
    score(tmp_path / "DataSet")
    expected = {name: json.loads(text) for name, text in tree(tmp_path).items()}
    shutil.rmtree(tmp_path / f"{TOPIC}1/.cache")
    score(
        tmp_path / "DataSet", "--rescore", "--no-cache", "--batch-size", batch, "--workers", workers
    )
    for name, text in tree(tmp_path).items():
        assert json.loads(text) == pytest.approx(expected[name], abs=0.0005)


def test_a_second_run_opens_no_image_and_loads_no_torch(make_topic, tmp_path, score, options):
    topic = make_topic(TOPIC, "a.jpg", "b.jpg")
    score(topic)
    before = {path: path.stat().st_mtime_ns for path in topic.rglob("*")}
    code = (
        "import sys, imaging.images, aesthetic_scorer; imaging.images.open_image = None; "
        f"aesthetic_scorer.main({[*options, str(topic)]!r}); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True)
    assert {path: path.stat().st_mtime_ns for path in topic.rglob("*")} == before


def test_new_changed_and_vanished_images(make_topic, tmp_path, score, monkeypatch):
    topic = make_topic(TOPIC, "a.jpg", "b.jpg", "c.jpg")
    score(topic)
    first = scores(topic)
    (topic / "a.jpg").unlink()
    draw_image(50).save(topic / "b.jpg")
    draw_image(51).save(topic / "d.jpg")
    forbid_opening(monkeypatch, "c.jpg")
    found = score(topic)
    assert (found["scored"], found["already_scored"], found["unreadable"]) == (2, 1, 0)
    second = scores(topic)
    assert list(second) == ["b.jpg", "c.jpg", "d.jpg"]
    assert second["c.jpg"] == first["c.jpg"]
    assert second["b.jpg"] != first["b.jpg"]


def test_an_unreadable_image_is_listed_once_and_tried_again(make_topic, tmp_path, score):
    topic = make_topic(TOPIC, "a.jpg")
    (topic / "bad.jpg").write_bytes(b"")
    bad = tmp_path / "bad.jsonl"
    found = score(topic, "--bad-files", bad, "--strict")
    assert (found["status"], found["unreadable"]) == (1, 1)
    assert found["said"].count("bad.jpg") == 1
    assert "2 images found = 1 scored + 1 unreadable" in found["said"]
    assert [json.loads(line)["path"] for line in bad.read_text().splitlines()] == [
        str(topic / "bad.jpg")
    ]
    assert list(scores(topic)) == ["a.jpg"]
    draw_image(9).save(topic / "bad.jpg")
    assert score(topic, "--strict")["status"] == 0
    assert list(scores(topic)) == ["a.jpg", "bad.jpg"]


def test_a_topic_of_nothing_but_unreadable_images(make_topic, tmp_path, score):
    topic = make_topic(TOPIC)
    for number in range(20):
        (topic / f"{number}.jpg").write_bytes(b"text")
    fine = make_topic("DataSet/Cluster/Sub/Zebra", "a.jpg")
    found = score(tmp_path / "DataSet", "--batch-size", 4)
    assert (found["status"], found["scored"], found["unreadable"]) == (0, 1, 20)
    assert list(scores(fine)) == ["a.jpg"]
    assert not (topic / "aesthetic_data.json").exists()


def test_another_head_needs_no_image(make_topic, score, heads, monkeypatch):
    topic = make_topic(TOPIC, "a.jpg", "b.jpg")
    fresh = make_topic("Fresh/Cluster/Sub/Topic", "a.jpg", "b.jpg")
    score(topic)
    score(fresh, "--head", heads[1])
    forbid_opening(monkeypatch)
    refused = score(topic, "--head", heads[1])
    assert refused["status"] == 2
    assert "--only-missing" in refused["said"] and "--rescore" in refused["said"]
    assert score(topic, "--head", heads[1], "--rescore")["scored"] == 2
    assert scores(topic) == scores(fresh)
    assert score(topic, "--head", heads[1])["already_scored"] == 2


def test_another_model_uses_another_sidecar(make_topic, tmp_path, score, monkeypatch):
    other = save_model(tmp_path / "other", SMALL, seed=5)
    topic = make_topic(TOPIC, "a.jpg")
    score(topic)
    assert score(topic, "--model", f"local-dir:{other}")["status"] == 2
    assert score(topic, "--model", f"local-dir:{other}", "--rescore")["scored"] == 1
    assert len(list((topic / ".cache").glob("clip-*.npz"))) == 2
    forbid_opening(monkeypatch)
    assert score(topic, "--rescore")["scored"] == 1  # back to the first model, from its own vectors


@pytest.mark.parametrize("flag", ["--only-missing", "--rescore"])
def test_scores_of_unknown_origin_are_never_replaced_silently(make_topic, score, flag):
    topic = make_topic(TOPIC, "a.jpg", "b.jpg", "c.jpg")
    (topic / "aesthetic_data.json").write_text('{"a.jpg": 9.5, "gone.jpg": 1.0, "b.jpg": NaN}')
    refused = score(topic)
    assert refused["status"] == 2
    assert "1 score made by something unknown" in refused["said"]
    assert scores(topic)["a.jpg"] == 9.5
    found = score(topic, flag)
    assert found["status"] == 0
    assert list(scores(topic)) == ["a.jpg", "b.jpg", "c.jpg"]
    assert (scores(topic)["a.jpg"] == 9.5) == (flag == "--only-missing")
    assert score(topic, flag)["scored"] == 0
    if flag == "--only-missing":
        assert score(topic)["status"] == 2  # 9.5 is still not ours


def test_a_lost_cache_makes_scores_unknown_and_a_lost_index_does_not(make_topic, score):
    topic = make_topic(TOPIC, "a.jpg", "b.jpg")
    score(topic)
    (topic / ".cache/images.json").unlink()
    spoil(topic / "a.jpg")
    assert score(topic)["already_scored"] == 2  # the vectors prove it
    shutil.rmtree(topic / ".cache")
    assert score(topic)["status"] == 2


@pytest.mark.parametrize("damage", [b"", b"{", b'{"a.jpg": ', b"[1, 2]", b"\xff\xfe"])
def test_damaged_files_are_set_aside(make_topic, score, damage):
    topic = make_topic(TOPIC, "a.jpg", "b.jpg")
    score(topic)
    expected = scores(topic)
    sidecar = next((topic / ".cache").glob("clip-*.npz"))
    for path in (topic / "aesthetic_data.json", topic / ".cache/images.json", sidecar):
        path.write_bytes(damage)
    found = score(topic)
    assert (found["status"], found["scored"]) == (0, 2)
    assert scores(topic) == expected
    assert found["said"].count("set aside") >= 2
    assert (topic / "aesthetic_data.json.corrupt").read_bytes() == damage


def test_a_damaged_score_file_comes_back_from_the_vectors(make_topic, score, monkeypatch):
    topic = make_topic(TOPIC, "a.jpg")
    score(topic)
    expected = scores(topic)
    (topic / "aesthetic_data.json").write_text("{")
    forbid_opening(monkeypatch)
    assert score(topic)["scored"] == 1
    assert scores(topic) == expected


def test_no_cache_keeps_no_vectors_and_scores_nothing_twice(make_topic, score):
    topic = make_topic(TOPIC, "a.jpg")
    score(topic, "--no-cache")
    assert [path.name for path in (topic / ".cache").iterdir()] == ["images.json"]
    assert score(topic, "--no-cache")["already_scored"] == 1


def test_an_image_the_model_fails_on_is_listed_and_never_written(
    make_topic, tmp_path, tower, score
):
    broken = tmp_path / "broken"
    shutil.copytree(tower, broken)
    tensors = load_file(broken / "open_clip_model.safetensors")
    tensors["visual.proj"][:] = torch.nan
    save_file(tensors, broken / "open_clip_model.safetensors")
    topic = make_topic(TOPIC, "a.jpg", "b.jpg")
    found = score(topic, "--model", f"local-dir:{broken}")
    assert (found["status"], found["scored"], found["unreadable"]) == (0, 0, 2)
    assert "no finite vector" in found["said"]
    assert not (topic / "aesthetic_data.json").exists()


def test_the_zoo(make_topic, tmp_path, score):
    topic = make_topic(TOPIC, *(f"plain{number:03}.jpg" for number in range(100)))
    readable, unreadable = zoo.write_readable_files(topic), zoo.write_unreadable_files(topic)
    zoo.make_odd_entries(topic)
    bad = tmp_path / "bad.jsonl"
    found = score(topic, "--bad-files", bad, "--workers", 2)
    assert found["status"] == 0
    assert sorted(scores(topic)) == sorted(
        [*(f"plain{number:03}.jpg" for number in range(100)), *readable]
    )
    listed = [json.loads(line) for line in bad.read_text().splitlines()]
    assert sorted(os.path.basename(entry["path"]) for entry in listed) == sorted(unreadable)
    for entry in listed:
        assert unreadable[os.path.basename(entry["path"])] in entry["reason"]
    assert found["scored"] + found["unreadable"] == found["images"]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["{dataset}x"], "no such folder; did you mean DataSet?"),
        (["{dataset}/empty"], "no images found"),
        (["{dataset}", "--head", "{wide}"], "takes vectors of 17 numbers, but the model gives 16"),
        (["{dataset}", "--head", "{hostile}"], "could run code"),
        (["{dataset}", "--head", "no-such-head"], "no such file"),
        (["{dataset}", "--bad-files", "{dataset}/no/such/folder"], "--bad-files another place"),
    ],
)
def test_mistakes_end_in_one_line_before_anything_is_opened(
    make_topic, tmp_path, score, arguments, reason
):
    topic = make_topic(TOPIC, "a.jpg")
    spoil(topic / "a.jpg")
    (tmp_path / "DataSet/empty").mkdir()
    torch.save({"x": subprocess.Popen}, tmp_path / "hostile.pth")
    names = {
        "dataset": tmp_path / "DataSet",
        "wide": save_head(tmp_path / "w.pth", 17),
        "hostile": tmp_path / "hostile.pth",
    }
    found = score(*(argument.format(**names) for argument in arguments))
    assert found["status"] == 2
    assert reason in found["said"]
    assert "a.jpg" not in found["said"]
    assert not (topic / ".cache").exists()


def test_without_weights_it_stops_soon_and_says_what_to_do(make_topic, tmp_path):
    make_topic(TOPIC, "a.jpg")
    (tmp_path / "home").mkdir()
    environment = {
        "HF_HUB_OFFLINE": "1",
        "HF_HOME": str(tmp_path / "home"),
        "HOME": str(tmp_path / "home"),
    }
    started = time.monotonic()
    head = save_head(tmp_path / "head.pth", 768)
    found = run_script("aesthetic_scorer.py", tmp_path / "DataSet", "--head", head, env=environment)
    assert time.monotonic() - started < 30  # the bar is 15 s on a quiet machine
    assert found.returncode == 2
    assert "vit_large_patch14_clip_224.openai" in found.stderr and "--model tiny" in found.stderr
    assert found.stdout == ""


def begin(dataset: Path, options: list[str], **more) -> subprocess.Popen:
    command = [sys.executable, ROOT / "aesthetic_scorer.py", dataset, *options]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more
    )


def dataset_of(tmp_path: Path, name: str, topics: int, images: int) -> Path:
    for number in range(topics):
        folder = tmp_path / name / "C" / "S" / f"T{number}"
        folder.mkdir(parents=True)
        for image in range(images):
            draw_image(number * images + image, (320, 240)).save(folder / f"{image:04}.jpg")
    return tmp_path / name


def kill_and_resume(
    tmp_path: Path, options: list[str], kills: int, topics: int, images: int
) -> None:
    options = [*options, "--batch-size", "2"]
    whole, killed = (
        dataset_of(tmp_path, "Whole", topics, images),
        dataset_of(tmp_path, "Killed", topics, images),
    )
    started = time.monotonic()
    assert begin(whole, options).wait() == 0
    seconds = time.monotonic() - started
    for _ in range(kills):
        process = begin(killed, options, start_new_session=True)
        time.sleep(random.uniform(0.4, 1.0) * seconds)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    process = begin(killed, options)
    assert process.wait() == 0, process.stderr.read()
    assert tree(whole) == tree(killed)
    for ours in whole.rglob(".cache"):
        theirs = killed / ours.relative_to(whole)
        ours, theirs = (json.loads((path / "images.json").read_text()) for path in (ours, theirs))
        assert {name: value[2:] for name, value in ours["images"].items()} == {
            name: value[2:] for name, value in theirs["images"].items()
        }
        assert ours["scores"]["made_by"] == theirs["scores"]["made_by"]


def test_killed_at_any_moment_it_finishes_as_if_nothing_had_happened(tmp_path, options):
    kill_and_resume(tmp_path, options, kills=2, topics=4, images=15)


@pytest.mark.soak
def test_killed_thirty_times(tmp_path, options):
    kill_and_resume(tmp_path, options, kills=30, topics=40, images=25)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_keeps_finished_work(tmp_path, options, number, status):
    dataset = dataset_of(tmp_path, "DataSet", 30, 8)
    process = begin(dataset, [*options, "--batch-size", "1"])
    for _ in range(1800):  # torch takes long to load on a machine that is busy
        if (dataset / "C/S/T0/aesthetic_data.json").exists():
            break
        time.sleep(0.05)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == status, said
    assert "Traceback" not in said and "finished work is kept" in said
    done = list(dataset.rglob("aesthetic_data.json"))
    assert done and all(len(json.loads(path.read_text())) == 8 for path in done)


def test_a_full_disk_ends_in_one_line_and_the_old_file_is_intact(
    make_topic, tmp_path, options, score
):
    topic = make_topic(TOPIC, "a.jpg", "b.jpg")
    score(topic)
    before = (topic / "aesthetic_data.json").read_bytes()
    for number in range(40):
        draw_image(number + 60).save(topic / f"new{number}.jpg")

    def little_room() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))

    process = begin(topic, options, preexec_fn=little_room)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 2
    assert "Traceback" not in said
    assert said.count("error:") == 1 and "free some space" in said
    assert (topic / "aesthetic_data.json").read_bytes() == before
    assert not list(topic.rglob("*.tmp"))
    assert score(topic)["scored"] == 40


def test_a_pipe_and_a_plain_terminal(make_topic, tmp_path, options):
    topic = make_topic(TOPIC, "日本.jpg", "a'\"b\n.jpg")
    script = ROOT / "aesthetic_scorer.py"
    words = " ".join(f"'{word}'" for word in [sys.executable, str(script), str(topic), *options])
    environment = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    shell = ["bash", "-c", f"{words} | head -1; echo ${{PIPESTATUS[0]}}"]
    found = subprocess.run(shell, capture_output=True, text=True, env=environment)
    assert "Traceback" not in found.stderr
    assert found.stdout.splitlines()[-1] in ("0", "141")
    assert found.stdout.isascii() and found.stderr.isascii()
    assert "\x1b" not in found.stderr and "\r" not in found.stderr
