"""merge_clusters.py on random datasets, killed at any moment, on a full disk: nothing is lost."""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import pytest
from conftest import ROOT, draw_image, run_script
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from test_merge_clusters import (
    TIME,
    add_records,
    files,
    files_with_stamps,
    manifest_lines,
    topic,
    write,
)

import merge_clusters
from common import cli, json_files, topic_scores

NAMES = [
    "a.jpg",
    "A.jpg",
    "a.png",
    "b.jpg",
    "b__A.jpg",
    "é.jpg",
    "-x\n'\".jpg",
    "\udcff.jpg",
    "梟" * 83 + "ab.jpg",
]
DATASETS = ["A", "B", "else/A"]
TOPICS = ["C/S/T", "C/S/U"]

QUICK = (
    Phase.explicit,
    Phase.reuse,
    Phase.generate,
)  # shrinking takes minutes: every example is two merges

images = st.dictionaries(st.sampled_from(NAMES), st.integers(0, 3), min_size=1, max_size=5)
pairs = st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES)), max_size=6)
contents = st.fixed_dictionaries(
    {
        "images": images,
        "captions": st.dictionaries(st.sampled_from(NAMES), st.integers(0, 1), max_size=3),
        "matches": st.none() | pairs,
        "pixels": st.lists(st.integers(1, 4), min_size=len(NAMES), max_size=len(NAMES)),
        "scored": st.booleans(),
        "stale": st.none() | st.sampled_from(NAMES),  # changed after the search
        "late": st.none() | st.sampled_from(NAMES),  # came after the search
    }
)
worlds = st.dictionaries(
    st.tuples(st.sampled_from(DATASETS), st.sampled_from(TOPICS)), contents, min_size=1, max_size=5
)


def make_datasets(root: Path, world: dict) -> list[Path]:
    """Make the datasets of a world. Returns their folders."""
    for (dataset, path), made in world.items():
        folder = root / dataset / path
        for name, content in made["images"].items():
            write(folder / name, f"bytes {content}")
        for name, content in made["captions"].items():
            write(folder / (os.path.splitext(name)[0] + ".txt"), f"caption {content}")
        if made["matches"] is not None:
            matches: dict[str, list[str]] = {}
            for one, other in made["matches"]:
                matches.setdefault(one, []).append(other)
                matches.setdefault(other, []).append(one)
            scores = (
                {name: 1 + len(name) % 3 for name in made["images"]} if made["scored"] else None
            )
            add_records(
                folder, scores, matches, pixels=dict(zip(NAMES, made["pixels"], strict=True))
            )
            if made["stale"] in made["images"]:
                write(folder / made["stale"], "bytes 0", when=TIME + 7)
            if made["late"] and made["late"] not in made["images"]:
                write(folder / made["late"], "bytes 1")
    return [root / dataset for dataset in dict.fromkeys(dataset for dataset, _ in world)]


def dropped_by_plain_rule(folder: Path) -> set[str]:
    """Return the images that are dropped, by the rule as the documentation states it."""
    there, path = topic(folder).image_stamps(), folder.parent / f"duplicates_{folder.name}.json"
    if not path.exists():
        return set()
    found, known = (
        json.loads(path.read_text()),
        json.loads((folder / ".cache/images.json").read_text()),
    )
    seen = {
        name
        for name, stamp in there.items()
        if known["duplicates"]["images"].get(name) == list(stamp)
    }
    scores = topic_scores.read_scores(topic(folder))
    pixels = {
        name: w * h if [s, t] == list(there[name]) else 0
        for name, (s, t, w, h) in known["images"].items()
        if name in there
    }
    worth = {
        name: pixels.get(name, 0) * (scores[name] if there.keys() <= scores.keys() else 1)
        for name in there
    }
    kept: list[str] = []
    for name in sorted(there, key=lambda name: (-worth[name], -there[name][0], name)):
        if not any(name in found.get(other, ()) and {name, other} <= seen for other in kept):
            kept.append(name)
    return there.keys() - set(kept)


def merge_by_plain_rule(datasets: list[Path]) -> dict[str, Counter[bytes]]:
    """Return the bytes in each topic of the target: those that no dataset before brought."""
    came: dict[str, Counter[bytes]] = {}
    for dataset in datasets:
        for folder in (path for path in dataset.glob("*/*/*") if path.is_dir()):
            names = set(topic(folder).image_names()) - dropped_by_plain_rule(folder)
            own = Counter((folder / name).read_bytes() for name in names)
            there = came.setdefault(str(folder.relative_to(dataset)), Counter())
            there.update({content: n for content, n in own.items() if content not in there})
    return came


def run_merge(*args: object) -> dict:
    """Run a merge that must succeed. Returns its JSON."""
    with contextlib.redirect_stdout(io.StringIO()) as out:
        assert cli.run_script(merge_clusters.main, [*map(str, args), "--quiet", "--json"]) == 0
    return json.loads(out.getvalue())


@settings(max_examples=40, deadline=None, phases=QUICK)
@given(
    world=worlds,
    extra=st.lists(st.sampled_from(["--keep-duplicates", "--mode=hardlink"]), max_size=1),
)
def test_nothing_is_lost_on_random_datasets(world: dict, extra: list[str]) -> None:
    with tempfile.TemporaryDirectory() as root:
        check_merge(Path(root), world, extra)


@pytest.mark.soak
@settings(max_examples=1000, deadline=None, phases=QUICK)
@given(
    world=worlds,
    extra=st.lists(st.sampled_from(["--keep-duplicates", "--mode=hardlink"]), max_size=1),
)
def test_nothing_is_lost_on_very_many_random_datasets(world: dict, extra: list[str]) -> None:
    with tempfile.TemporaryDirectory() as root:
        check_merge(Path(root), world, extra)


def check_merge(root: Path, world: dict, extra: list[str]) -> None:
    datasets, target = make_datasets(root, world), root / "full"
    before = files_with_stamps(root)
    result = run_merge(*datasets, "--output", target, *extra)
    merged = files_with_stamps(root)
    assert {name: merged[name] for name in before} == before, "a source changed"

    said = {line["source"]: line for line in manifest_lines(target)}
    found = [
        path
        for folder in datasets
        for path in folder.glob("*/*/*/*")
        if path.suffix.lower() in (".jpg", ".png")
    ]
    assert sorted(said) == sorted(map(str, found)) and len(said) == len(manifest_lines(target))
    places = [line["target"] for line in said.values() if line["target"]]
    assert len({place.casefold() for place in places}) == len(places)
    for path in found:
        line = said[str(path)]
        if line["action"] in ("copied", "renamed", "identical"):
            assert (target / (line["target"] or line["kept"])).read_bytes() == path.read_bytes()
        else:
            assert line["action"] == "duplicate" and "--keep-duplicates" not in extra
            matches = json_files.read_copies(topic(path.parent))
            stand_ins = [
                path.parent / name for name in matches[path.name] if (path.parent / name).exists()
            ]
            ours = [said[str(other)] for other in stand_ins]
            assert line["kept"] in [
                other["target"] or (other["action"] == "identical" and other["kept"])
                for other in ours
            ]
            assert (target / line["kept"]).is_file()
    check_captions(target, said, {left["path"] for left in result["left_behind"]})

    if "--keep-duplicates" not in extra:
        out = {path.name for path in found if said[str(path)]["action"] == "duplicate"}
        assert out == {
            name for path in {path.parent for path in found} for name in dropped_by_plain_rule(path)
        }
        there = {str(path.parent.relative_to(target)) for path in target.glob("*/*/*/*")}
        held = {
            place: Counter(
                p.read_bytes()
                for p in (target / place).iterdir()
                if p.suffix.lower() in (".jpg", ".png")
            )
            for place in there
        }
        assert held == merge_by_plain_rule(datasets)

    assert run_merge(*datasets, "--output", target, *extra)["copied"] == 0
    assert files_with_stamps(root) == merged, "a second run did something"


def check_captions(target: Path, said: dict[str, dict], left: set[str]) -> None:
    """Check that captions in the target belong to their image, and that all others are reported."""
    sources: dict[str, list[Path]] = {}
    carried = set()  # to the keeper, or named in its line
    for line in said.values():
        carried.update(entry["source"] for entry in line.get("captions", []))
    for source, line in said.items():
        if line["action"] in ("copied", "renamed", "identical"):
            sources.setdefault(line["target"] or line["kept"], []).append(Path(source))
    for place, paths in sources.items():
        caption = (target / place).with_suffix(".txt")
        own = [path.with_suffix(".txt") for path in paths]
        there = caption.read_bytes() if caption.exists() else None
        assert there is None or there in [path.read_bytes() for path in own if path.exists()]
        lost = [
            path
            for path in own
            if path.exists() and path.read_bytes() != there and str(path) not in left | carried
        ]
        assert not lost, (place, there)


# Interrupted at any moment


@pytest.fixture(scope="module")
def datasets(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Path], Path]:
    """Two datasets with everything a merge has to handle, and the target of an undisturbed one."""
    root = tmp_path_factory.mktemp("killed")
    rng = random.Random(5)
    for dataset in ("A", "B"):
        for place in ("C/S/T", "C/S/U", "D/S/T"):
            folder = root / dataset / place
            for number in range(30):
                write(
                    folder / f"{number}.jpg",
                    rng.randbytes(150_000 if number == 29 else 20_000)
                    if number % 7
                    else b"the same in both",
                )
                if number % 3:
                    write(folder / f"{number}.txt", f"{dataset} {number}")
            add_records(
                folder,
                {f"{n}.jpg": n / 3 for n in range(30)},
                {"1.jpg": ["2.jpg", "8.jpg"], "9.jpg": ["10.jpg"]},
            )
    start = time.perf_counter()
    done = run_script("merge_clusters.py", root / "A", root / "B", "--output", root / "whole")
    assert done.returncode == 0, done.stderr
    (root / "seconds").write_text(str(time.perf_counter() - start))
    return [root / "A", root / "B"], root / "whole"


def content_with_times(target: Path) -> dict[str, bytes | tuple[bytes, int]]:
    """Return every file and folder of a target, with the times of images and captions."""
    return {
        name: (made, (target / name).stat().st_mtime_ns)
        if name.endswith((".jpg", ".txt"))
        else made
        for name, made in files(target).items()
    }


def kill_and_rerun(datasets: tuple[list[Path], Path], target: Path, moment: float) -> int:
    """Kill a merge `moment` seconds after its first write, then run it again.

    Returns how many files the killed run had made.
    """
    sources, whole = datasets
    before = [files_with_stamps(source) for source in sources]
    command = [
        sys.executable,
        str(ROOT / "merge_clusters.py"),
        *map(str, sources),
        "--output",
        str(target),
        "--quiet",
    ]
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    while not target.exists() and running.poll() is None:
        time.sleep(0.0005)
    time.sleep(moment)
    running.send_signal(signal.SIGKILL)
    running.wait()
    there = {
        name: made
        for name, made in content_with_times(target).items()
        if ".merge_unfinished" not in name and not name.endswith(".cache/lock")
    }
    expected = content_with_times(whole)
    incomplete = {name for name, made in there.items() if expected.get(name) != made}
    assert not incomplete
    run_merge(*sources, "--output", target)
    assert content_with_times(target) == expected
    assert [files_with_stamps(source) for source in sources] == before
    return len(there)


def kill_often(datasets: tuple[list[Path], Path], root: Path, times: int) -> None:
    rng, expected = random.Random(), content_with_times(datasets[1])
    counts = [
        kill_and_rerun(datasets, root / str(time), rng.expovariate(1 / 0.03))
        for time in range(times)
    ]
    assert any(count < len(expected) for count in counts), f"no kill came before the end: {counts}"


def test_rerun_after_a_kill_gives_the_same_target(datasets, tmp_path: Path) -> None:
    kill_often(datasets, tmp_path, 5)


@pytest.mark.soak
def test_rerun_after_very_many_kills_gives_the_same_target(datasets, tmp_path: Path) -> None:
    kill_often(datasets, tmp_path, 50)


def test_ctrl_c_keeps_finished_files_and_no_incomplete_ones(datasets, tmp_path: Path) -> None:
    sources, whole = datasets
    command = [
        sys.executable,
        str(ROOT / "merge_clusters.py"),
        *map(str, sources),
        "--output",
        str(tmp_path / "full"),
    ]
    running = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    while not (tmp_path / "full").exists():
        time.sleep(0.0005)
    running.send_signal(signal.SIGINT)
    said = running.communicate()[1]
    assert "Traceback" not in said and (running.returncode, "interrupted" in said) in (
        (130, True),
        (0, False),
    )
    assert content_with_times(tmp_path / "full").items() <= content_with_times(whole).items()
    run_merge(*sources, "--output", tmp_path / "full")
    assert content_with_times(tmp_path / "full") == content_with_times(whole)


@pytest.mark.parametrize("limit", [2_000, 100_000])  # in the manifest; in an image, after others
def test_full_disk_is_one_error_line_and_a_rerun_completes_the_merge(
    datasets, tmp_path: Path, limit: int
) -> None:
    sources, whole = datasets
    target = tmp_path / "full"

    def small_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    full = run_script(
        "merge_clusters.py", *sources, "--output", target, "--quiet", preexec_fn=small_files
    )
    assert (full.returncode, full.stdout) == (2, "")
    assert (
        full.stderr.count("\n") == 1
        and "free some space, then run the same command again" in full.stderr
    )
    assert content_with_times(target).items() <= content_with_times(whole).items()
    run_merge(*sources, "--output", target)
    assert content_with_times(target) == content_with_times(whole)


# As a whole


def test_neither_numpy_nor_torch_nor_pillow_is_loaded(datasets, tmp_path: Path) -> None:
    sources, _ = datasets
    code = (
        "import sys, merge_clusters; merge_clusters.main(sys.argv[1:]); "
        "print(sorted({'numpy', 'torch', 'PIL'} & sys.modules.keys()), file=sys.stderr)"
    )
    command = [
        sys.executable,
        "-c",
        code,
        *map(str, sources),
        "--output",
        str(tmp_path / "full"),
        "--quiet",
    ]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (ran.returncode, ran.stderr) == (0, "[]\n")


def test_help_is_quick_and_works_through_a_symlink_from_anywhere(tmp_path: Path) -> None:
    (tmp_path / "merge").symlink_to(ROOT / "merge_clusters.py")
    ran = subprocess.run(
        [sys.executable, "merge", "--help"], cwd=tmp_path, capture_output=True, text=True
    )
    assert ran.returncode == 0 and "merge_manifest.jsonl" in ran.stdout


@pytest.mark.skipif(not (ROOT / "find_duplicates.py").exists(), reason="needs find_duplicates.py")
def test_documented_way_to_drop_copies_across_datasets(tmp_path: Path) -> None:
    for seed, path in enumerate(("A/C/S/T/owl.png", "A/C/S/T/barn.png", "B/C/S/T/boat.png")):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        draw_image(seed, (320, 240)).save(tmp_path / path)
    draw_image(0, (320, 240)).resize((160, 120)).save(tmp_path / "B/C/S/T/small_owl.png")
    before = [files_with_stamps(tmp_path / name) for name in "AB"]
    for command in (
        ["merge_clusters.py", "A", "B", "--for-search", "--output", "linked"],
        ["find_duplicates.py", "linked"],
        ["merge_clusters.py", "linked", "--output", "full"],
    ):
        ran = run_script(*command, cwd=tmp_path)
        assert ran.returncode == 0, ran.stderr
    assert sorted(path.name for path in (tmp_path / "full").rglob("*.png")) == [
        "barn.png",
        "boat.png",
        "owl.png",
    ]
    assert [
        line["kept"] for line in manifest_lines(tmp_path / "full") if line["action"] == "duplicate"
    ] == ["C/S/T/owl.png"]
    assert [files_with_stamps(tmp_path / name) for name in "AB"] == before
