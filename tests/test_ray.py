"""Ray: the same bytes as without it, on machines that are lost or come amid a run; and what goes
wrong is one line.

Machines are daemons of one box. What takes long is soak; the rest tells, in the suite, what matters
most.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import towers
from conftest import ROOT, draw_image, run_script

from common.clip.ray import client
from common.reporter import Reporter

TOKEN = {
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": secrets.token_hex(32),
}  # of the machines of these tests
os.environ.update(TOKEN, RAY_USAGE_STATS_ENABLED="0")  # which Ray reads when it is imported
os.environ |= {
    # a minute, otherwise, until a lost head is given up
    "RAY_gcs_rpc_server_reconnect_timeout_s": "5",
    # 15, otherwise, and tests that run beside these would leave nothing to them
    "RAY_worker_niceness": "0",
}
ray = pytest.importorskip(
    "ray.cluster_utils", reason="Ray is not installed: pip install -r requirements-ray.txt"
)

BIG = 800  # images of a run that something happens to
GONE = 10.0  # seconds after which nothing is left of a run
SMALL_STORE = 200 * 2**20
SCORER, SEARCH = "aesthetic_scorer.py", "find_duplicates.py"
OPTIONS = {SCORER: ["--model", "tiny"], SEARCH: []}


@pytest.fixture(scope="module", autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A home folder in which nothing of Ray's may appear."""
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(folder))
        yield
    assert not (folder / ".ray").exists()


@pytest.fixture
def machines() -> Iterator[ray.Cluster]:
    """Two machines of one core each."""
    made = ray.Cluster(
        initialize_head=True, head_node_args={"num_cpus": 1, "object_store_memory": SMALL_STORE}
    )
    made.add_node(num_cpus=1, object_store_memory=SMALL_STORE)
    yield made
    with contextlib.suppress(Exception):
        made.shutdown()


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    return make(tmp_path / "DS", 24, 3)


@pytest.fixture(scope="module")
def big(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset on which a run is busy for some seconds, and its results without Ray."""
    made = make(tmp_path_factory.mktemp("big") / "DS", BIG // 20, 20)
    shutil.copytree(made, made.parent / "local" / "DS")
    assert run_script(SCORER, made.parent / "local" / "DS", "--model", "tiny").returncode == 0
    return made


def make(dataset: Path, images: int, topics: int) -> Path:
    """So many different images in each of so many topics, copies and an unreadable one among
    them.
    """
    for topic in range(topics):
        folder = dataset / "C" / "S" / f"T{topic:02}"
        folder.mkdir(parents=True)
        for number in range(images):
            made = draw_image(
                topic * 1000 + number // 2 * 2, (640, 480) if number % 2 else (320, 240)
            )
            made.save(folder / f"{number:03}.jpg", quality=90)
        (folder / "bad.jpg").write_text("not an image")
        for path in folder.iterdir():
            os.utime(path, (1e9, 1e9))  # vectors of two copies of a dataset are the same bytes then
    return dataset


def comparable_bytes(path: Path) -> bytes:
    """A file's content, without the inodes and times that images.json notes of each copy."""
    content = path.read_bytes()
    if path.name != "images.json":
        return content
    return json.dumps(json.loads(content) | {"files": None, "damaged": None}).encode()


def results(dataset: Path) -> dict[str, str]:
    """What a run left: every file but the images, by its digest."""
    paths = [path for path in dataset.rglob("*") if path.suffix in (".json", ".npz")]
    return {
        str(path.relative_to(dataset)): hashlib.sha256(comparable_bytes(path)).hexdigest()
        for path in sorted(paths)
    }


def told(line: str, ran: subprocess.CompletedProcess) -> bool:
    """Whether a run ended with status 2 and this in its one line."""
    *_, last = ran.stderr.splitlines()
    return (
        ran.returncode == 2
        and line in last
        and ran.stderr.count("error:") == 1
        and "Traceback" not in ran.stderr
    )


def of(mark: str) -> list[str]:
    """The processes whose environment bears the mark."""
    found = []
    for entry in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            if mark.encode() in Path("/proc", entry, "environ").read_bytes():
                found.append(Path("/proc", entry, "cmdline").read_text().replace("\0", " "))
    return found


def left_after(mark: str, seconds: float) -> list[str]:
    end = time.monotonic() + seconds
    while (left := of(mark)) and time.monotonic() < end:
        time.sleep(0.1)
    return left


def until(happened: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.05)


def named(name: str) -> list[int]:
    """Ids of Ray's processes of that name."""
    listed = subprocess.run(
        ["ps", "-eo", "pid,args"], capture_output=True, text=True
    ).stdout.splitlines()
    return [int(line.split()[0]) for line in listed if f"ray::{name}" in line]


class Run:
    """The scorer at work on a copy of a dataset with a mark in its environment."""

    def __init__(self, dataset: Path, copy: Path, *options: str) -> None:
        self.dataset = copy / "DS"
        shutil.copytree(dataset, self.dataset)
        self.mark = f"MARK_{secrets.token_hex(8)}"
        command = [
            sys.executable,
            str(ROOT / SCORER),
            str(self.dataset),
            "--model",
            "tiny",
            "--json",
            *options,
        ]
        self.process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=(copy / "stderr").open("w"),
            text=True,
            env={**os.environ, self.mark: "1"},
            start_new_session=True,
        )
        self._said = copy / "stderr"

    def wait_for(self, topics: int, seconds: float = 120) -> None:
        end = time.monotonic() + seconds
        while len(list(self.dataset.rglob("aesthetic_data.json"))) < topics:
            assert self.process.poll() is None and time.monotonic() < end, self._said.read_text()
            time.sleep(0.05)

    def end(self, seconds: float = 120) -> subprocess.CompletedProcess:
        """Wait for its end."""
        output, _ = self.process.communicate(timeout=seconds)
        return subprocess.CompletedProcess(
            [], self.process.returncode, output, self._said.read_text()
        )


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Callable[..., Run]]:
    """Begins a run, of which nothing is left after the test, however that ends."""
    runs: list[Run] = []

    def begin(dataset: Path, *options: str) -> Run:
        runs.append(Run(dataset, tmp_path, *options))
        return runs[-1]

    yield begin
    for run in runs:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(run.process.pid, signal.SIGKILL)


@pytest.mark.parametrize("script", [SCORER, SEARCH])
def test_ray_is_not_installed(script, dataset):
    hidden = "import runpy, sys; sys.modules['ray'] = None; sys.argv = sys.argv[1:]; sys.path.insert(0, sys.argv.pop(0))"  # noqa: E501
    command = [
        sys.executable,
        "-c",
        f"{hidden}; runpy.run_path(sys.argv[0], run_name='__main__')",
        str(ROOT),
    ]
    command += [str(ROOT / script), str(dataset), "--ray", *OPTIONS[script]]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert told("Ray is not installed; pip install -r requirements-ray.txt", ran)


def test_nobody_answers_at_the_address(dataset):
    before = time.monotonic()
    ran = run_script(SEARCH, dataset, "--ray-address", "127.0.0.1:1")
    assert told("--ray-address 127.0.0.1:1: no Ray there ([Errno 111] Connection refused)", ran)
    assert time.monotonic() - before < 60


def test_without_ray_nothing_of_it_is_imported(dataset):
    code = "import runpy, sys; sys.argv = sys.argv[1:]; sys.path.insert(0, sys.argv.pop(0))"
    code += "\ntry: runpy.run_path(sys.argv[0], run_name='__main__')\nfinally: print('ray' in sys.modules)"  # noqa: E501
    for script in (SCORER, SEARCH):
        command = [
            sys.executable,
            "-c",
            code,
            str(ROOT),
            str(ROOT / script),
            str(dataset),
            *OPTIONS[script],
        ]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert ran.stdout.splitlines()[-1] == "False", ran.stderr


def test_the_same_bytes_on_two_machines(dataset, machines, tmp_path):
    local = tmp_path / "local" / "DS"
    shutil.copytree(dataset, local)
    for script, *options in ([SCORER, "--model", "tiny"], [SEARCH, "--across"]):
        here = run_script(script, local, *options, "--json")
        there = run_script(script, dataset, *options, "--json", "--ray-address", machines.address)
        assert (here.returncode, there.returncode) == (0, 0), there.stderr
        kept = [
            {key: value for key, value in json.loads(ran.stdout).items() if "second" not in key}
            for ran in (here, there)
        ]
        assert kept[0] == kept[1]
        assert "Ray: 2 machines, 0 GPUs, 2 cores" in there.stderr
    assert results(local) == results(dataset)
    assert len(results(dataset)) > 9


def test_what_was_begun_in_vain_is_the_next_answer():
    args = towers.options("--ray")
    with client.Fleet(args, Reporter(args)) as machines:
        ticket = machines.call_async("encode", "vectors", [(7, 0, 1)])  # pixels that nobody has
        with pytest.raises(RuntimeError, match="KeyError: 7"):
            ticket.result()
        machines.call("find_machines")  # told once


def test_a_machine_of_its_own_ends_with_the_run(big, begin):
    run = begin(big, "--ray")  # the option before no folder: it takes none
    run.wait_for(1)
    os.killpg(run.process.pid, signal.SIGINT)  # as a terminal does
    ran = run.end(30)
    assert ran.returncode == 130 and ran.stderr.splitlines()[-1].endswith(
        "finished work is kept; run the same command again"
    )
    assert not left_after(run.mark, GONE)


@pytest.mark.soak
@pytest.mark.parametrize("lost", ["_call", "_Worker", "machine"])
def test_whatever_is_lost_the_bytes_are_the_same(lost, big, machines, begin):
    run = begin(big, "--ray-address", machines.address)
    run.wait_for(2)
    if lost == "machine":
        machines.remove_node(next(iter(machines.worker_nodes)), allow_graceful=False)
    else:
        os.kill(next(iter(named(lost))), signal.SIGKILL)
    ran = run.end()
    assert ran.returncode == 0, ran.stderr
    assert results(run.dataset) == results(big.parent / "local" / "DS")


@pytest.mark.soak
def test_a_machine_that_comes_amid_a_run_is_used(big, machines, begin, tmp_path):
    many = tmp_path / "many" / "DS"
    for number in range(5):  # so that the run lasts until the machine is seen
        shutil.copytree(big / "C", many / f"C{number}")
    run = begin(many, "--ray-address", machines.address)
    run.wait_for(1)
    machines.add_node(num_cpus=1, object_store_memory=SMALL_STORE)
    until(lambda: len(named("_Worker")) == 3 or run.process.poll() is not None)
    run.process.send_signal(signal.SIGSTOP)  # while its encoder loads
    until(lambda: not named("_Worker.begin"))
    run.process.send_signal(signal.SIGCONT)
    ran = run.end()
    assert ran.returncode == 0 and ran.stderr.count("🧠") == 3, ran.stderr
    assert run_script(SCORER, many, "--model", "tiny").returncode == 0
    assert results(run.dataset) == results(many)


@pytest.mark.soak
@pytest.mark.parametrize("lost", ["head", "daemon"])
def test_ray_is_lost(lost, big, machines, begin):
    run = begin(big, "--ray-address", machines.address)
    run.wait_for(2)
    head = machines.head_node
    if lost == "head":
        run.process.send_signal(signal.SIGSTOP)  # or it would be done before the loss is noticed
        head.kill_gcs_server(check_alive=False)
        until(lambda: not any("spawn_main" in command for command in of(run.mark)))
        run.process.send_signal(signal.SIGCONT)
    else:
        head.kill_raylet(check_alive=False)
    ran = run.end()
    assert told("Ray is gone", ran) or told("Ray failed", ran), ran.stderr
    goes_on(run, big)


@pytest.mark.soak
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
@pytest.mark.parametrize("twice", [False, True])
def test_stopped_nothing_is_left_and_the_next_run_goes_on(number, twice, big, begin):
    run = begin(big, "--ray")
    run.wait_for(2)
    for _ in range(1 + twice):
        with contextlib.suppress(ProcessLookupError):
            (os.killpg if number == signal.SIGINT else os.kill)(
                run.process.pid, number
            )  # a terminal tells the group
        time.sleep(0.3)
    before = time.monotonic()
    ran = run.end(30)
    assert time.monotonic() - before < 3
    assert ran.returncode == (-number if number == signal.SIGKILL else 128 + number)
    assert not left_after(run.mark, GONE)
    goes_on(run, big)


def goes_on(run: Run, big: Path) -> None:
    """The same command without Ray does the rest, and the results are those of a run that nothing
    happened to.
    """
    ran = run_script(SCORER, run.dataset, "--model", "tiny", "--json")
    assert ran.returncode == 0 and json.loads(ran.stdout)["already_scored"] >= BIG // 20
    assert results(run.dataset) == results(big.parent / "local" / "DS")


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Callable[..., str]]:
    """Starts a head without cores and one machine by a command of its own; returns the address."""
    command = os.path.join(os.path.dirname(sys.executable), "ray")
    started: list[subprocess.Popen] = []
    made = ray.Cluster(
        initialize_head=True, head_node_args={"num_cpus": 0, "object_store_memory": SMALL_STORE}
    )

    def start(*prefix: str, **environment: str) -> str:
        whole = [*prefix, command, "start", f"--address={made.address}", "--num-cpus=2", "--block"]
        process = subprocess.Popen(
            [*whole, f"--object-store-memory={SMALL_STORE}"],
            env={**os.environ, **environment},
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        started.append(process)
        time.sleep(10)
        return str(made.address)

    yield start
    for process in started:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)
    with contextlib.suppress(Exception):
        made.shutdown()


@pytest.mark.soak
@pytest.mark.parametrize("script", [SCORER, SEARCH])
def test_a_machine_does_not_see_the_dataset(script, dataset, other, tmp_path):
    (tmp_path / "empty").mkdir()
    namespace = ("unshare", "--map-root-user", "--mount")
    if subprocess.run([*namespace, "true"], capture_output=True).returncode:
        pytest.skip("no namespaces of one's own here")
    hide = f'mount --bind "{tmp_path}/empty" "{dataset}" && exec "$@"'
    address = other(*namespace, "sh", "-c", hide, "sh")
    ran = run_script(script, dataset, *OPTIONS[script], "--ray-address", address)
    assert told(f"{dataset}/C/S/T00/000.jpg: {os.uname().nodename} does not see it", ran), (
        ran.stderr
    )


@pytest.mark.soak
@pytest.mark.parametrize("script", [SCORER, SEARCH])
def test_a_machine_has_another_version(script, dataset, other, tmp_path):
    about = tmp_path / "fake" / "pillow-0.1.dist-info" / "METADATA"
    about.parent.mkdir(parents=True)
    about.write_text("Metadata-Version: 2.1\nName: pillow\nVersion: 0.1\n")
    address = other(PYTHONPATH=str(tmp_path / "fake"))
    ran = run_script(script, dataset, *OPTIONS[script], "--ray-address", address)
    assert told("has pillow 0.1, this one pillow", ran), ran.stderr
