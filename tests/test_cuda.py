"""A real GPU, where there is one: CUDA_VISIBLE_DEVICES=0 pytest tests/test_cuda.py.

All other tests hide it.
"""

from __future__ import annotations

import dataclasses
import gc
import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from test_encoder import engine, vectors
from towers import SMALL, save_head, save_model

import aesthetic_scorer
import find_duplicates
from common.clip import gpu_decoding
from common.clip.model import GPU_DECODE
from duplicates import neighbours
from imaging import images, jpeg_stream

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> str:
    made = tmp_path_factory.mktemp("tower") / "small"
    return f"local-dir:{save_model(made, SMALL)}"


@pytest.mark.parametrize(("precision", "within"), [("fp32", 1e-3), ("fp16", 5e-3), ("bf16", 2e-2)])
def test_vectors_are_those_of_the_cpu(folder, photos, precision, within):
    paths = list(map(str, photos[:20]))
    exact = vectors(engine("--model", folder, "--device", "cpu"), paths)
    found = vectors(engine("--model", folder, "--device", "cuda", "--precision", precision), paths)
    assert np.abs(found - exact).max() < within


def test_jpegs_decoded_on_the_gpu_are_nearly_those_of_the_cpu(photos, tmp_path):
    paths = list(map(str, photos[:20]))
    content = photos[0].read_bytes()
    for name, cut in {"half": len(content) // 2, "end": len(content) - 900}.items():
        (tmp_path / f"{name}.jpg").write_bytes(content[:cut] + jpeg_stream.END)
        paths.append(str(tmp_path / f"{name}.jpg"))
    made = engine("--model", "tiny", "--device", "cuda", "--fast-decode")
    made.model = dataclasses.replace(made.model, decode=GPU_DECODE)
    [(found, outcomes)] = made.decode_chunks([paths])
    reader = gpu_decoding.JpegReader(made.shape.fit, images.MAX_PIXELS)
    assert all(len(reader.__getitems__([path]).jpegs) for path in paths[:20])
    expected = [reader.decode(path)[0] for path in paths[:20]]
    assert [isinstance(outcome, str) for outcome in outcomes] == [False] * 20 + [True] * 2
    differences = (found.cpu().int() - torch.stack(expected).int()).abs()
    assert differences.max() <= 6 and differences.float().mean() < 0.5


def test_out_of_memory_halves_the_batch_and_goes_on(folder, make_topic, tmp_path, capsys):
    topic = make_topic("DS/C/S/T", *(f"{number:04}.jpg" for number in range(4096)))
    head = save_head(tmp_path / "head.pth", SMALL["embed_dim"])
    options = [
        str(tmp_path / "DS"),
        "--model",
        folder,
        "--head",
        str(head),
        "--device",
        "cuda",
        "--precision",
        "fp32",
    ]
    assert aesthetic_scorer.main([*options, "--quiet"]) == 0
    expected = json.loads((topic / "aesthetic_data.json").read_text())
    shutil.rmtree(topic / ".cache")
    gc.collect()
    torch.cuda.empty_cache()
    allowed = (
        torch.cuda.memory_reserved() + 90e6
    )  # 4,096 images of 32x32 want 150 MB, cuBLAS may want 32 MB
    torch.cuda.set_per_process_memory_fraction(
        allowed / torch.cuda.get_device_properties(0).total_memory
    )
    try:
        assert aesthetic_scorer.main([*options, "--batch-size", "4096", "--rescore"]) == 0
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert "out of memory: going on with batches of" in capsys.readouterr().err
    assert json.loads((topic / "aesthetic_data.json").read_text()) == pytest.approx(
        expected, abs=1e-3
    )


def test_the_search_finds_the_same_on_every_device(photos, tmp_path):
    found = []
    for device in ("cpu", "cuda"):
        topic = tmp_path / device / "C/S/T"
        topic.mkdir(parents=True)
        for photo in photos[:12]:
            (topic / photo.name).write_bytes(photo.read_bytes())
            ImageOps.mirror(Image.open(photo)).save(topic / f"mirrored {photo.name}")
        assert (
            find_duplicates.main(
                [str(tmp_path / device), "--variants", "--device", device, "--quiet"]
            )
            == 0
        )
        found.append(json.loads((topic.parent / "duplicates_T.json").read_text()))
    assert found[0] == found[1] and len(found[0]) == 24


def test_cosines_propose_the_same_pairs_on_every_device():
    rows = np.random.default_rng(0).standard_normal((3000, 64), dtype=np.float32)
    rows[1::2] = rows[::2] + 0.1 * rows[1::2]
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    pairs = [
        sorted(
            pair
            for one, other in neighbours.pairs_above_similarity(rows, 0.995, device)
            for pair in zip(one, other, strict=True)
        )
        for device in ("cpu", "cuda")
    ]
    assert pairs[0] == pairs[1] and 0 < len(pairs[0]) < 1500
