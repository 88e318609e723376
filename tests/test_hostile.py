"""Entries that do not belong in a dataset: pipes, bombs, folders instead of files, endless names.

Each costs one file or topic and is reported in one clear line. The rest of the run goes on, and
neither memory nor time runs out.
"""

from __future__ import annotations

import datetime
import errno
import itertools
import json
import os
import resource
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import zoo
from conftest import ROOT, run_script
from result_files import write_copies

from common import atomic_files, cache, json_files, topic_scores
from common.clip import sidecar
from common.target_folder import TargetFolder
from common.topics import Topic
from duplicates import verification
from keeping import topic_relations
from merging import copying

SCRIPTS = (
    "aesthetic_scorer.py",
    "aesthetic_stats.py",
    "dataset_stats.py",
    "duplicates_stats.py",
    "find_duplicates.py",
    "merge_clusters.py",
    "split_data.py",
)
MAX_MEMORY_BYTES = 8 << 30  # of address space: far more than a script needs, but it maps a lot


def run(script: str, *args: object, **options):
    more = {
        "aesthetic_scorer.py": ["--model", "tiny", "--workers", 0],
        "find_duplicates.py": ["--workers", 0],
    }
    return run_script(script, *args, *more.get(script, []), **options)


def bound_memory() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))


def link_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def bind_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        folder = os.open(path.parent, os.O_RDONLY)
        made.bind(f"/proc/self/fd/{folder}/{path.name}")  # a path of its own may be too long
        os.close(folder)


IRREGULAR = {
    "a named pipe": os.mkfifo,
    "a device": link_device,
    "a socket": bind_socket,
    "a folder": Path.mkdir,
}


@pytest.mark.parametrize("kind", IRREGULAR)
@pytest.mark.parametrize(
    "name", ["T/aesthetic_data.json", "duplicates_T.json", "T/.cache/images.json"]
)
def test_reading_does_not_wait_for_what_is_not_a_file(make_topic, tmp_path, kind, name):
    make_topic("DS/C/S/T", "a.jpg", "b.jpg")
    path = tmp_path / "DS/C/S" / name
    path.parent.mkdir(exist_ok=True)
    IRREGULAR[kind](path)
    with pytest.raises(atomic_files.Damaged, match=f"{kind}, not a file"):
        json_files.read_json(str(path), {})


@pytest.mark.parametrize("script", SCRIPTS)
def test_pipes_instead_of_files_hang_no_script(script, make_topic, tmp_path):
    topic = make_topic("DS/C/S/T", "a.jpg", "b.jpg")
    (topic / ".cache").mkdir()
    for path in (
        topic / "aesthetic_data.json",
        topic.parent / "duplicates_T.json",
        topic.parent / "variants_T.json",
        topic / ".cache/images.json",
        topic / ".cache/phash.npz",
        topic / "a.txt",
    ):
        os.mkfifo(path)
    done = run(script, tmp_path / "DS", cwd=tmp_path)
    assert done.returncode in (0, 2) and "Traceback" not in done.stderr
    if script != "dataset_stats.py":
        assert "a named pipe, not a file" in done.stderr


def test_output_goes_into_a_named_device_or_pipe(make_topic, tmp_path):
    make_topic("DS/C/S/T", "a.jpg", "b.jpg")
    pipe, out = tmp_path / "pipe", tmp_path / "out"
    os.mkfifo(pipe)
    with open(out, "wb") as file, subprocess.Popen(["cat", pipe], stdout=file):
        done = run("dataset_stats.py", tmp_path / "DS", "--output", pipe, "--html", "/dev/fd/2")
    assert done.returncode == 0 and "</html>" in done.stderr and pipe.is_fifo()
    assert json.loads(out.read_text())["total_files"] == 2
    (tmp_path / "null").symlink_to("/dev/null")
    assert run("dataset_stats.py", tmp_path / "DS", "--output", tmp_path / "null").returncode == 0
    assert (tmp_path / "null").is_char_device()


def test_a_row_of_sixty_million_pixels_costs_that_image(make_topic, tmp_path):
    topic = make_topic("DS/C/S/T", "a.jpg", "b.jpg")
    row = np.zeros((1, 60_000_000 // 8), np.uint8)
    (topic / "row.png").write_bytes(zoo.encode_png(60_000_000, 1, 1, 0, row))
    for script in ("find_duplicates.py", "aesthetic_scorer.py"):
        done = run(script, tmp_path / "DS", "--json", preexec_fn=bound_memory)
        assert done.returncode == 0 and "Traceback" not in done.stderr, done.stderr
        assert json.loads(done.stdout)["images"] == 3
    assert set(json.loads((topic.parent / "duplicates_T.json").read_text())) == {
        "a.jpg",
        "b.jpg",
        "row.png",
    }


def topic_of(folder: Path) -> Topic:
    return Topic(str(folder), "DS", "C", "S", "T", 0)


def test_a_file_far_larger_than_its_images_explain_is_damaged_unread(make_topic):
    topic = topic_of(make_topic("DS/C/S/T", "a.jpg"))
    os.mkdir(topic.cache_folder)
    for path, read in (
        (json_files.scores_path(topic), lambda: topic_scores.read_scores(topic)),
        (json_files.duplicates_path(topic), lambda: json_files.read_copies(topic)),
        (json_files.variants_path(topic), lambda: json_files.read_variants(topic)),
        (
            cache.images_json_path(topic),
            lambda: json_files.read_json(
                cache.images_json_path(topic), {}, lambda: json_files.max_bytes_per_image(topic)
            ),
        ),
    ):
        with open(path, "wb") as file:
            file.truncate(210_000_000)  # a hole: it takes no room here
        with pytest.raises(
            atomic_files.Damaged, match=r"210\.0 MB, far more than the images of its topic explain"
        ):
            read()


@pytest.mark.soak
def test_our_own_files_are_never_too_large(tmp_path):
    topic = topic_of(tmp_path / "T")
    os.mkdir(topic.path)
    names = {f"picture_{number:04}.jpg" for number in range(3000)}
    for name in names:
        Path(topic.path_of(name)).touch()
    matches = {name: names - {name} for name in names}
    write_copies(topic, matches)
    assert os.path.getsize(json_files.duplicates_path(topic)) > atomic_files.MIN_SIZE_LIMIT_BYTES
    assert json_files.read_copies(topic) == matches
    stamps, pairs = (
        dict.fromkeys(sorted(names), (0, 0)),
        list(itertools.combinations(sorted(names), 2)),
    )
    about = {"rules": topic_relations.RULES_VERSION, "kinds": verification.KIND_CODES}
    looked = sidecar.load_sidecar(topic, "looked", verification.VERDICT_LAYOUT, about, pytest.fail)
    rows = {"kinds": np.ones(len(pairs)), "likeness": np.ones(len(pairs))}
    looked.add([f"{one}/{other}" for one, other in pairs], [(0, 0)] * len(pairs), **rows)
    looked.save({f"{one}/{other}": (0, 0) for one, other in pairs})
    assert os.path.getsize(looked.path) > atomic_files.MIN_SIZE_LIMIT_BYTES
    opener = verification.ImageOpener(None, 1, SimpleNamespace(warn=pytest.fail))
    assert len(verification.verify_pairs(topic, stamps, pairs, False, opener)) == len(pairs)


@pytest.mark.parametrize("kind", ["packed", "hole"])
def test_a_bomb_in_the_cache_is_set_aside_unread(make_topic, kind):
    topic = topic_of(make_topic("DS/C/S/T", "a.jpg"))
    path = Path(cache.sidecar_path(topic, "phash"))
    path.parent.mkdir()
    if kind == "packed":
        np.savez_compressed(path, names=np.zeros(50_000_000, np.uint8))
    else:
        with open(path, "wb") as file:
            np.lib.format.write_array_header_1_0(
                file, {"descr": "|u1", "fortran_order": False, "shape": (700_000_000 - 128,)}
            )
            file.truncate(700_000_000)
    said: list[str] = []
    sidecar.load_sidecar(topic, "phash", {"hashes": ("uint64", ())}, {}, said.append)
    assert len(said) == 1 and "set aside as phash.npz.corrupt" in said[0]
    assert {"packed": "packed, so of any size", "hole": "700.0 MB, far more than"}[kind] in said[0]


def test_a_topic_with_a_name_too_long_costs_that_topic(make_topic, tmp_path):
    make_topic("DS/C/S/T", "a.jpg", "b.jpg")
    long = "x" * 245
    make_topic(f"DS/C/S/{long}", "a.jpg")
    found = run("find_duplicates.py", tmp_path / "DS")
    assert found.returncode == 0 and (tmp_path / "DS/C/S/duplicates_T.json").exists()
    (tmp_path / "DS/C/S" / f"duplicates_{'y' * 238}.json").write_text(
        "{"
    )  # damaged, and no room for .corrupt
    make_topic(f"DS/C/S/{'y' * 238}", "a.jpg")
    assert run("find_duplicates.py", tmp_path / "DS").returncode == 0
    assert (
        found.stderr.count(
            f"{long}: not searched, its name is too long for duplicates_NAME.json; shorten it"
        )
        == 1
    )
    for script in ("duplicates_stats.py", "merge_clusters.py"):
        done = run(script, tmp_path / "DS", cwd=tmp_path)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("script", ["aesthetic_scorer.py", "find_duplicates.py"])
def test_a_cache_that_is_not_a_folder_is_reported(make_topic, tmp_path, script):
    (make_topic("DS/C/S/T", "a.jpg") / ".cache").write_text("x")
    done = run(script, tmp_path / "DS")
    assert done.returncode == 2 and "permissions" not in done.stderr
    assert "/.cache" in done.stderr
    assert "where a folder should be" in done.stderr or "Not a directory" in done.stderr


@pytest.mark.parametrize("leads_to", ["nowhere", ".cache"], ids=["dangling", "loop"])
@pytest.mark.parametrize("script", ["aesthetic_scorer.py", "find_duplicates.py"])
def test_a_cache_link_that_leads_to_no_cache_is_left_alone(make_topic, tmp_path, script, leads_to):
    link = make_topic("DS/C/S/T", "a.jpg") / ".cache"
    link.symlink_to(leads_to)
    done = run(script, tmp_path / "DS")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("/.cache: a link to a folder that is no cache") == 1
    assert link.is_symlink() and not (link.parent / "nowhere").exists()


@zoo.needs_permissions
def test_a_cache_of_another_user_is_reported(make_topic, tmp_path):
    topic = make_topic("DS/C/S/T", "a.jpg")
    assert run("aesthetic_scorer.py", tmp_path / "DS").returncode == 0
    (topic / ".cache").chmod(0)
    done = run("aesthetic_scorer.py", tmp_path / "DS", preexec_fn=zoo.drop_privileges)
    (topic / ".cache").chmod(0o755)
    assert done.returncode == 2 and "rescore" not in done.stderr
    assert (
        "/.cache/images.json: cannot be read (Permission denied); check its permissions"
        in done.stderr
    )


def test_a_failing_disk_is_not_reported_as_a_permission():
    from common.errors import os_error_to_user_error

    assert str(
        os_error_to_user_error("x.json", "read", OSError(errno.EIO, "Input/output error"))
    ) == ("x.json: cannot be read (Input/output error); check its disk or network share")


def test_a_target_that_a_source_reaches_through_a_link_is_refused(make_topic, tmp_path):
    make_topic("real/C0/S/T", "a.jpg")
    (tmp_path / "DS").mkdir()
    (tmp_path / "DS/C0").symlink_to("../real/C0")
    done = run("merge_clusters.py", tmp_path / "DS", "--output", tmp_path / "real/C0/out")
    assert done.returncode == 2 and "one contains the other" in done.stderr
    assert not (tmp_path / "real/C0/out").exists()


@pytest.mark.parametrize("error", [errno.EPERM, errno.EINVAL, errno.EOPNOTSUPP])
def test_file_systems_without_kernel_copies_or_links_get_plain_copies(tmp_path, monkeypatch, error):
    def refused(*_args, **_options):
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(os, "copy_file_range", refused)
    monkeypatch.setattr(os, "link", refused)
    source = tmp_path / "a.jpg"
    source.write_bytes(b"x" * 100_000)
    status = source.stat()
    stamp = status.st_size, status.st_mtime_ns
    mode = copying.TransferMode.COPY
    transfer = copying.Transfer(str(source), str(tmp_path / "b.jpg"), stamp, mode)
    with TargetFolder(str(tmp_path), "--output") as folder:
        copying.transfer_files([transfer], folder, lambda _: None)
    assert (tmp_path / "b.jpg").read_bytes() == source.read_bytes()


@pytest.mark.parametrize("date", ["1601-01-01", "2300-01-01", "5000-01-01"])
def test_an_image_of_an_odd_date_is_scored_and_searched_once(make_topic, tmp_path, date):
    folder = make_topic("DS/C/S/T", "a.jpg", "b.jpg", "c.jpg")
    seconds = (datetime.date.fromisoformat(date) - datetime.date(1970, 1, 1)).days * 86_400
    os.utime(folder / "a.jpg", ns=(0, seconds * 10**9 + 7))
    if (folder / "a.jpg").stat().st_mtime_ns != seconds * 10**9 + 7:
        pytest.skip(f"the file system cannot store the year {date[:4]}")
    scorer = ("aesthetic_scorer.py", tmp_path / "DS", "--model", "tiny", "--workers", 0)
    for run in (scorer, ("find_duplicates.py", tmp_path / "DS", "--variants")):
        done = run_script(*run)
        assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr
    again = run_script(*scorer, "--json")
    assert json.loads(again.stdout)["already_scored"] == 3
    merge = run_script("merge_clusters.py", tmp_path / "DS", "--output", tmp_path / "full")
    assert merge.returncode == 0 and (tmp_path / "full/C/S/T/a.jpg").is_file(), merge.stderr


CAN_MOUNT = subprocess.run(["unshare", "-rm", "true"], capture_output=True).returncode == 0


@pytest.mark.skipif(not CAN_MOUNT, reason="no mount namespace of our own: unshare -rm fails")
@pytest.mark.parametrize("mount", ["size=64k", "ro"])
def test_small_shared_memory_hangs_no_script(make_topic, tmp_path, mount):
    make_topic("DS/C/S/T", *[f"{number:02}.jpg" for number in range(20)])
    for script, *options in (("aesthetic_scorer.py", "--model", "tiny"), ("find_duplicates.py",)):
        for workers in (2, 0):
            command = [sys.executable, ROOT / script, tmp_path / "DS", *options]
            command += ["--workers", str(workers)]
            shell = f'mount -t tmpfs -o {mount} tmpfs /dev/shm && exec "$@"'
            done = subprocess.run(
                ["unshare", "-rm", "sh", "-c", shell, "sh", *command],
                capture_output=True,
                text=True,
                timeout=60,
            )
            assert "Traceback" not in done.stderr
            if mount == "ro" and workers:
                assert done.returncode == 2 and done.stderr.count("\n") <= 2
                assert "--workers 0" in done.stderr and "--shm-size" in done.stderr
            else:
                assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("limit", "remedy"), [("-v 300000", "ulimit -v"), ("-n 20", "ulimit -n")])
def test_few_resources_end_a_search_in_one_line(make_topic, tmp_path, limit, remedy):
    make_topic("DS/C/S/T", *[f"{number:02}.jpg" for number in range(40)])
    command = [sys.executable, ROOT / "find_duplicates.py", tmp_path / "DS", "--workers", "8"]
    done = subprocess.run(
        ["sh", "-c", f'ulimit {limit}; exec "$@"', "sh", *command],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2 and remedy in done.stderr and done.stderr.count("\n") == 1


def test_workers_end_with_their_parent_whatever_they_do(tmp_path):
    script = tmp_path / "spin.py"
    script.write_text(
        "import os, sys, re, time\n"
        f"sys.path.insert(0, {str(ROOT)!r})\n"
        "from duplicates.pool import Pool\n"
        "def spin(items):\n"
        "    print(os.getpid(), flush=True)\n"
        "    re.match('(a+)+$', 'a' * 60 + 'b')  # holds the interpreter's lock for years\n"
        "with Pool(2) as pool:\n"
        "    list(pool.run(spin, [(0, ['x'])]))\n"
    )
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True) as parent:
        worker = int(parent.stdout.readline())
        parent.kill()
    deadline = time.monotonic() + 20
    while Path(f"/proc/{worker}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(f"/proc/{worker}").exists()
