"""Downloads, from stand-ins on the loopback address: once, whole or not at all, and in one line
what went wrong.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from standins import Standin, run
from towers import SMALL, SO400M, save_head, save_model, siglip

L14 = "ViT-L-14-quickgelu"
HUB = {L14: "timm/vit_large_patch14_clip_224.openai", SO400M: f"timm/{SO400M}"}
V1, V25 = "sa_0_4_vit_l_14_linear.pth", "models/aesthetic_predictor_v2_5.pth"
PAGES = {
    V1: "/LAION-AI/aesthetic-predictor/raw/main/",
    V25: "/discus0434/aesthetic-predictor-v2-5/raw/main/",
}
MODELS = {L14: {**SMALL, "embed_dim": 768, "quick_gelu": True}, SO400M: siglip()}
WEIGHTS = {
    name: f"/{repository}/resolve/main/open_clip_model.safetensors"
    for name, repository in HUB.items()
}


@pytest.fixture
def standin() -> Iterator[Standin]:
    made = Standin()
    yield made
    made.shutdown()
    made.server_close()


def save_stack(path: Path) -> Path:
    """A head of the shape of siglip-v2.5's, with seeded weights."""
    torch.manual_seed(0)
    tensors = {}
    for number, (rows, columns) in zip(
        (0, 2, 4, 6, 8), ((64, 1152), (32, 64), (16, 32), (8, 16), (1, 8)), strict=True
    ):
        tensors[f"scoring_head.{number}.weight"] = torch.randn(rows, columns) / columns**0.5
        tensors[f"scoring_head.{number}.bias"] = torch.randn(rows)
    torch.save(tensors, path)
    return path


def offer(
    standin: Standin, folder: Path, model: str, file: str, config: dict | str
) -> dict[str, str]:
    """Put a model with seeded weights on the hub and a head on its page; the head's digest by its
    file.
    """
    folder.mkdir()
    standin.hub(HUB[model], save_model(folder / "model", config) / "open_clip_model.safetensors")
    head = save_stack(folder / "head.pth") if file == V25 else save_head(folder / "head.pth", 768)
    standin.files[PAGES[file] + file] = head
    return {file: hashlib.sha256(head.read_bytes()).hexdigest()}


NAMED = ["--head", "siglip-v2.5"]


@pytest.mark.parametrize(
    ("options", "model", "file", "head"),
    [([], L14, V1, "laion-v1"), (NAMED, SO400M, V25, "siglip-v2.5")],
)
def test_everything_is_downloaded_once(standin, make_topic, tmp_path, options, model, file, head):
    make_topic("DataSet/C/S/T", "a.jpg", "b.jpg")
    digests = offer(standin, tmp_path / "offered", model, file, MODELS[model])
    score = [
        "aesthetic_scorer.py",
        tmp_path / "DataSet",
        "--json",
        "--device",
        "cpu",
        "--workers",
        0,
        *options,
    ]
    first = run(tmp_path / "home", standin, digests, MODELS, *score)
    assert first.returncode == 0, first.stderr
    told = json.loads(first.stdout)
    assert (told["scored"], told["head"]) == (2, head)
    sizes = {
        path: [standin.files[path].stat().st_size] for path in (WEIGHTS[model], PAGES[file] + file)
    }
    assert standin.sent == sizes
    make_topic("DataSet/C/S/U", "c.jpg", seed=1)
    again = run(tmp_path / "home", standin, digests, MODELS, *score)
    assert json.loads(again.stdout)["scored"] == 1, again.stderr
    assert standin.sent == sizes
    standin.is_down = True  # the vectors of one script serve the other
    found = run(
        tmp_path / "home", standin, digests, MODELS, "find_duplicates.py", tmp_path / "DataSet", "--method", "clip",  # noqa: E501
        "--model", "siglip-v2.5" if model == SO400M else model,
    )  # fmt: skip
    assert found.returncode == 0, found.stderr


def only_line(ran) -> str:
    """What a run that failed said: one line."""
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr.count("\n") == 1, ran.stderr
    return ran.stderr


def test_what_breaks_off_ends_in_one_line_and_the_next_run_goes_on(standin, make_topic, tmp_path):
    make_topic("DataSet/C/S/T", "a.jpg")
    digests = offer(standin, tmp_path / "offered", SO400M, V25, MODELS[SO400M])
    weights, head = WEIGHTS[SO400M], PAGES[V25] + V25
    size = standin.files[weights].stat().st_size

    def score():
        standin.is_down = False
        options = ("--head", "siglip-v2.5", "--device", "cpu", "--workers", 0, "--quiet", "--json")
        return run(
            tmp_path / "home",
            standin,
            digests,
            MODELS,
            "aesthetic_scorer.py",
            tmp_path / "DataSet",
            *options,
        )

    standin.breaks = {weights}
    assert f"{weights}: download failed" in only_line(score())
    standin.breaks = {head}
    said = only_line(score())
    assert "head siglip-v2.5 could not be downloaded" in said and "run again" in said
    assert standin.sent[weights] == [
        size // 2,
        size,
    ]  # the weights are whole and kept; now it is the head
    assert not list((tmp_path / "home").rglob("aesthetic_predictor_v2_5.pth*"))
    right = standin.files[head]
    standin.files[head] = save_head(tmp_path / "other.pth", 1152)
    assert "not the published head (its sha256 differs), and not kept" in only_line(score())
    assert not list((tmp_path / "home").rglob("aesthetic_predictor_v2_5.pth*"))
    standin.files[head] = right
    assert json.loads(score().stdout)["scored"] == 1
    assert standin.sent[weights] == [size // 2, size]


@pytest.mark.soak
def test_the_whole_siglip_is_downloaded_and_scores(standin, make_topic, tmp_path):
    make_topic("DataSet/C/S/T", "a.jpg", "b.jpg")
    digests = offer(standin, tmp_path / "offered", SO400M, V25, SO400M)
    score = [
        "aesthetic_scorer.py",
        tmp_path / "DataSet",
        "--head",
        "siglip-v2.5",
        "--device",
        "cpu",
        "--json",
    ]
    for scored in (2, 0):
        ran = run(tmp_path / "home", standin, digests, {}, *score, seconds=900)
        assert json.loads(ran.stdout)["scored"] == scored, ran.stderr
    size = standin.files[WEIGHTS[SO400M]].stat().st_size
    assert size > 3.5e9 and standin.sent[WEIGHTS[SO400M]] == [size]


def test_known_answers_says_what_agrees_what_is_off_and_what_could_not_be_run(
    standin, make_topic, tmp_path
):
    digests = offer(standin, tmp_path / "offered", L14, V1, MODELS[L14])
    standin.files["/cat.jpg"] = make_topic("Pictures", "cat.jpg") / "cat.jpg"
    row = {
        "head": "laion-v1",
        "model": L14,
        "picture": f"{standin.address}/cat.jpg",
        "score": 0.0,
        "within": 1e-3,
    }

    def answers(score: float, home: str = "home"):
        (tmp_path / "answers.json").write_text(json.dumps([{**row, "score": score}]))
        options = ["benchmarks/known_answers.py", "--answers", tmp_path / "answers.json"]
        return run(tmp_path / home, standin, digests, MODELS, *options)

    off = answers(0.0)
    assert off.returncode == 1 and "OFF" in off.stdout and "1 off" in off.stdout, (
        off.stdout + off.stderr
    )
    ours = float(next(text for text in off.stdout.splitlines() if "cat.jpg" in text).split()[2])
    fine = answers(ours)
    assert fine.returncode == 0 and "all agree" in fine.stdout, fine.stdout + fine.stderr
    exact, rounded = next(text for text in fine.stdout.splitlines() if "cpu bf16" in text).split()[
        2:4
    ]
    assert exact != rounded  # scored anew, not read again
    standin.is_down = True
    away = answers(ours, "elsewhere")
    assert away.returncode == 2 and "not run: " in away.stdout and "0 off, 1 not run" in away.stdout
