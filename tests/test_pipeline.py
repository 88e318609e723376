"""The whole chain on the sample dataset, checked against what was planted; killed, run again."""

from __future__ import annotations

import importlib.util
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import imagehash
import pytest
from conftest import ROOT
from PIL import Image

if importlib.util.find_spec("skimage") is None:
    pytest.skip("the sample dataset needs scikit-image", allow_module_level=True)

CHAIN = [
    "aesthetic_scorer.py",  # --check
    "merge_clusters.py",  # into the folder of links
    "dataset_stats.py",
    "aesthetic_scorer.py",
    "aesthetic_stats.py",
    "merge_clusters.py",  # the scores, too
    "find_duplicates.py",
    "duplicates_stats.py",
    "merge_clusters.py",
    "find_duplicates.py",
    "split_data.py",
]
DATASETS = ("DataSet_1", "DataSet_2")


@dataclass(frozen=True)
class Run:
    """A pipeline that ran to its end in `folder`, on its own copy of the sample."""

    folder: Path
    talk: str
    seconds: float

    def truth(self) -> dict[str, Any]:
        return load(self.folder / "truth.json")

    def merged(self, path: str) -> Path:
        """Where an image of a source went."""
        renamed = self.truth()["renamed"].get(path)
        return self.folder / "full_dataset" / (renamed or path.partition("/")[2])

    def chosen(self, name: str) -> list[str]:
        """Paths of a set below the merged dataset."""
        paths = load(self.folder / f"{name}_set.json")
        return [str(Path(path).relative_to(self.folder / "full_dataset")) for path in paths]

    def manifest(self) -> dict[str, dict[str, Any]]:
        """Each source image's line, by its path from its dataset on."""
        lines = (
            (self.folder / "full_dataset" / "merge_manifest.jsonl")
            .read_text(encoding="utf-8")
            .splitlines()
        )
        entries = [json.loads(line) for line in lines]
        return {
            os.path.relpath(entry["source"], self.folder): entry
            for entry in entries
            if "source" in entry
        }


def load(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def command(*args: object) -> list[str]:
    return [str(ROOT / "pipeline.sh"), *map(str, args)]


def run_in(folder: Path, *args: object, **env: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHON": sys.executable, **env}
    return subprocess.run(
        command(*(args or standard())),
        cwd=folder,
        capture_output=True,
        text=True,
        env=environment,
        timeout=900,
    )


def standard() -> list[object]:
    return [*DATASETS, "--output", "full_dataset", "--model", "tiny"]


def make_sample(folder: Path) -> subprocess.CompletedProcess[str]:
    script = ROOT / "demo" / "make_dataset.py"
    return subprocess.run(
        [sys.executable, script, folder], capture_output=True, text=True, check=True, timeout=120
    )


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sample")
    make_sample(folder)
    return folder


@pytest.fixture(scope="module")
def done(sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("a folder ") / "写真"
    shutil.copytree(sample, folder)
    started = time.monotonic()
    ran = run_in(folder)
    assert ran.returncode == 0, ran.stderr
    return Run(folder, ran.stderr, time.monotonic() - started)


def steps(talk: str) -> list[str]:
    """Return the scripts of the commands that a pipeline printed."""
    lines = [line for line in talk.splitlines() if line.startswith("$ ")]
    return [
        next(word.rpartition("/")[2] for word in line.split() if word.endswith(".py"))
        for line in lines
    ]


def images_below(folder: Path) -> set[str]:
    found = (
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and ".cache" not in path.parts
    )
    return {path for path in found if not path.endswith((".txt", ".json", ".jsonl"))}


class TestResult:
    def test_each_command_is_printed_before_it_runs(self, done: Run) -> None:
        assert steps(done.talk) == CHAIN

    def test_planted_copies_are_dropped_and_nothing_else(self, done: Run) -> None:
        truth = done.truth()
        manifest = done.manifest()
        assert len(manifest) == sum(truth["images"].values())
        left_out = {
            path: entry["kept"]
            for path, entry in manifest.items()
            if entry["action"] == "duplicate"
        }
        full = done.folder / "full_dataset"
        copies = truth["copies"] | truth["copies_across"]
        assert left_out == {
            copy: str(done.merged(original).relative_to(full)) for copy, original in copies.items()
        }
        assert {path for path, entry in manifest.items() if entry["action"] == "identical"} == set(
            truth["identical"]
        )
        damaged = {path for path, entry in manifest.items() if entry["action"] == "unreadable"}
        assert damaged == set(truth["truncated"])
        stays = set(manifest) - set(copies) - set(truth["identical"]) - damaged
        assert images_below(full) == {str(done.merged(path).relative_to(full)) for path in stays}
        for path in stays:
            assert done.merged(path).read_bytes() == (done.folder / path).read_bytes(), path

    def test_both_images_of_a_name_collision_are_kept(self, done: Run) -> None:
        truth = done.truth()
        assert {
            path for path, entry in done.manifest().items() if entry["action"] == "renamed"
        } == set(truth["renamed"])
        for path, merged in truth["renamed"].items():
            assert (done.folder / "full_dataset" / merged).read_bytes() == (
                done.folder / path
            ).read_bytes()

    def test_captions_are_beside_their_images(self, done: Run) -> None:
        full = done.folder / "full_dataset"
        found = {
            str(path.relative_to(full)): path.read_text(encoding="utf-8")
            for path in full.rglob("*.txt")
        }
        captions = done.truth()["captions"]
        assert found == {
            str(Path(image).with_suffix(".txt")): caption for image, caption in captions.items()
        }
        assert all((full / image).exists() for image in captions)

    def test_truncated_file_is_reported_and_never_chosen(self, done: Run) -> None:
        (path,) = done.truth()["truncated"]
        assert f"{path}: cut short" in done.talk
        assert Path(path).name not in load((done.folder / path).parent / "aesthetic_data.json")
        assert str(Path(path).relative_to("DataSet_1")) not in done.chosen("train") + done.chosen(
            "valid"
        )

    def test_sizes_of_the_split(self, done: Run) -> None:
        """Topics are filled, except if a bad shot, or its original, was chosen in another topic.

        So it is with the crops of images that may be chosen; the pipeline leaves these out.
        """
        truth, plain = done.truth(), {*done.chosen("train"), *done.chosen("valid")}
        with tempfile.TemporaryDirectory() as lists:
            command = [sys.executable, str(ROOT / "split_data.py"), "full_dataset", "--quiet"]
            command += ["--exclude-duplicates", "--allow-variants", "--output-dir", lists]
            subprocess.run(command, cwd=done.folder, check=True, stdout=subprocess.DEVNULL)
            chosen = {}
            for name in ("train", "valid"):
                paths = load(Path(lists) / f"{name}_set.json")
                full = str(done.folder / "full_dataset")
                chosen[name] = [os.path.relpath(path, full) for path in paths]
        assert 0 < len(plain) < len({*chosen["train"], *chosen["valid"]})
        both = {*chosen["train"], *chosen["valid"]}
        full = done.folder / "full_dataset"
        twins = [
            {str(done.merged(path).relative_to(full)) for path in pair}
            for pair in truth["degraded"].items()
        ]
        lost = Counter(
            os.path.dirname(path) for pair in twins if pair & both for path in pair - both
        )
        sizes = {
            topic: [
                sum(os.path.dirname(path) == topic for path in paths) for paths in chosen.values()
            ]
            for topic in truth["split"]
        }
        for topic, wanted in truth["split"].items():
            assert sizes[topic] == wanted or sum(sizes[topic]) + lost[topic] == sum(wanted), topic
            assert sizes[topic][0] == 10 or not sizes[topic][1], topic
        assert list(sizes.values()).count([10, 5]) == 2 and lost.total() >= 8

    def test_no_image_is_in_both_sets(self, done: Run) -> None:
        """An original and its bad shot are never in different sets."""
        full = done.folder / "full_dataset"
        sets = [set(done.chosen(name)) for name in ("train", "valid")]
        for pair in done.truth()["degraded"].items():
            twins = {str(done.merged(path).relative_to(full)) for path in pair}
            assert not (twins & sets[0] and twins & sets[1]), twins

    def test_no_image_is_chosen_twice(self, done: Run) -> None:
        assert not set(done.chosen("train")) & set(done.chosen("valid"))

    def test_merged_dataset_holds_no_copies(self, done: Run) -> None:
        files = [*(done.folder / "full_dataset").glob("*/*/duplicates_*.json")]
        assert files and not any(any(load(file).values()) for file in files)

    def test_datasets_are_searched_together_in_links(self, done: Run) -> None:
        linked = done.folder / "full_dataset.linked"
        for path in linked.rglob("*.jpg"):
            assert path.stat().st_nlink == 2 and not path.is_symlink(), path
        assert not any("linked" in line for line in done.manifest())

    def test_signs_with_nearly_equal_phash_are_not_copies(self, done: Run) -> None:
        for pair in done.truth()["lookalikes"]:
            first, second = (
                imagehash.phash(Image.open(done.folder / path).convert("RGB")) for path in pair
            )
            assert first - second <= 4
            assert all(done.merged(path).exists() for path in pair)

    def test_bad_shots_score_below_their_originals(self, done: Run) -> None:
        def score(path: str) -> float:
            return load((done.folder / path).parent / "aesthetic_data.json")[Path(path).name]

        pairs = done.truth()["degraded"].items()
        wrong = [worse for worse, better in pairs if score(worse) >= score(better)]
        assert len(wrong) <= len(pairs) * 0.1, wrong

    def test_statistics(self, done: Run) -> None:
        data, truth = load(done.folder / "datasets_image_statistics.json"), done.truth()
        assert data["total_files"] == sum(truth["images"].values())
        assert data["resolution_groups"] == truth["resolution_groups"]
        assert all(truth["resolution_groups"].values())
        for page in ("dataset_stats.html", "aesthetic_stats.html", "review.html"):
            assert "</html>" in (done.folder / page).read_text(encoding="utf-8")

    def test_second_run_changes_nothing(self, done: Run) -> None:
        names = ("dataset_stats.html", "aesthetic_stats.html", "review.html")
        pages = [done.folder / name for name in names]
        before, shown = stamps(done.folder), [page.read_bytes() for page in pages]
        ran = run_in(done.folder)
        assert ran.returncode == 0, ran.stderr
        assert steps(ran.stderr) == CHAIN
        after = stamps(done.folder)
        assert {path for path in before | after if before.get(path) != after.get(path)} <= {
            page.name for page in pages
        }
        assert [page.read_bytes() for page in pages] == shown


def stamps(folder: Path) -> dict[str, tuple[int, int]]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.stat().st_ino)
        for path in paths
    }


def contents(folder: Path) -> dict[str, bytes]:
    """Return the results of a run except `.cache`, without the folder's own name in paths."""
    files = [
        folder / "train_set.json",
        folder / "valid_set.json",
        *folder.glob("full_dataset/**/*"),
    ]
    return {
        str(path.relative_to(folder)): path.read_bytes().replace(str(folder).encode(), b"FOLDER")
        for path in files
        if path.is_file() and ".cache" not in path.parts
    }


def kill(folder: Path, delay: float) -> None:
    """Start the pipeline; kill it and its children after `delay` seconds."""
    environment = {**os.environ, "PYTHON": sys.executable}
    process = subprocess.Popen(
        command(*standard()),
        cwd=folder,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    time.sleep(delay)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@pytest.mark.parametrize(
    "number", [0, *(pytest.param(number, marks=pytest.mark.soak) for number in range(1, 11))]
)
def test_rerun_after_a_kill_gives_the_same_result(
    done: Run, sample: Path, tmp_path: Path, number: int
) -> None:
    folder = tmp_path / "killed"
    shutil.copytree(sample, folder)
    delay = random.uniform(0.1, 0.95) * done.seconds
    kill(folder, delay)
    ran = run_in(folder)
    assert ran.returncode == 0, ran.stderr
    expected, found = contents(done.folder), contents(folder)
    assert [path for path in expected | found if expected.get(path) != found.get(path)] == [], (
        f"killed after {delay} s"
    )


def test_sample_is_reproducible(sample: Path, tmp_path: Path) -> None:
    make_sample(tmp_path)
    first, second = (
        {
            str(path.relative_to(root)): path.read_bytes()
            for path in root.rglob("*")
            if path.is_file()
        }
        for root in (sample, tmp_path)
    )
    assert first == second
    before = stamps(tmp_path)
    make_sample(tmp_path)
    assert stamps(tmp_path) == before


def test_failure_stops_the_chain_with_its_status(make_topic: Any, tmp_path: Path) -> None:
    make_topic("DataSet_1/C/S/T", "a.jpg")
    ran = run_in(tmp_path, "DataSet_1", "--model", "nonesuch")
    assert ran.returncode == 2
    assert steps(ran.stderr) == CHAIN[:1]
    assert "stopped: aesthetic_scorer.py ended with status 2" in ran.stderr.splitlines()[-1]


def test_strict_status_and_options_reach_the_scorer(make_topic: Any, tmp_path: Path) -> None:
    make_topic("DataSet_1/C/S/T", "a.jpg")
    (tmp_path / "DataSet_1/C/S/T/b.jpg").write_bytes(b"")
    ran = run_in(
        tmp_path, "DataSet_1", "--model", "tiny", "--strict", "--bad-files", "bad files.jsonl"
    )
    assert ran.returncode == 1
    assert "--model tiny --strict --bad-files bad\\ files.jsonl" in ran.stderr
    assert json.loads((tmp_path / "bad files.jsonl").read_text())["path"].endswith("b.jpg")


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ((), "no dataset given"),
        (("--output", "x"), "no dataset given"),
        (("DataSet_1", "--output"), "--output needs a folder"),
    ],
)
def test_wrong_arguments(tmp_path: Path, args: tuple[str, ...], said: str) -> None:
    ran = subprocess.run(command(*args), cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert said in ran.stderr


def test_help_through_a_symlink(tmp_path: Path) -> None:
    (tmp_path / "run it").symlink_to(ROOT / "pipeline.sh")
    ran = subprocess.run(
        [tmp_path / "run it", "--help"], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "usage: pipeline.sh [options] DATASET" in ran.stdout
    assert "set -e" not in ran.stdout


def test_missing_dataset_stops_the_chain_at_once(tmp_path: Path) -> None:
    ran = run_in(tmp_path, "nowhere", "--output=out/full", "--reports=out/reports")
    assert ran.returncode == 2
    assert steps(ran.stderr) == CHAIN[:1]
    assert "no such folder" in ran.stderr


def test_sigterm_reaches_the_running_script(make_topic: Any, tmp_path: Path) -> None:
    make_topic("DataSet_1/C/S/T", *(f"{number}.png" for number in range(40)))
    environment = {**os.environ, "PYTHON": sys.executable}
    args = command("DataSet_1", "--model", "tiny")
    process = subprocess.Popen(
        args, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL
    )
    assert process.stderr
    while b"aesthetic_scorer.py" not in process.stderr.readline():
        pass
    time.sleep(0.3)
    process.terminate()
    talk = process.stderr.read().decode()  # ends when the last process that holds it is gone
    assert process.wait(timeout=30) == 143
    assert steps(talk) == []
