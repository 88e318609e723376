"""Heads: LAION's own, folded and judged by their published figures; and everything that is
no head.
"""

from __future__ import annotations

import dataclasses
import pickle
import runpy

import numpy as np
import open_clip
import pytest
import torch
from conftest import ROOT, SHARED
from towers import choose

from common.clip import heads, scorers
from common.clip.heads import HeadChoice
from common.clip.model import Model, file_digest
from common.errors import UserError

L14 = Model("ViT-L-14-quickgelu", "openai", "exact", "ViT-L-14-quickgelu", None)
SO400M = Model(
    "ViT-SO400M-14-SigLIP-384-tanh-gelu", "webli", "exact", "ViT-SO400M-14-SigLIP-384", None
)
B32 = Model("ViT-B-32-quickgelu", "openai", "exact", "ViT-B-32-quickgelu", None)

PARTS = ("weight", "bias")

# Scores of LAION's ten text-derived vectors from "rating 0" to "rating 9": a right head sees them
# rise.
RATINGS = {
    "l_14": [-2.4579, -0.1379, 1.8951, 3.5849, 5.0997, 6.4701, 7.7870, 9.0480, 10.2264, 11.3044],
    "b_32": [-1.4700, 0.2728, 1.9900, 3.6114, 5.0874, 6.3926, 7.6682, 8.9155, 9.9166, 11.0056],
}


def load(path) -> heads.Head:
    return heads.load_head(HeadChoice("test", str(path), None, None))


REAL = (
    SHARED.is_dir()
)  # LAION's heads, ratings and embeddings; without them only what a test makes is judged


def made_head(path) -> tuple[np.ndarray, np.ndarray]:
    """Save a head in the layout of LAION's, as steep; its direction, and one at a right angle to
    it.
    """
    direction, other = np.linalg.qr(np.random.default_rng(0).normal(size=(512, 2)))[0].T
    torch.save(
        {"weight": torch.from_numpy(28 * direction[None]).float(), "bias": torch.tensor([5.0])},
        path,
    )
    return direction, other


def test_a_linear_head_is_its_own_closed_form(tmp_path):
    direction, other = made_head(tmp_path / "head.pth")
    angles = np.linspace(2, 1, 10)[:, None]
    scores = load(tmp_path / "head.pth")(
        (np.cos(angles) * direction + np.sin(angles) * other).astype("float32")
    )
    assert scores == sorted(scores)
    assert scores == pytest.approx([5 + 28 * np.cos(angle) for angle in angles[:, 0]], abs=0.001)


@pytest.mark.skipif(not REAL, reason="needs the heads that LAION published")
@pytest.mark.parametrize("model", RATINGS)
def test_laions_ratings_rise_as_published(model):
    vectors = np.stack(
        [np.load(SHARED / f"ratings/vit_{model}_rating{n}.npy").reshape(-1) for n in range(10)]
    )
    scores = load(SHARED / f"heads/sa_0_4_vit_{model}_linear.pth")(vectors)
    assert scores == sorted(scores)
    assert scores == pytest.approx(RATINGS[model], abs=0.001)


@pytest.mark.parametrize("source", ["made", "real"] if REAL else ["made"])
def test_stored_embeddings_give_the_published_scores(source, tmp_path):
    path, expected = (
        SHARED / "heads/sa_0_4_vit_b_32_linear.pth",
        [4.0085, 6.7292, 5.1683, 3.2372, 6.0094, 5.6625, 5.8890],
    )
    if source == "real":
        stored = np.load(SHARED / "clip_b32/vitb32_image_embs_f16.npy")
    else:
        path = tmp_path / "head.pth"
        weight = (28 * made_head(path)[0]).tolist()
        stored = np.random.default_rng(1).normal(size=(7, 512)).astype("float16")
        rows = [[float(value) for value in row] for row in stored]
        length = [sum(value * value for value in row) ** 0.5 for row in rows]
        expected = [
            5 + sum(map(float.__mul__, weight, row)) / long
            for row, long in zip(rows, length, strict=True)
        ]
    vectors = stored.astype("float32")
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    assert load(path)(vectors) == pytest.approx(expected, abs=0.001)


# File, its layers, and norm and bias of the one layer that they fold into.
STACKS = {
    "sac+logos+ava1-l14-linearMSE.pth": ("layers", [0, 2, 4, 6, 7], 17.9956, 5.236646),
    "aesthetic_predictor_v2_5.pth": ("scoring_head", [0, 2, 4, 6, 8], 25.4523, 1.93904),
}


def made_stack(path) -> tuple[str, list[int], None, None]:
    """Save layers that lie in the file in another order than in the stack."""
    torch.manual_seed(0)
    sizes = {10: (4, 1), 8: (8, 4), 4: (32, 8), 0: (64, 32)}
    tensors = {f"stack.{number}.bias": torch.randn(rows) for number, (_, rows) in sizes.items()}
    weights = {
        f"stack.{number}.weight": torch.randn(rows, columns)
        for number, (columns, rows) in sizes.items()
    }
    torch.save({**tensors, **weights}, path)
    return "stack", sorted(sizes), None, None


@pytest.mark.parametrize("file", ["made", *(STACKS if REAL else [])])
def test_published_stacks_fold_exactly(file, tmp_path, monkeypatch):
    path = SHARED / "heads" / file
    if file == "made":
        path = tmp_path / "stack.pth"
        published = made_stack(path)
        with pytest.raises(UserError, match="4 layers, and no published head"):
            load(path)
        row = dataclasses.replace(scorers.SCORERS[0], head="made", digest=file_digest(str(path)))
        monkeypatch.setattr(scorers, "SCORERS", (*scorers.SCORERS, row))
    stem, numbers, norm, bias = STACKS.get(file) or published
    head = load(path)
    assert norm is None or np.linalg.norm(head.weight) == pytest.approx(norm, abs=1e-4)
    assert bias is None or head.bias == pytest.approx(bias, abs=1e-5)
    layers = torch.load(path, "cpu", weights_only=True)
    dim = layers[f"{stem}.0.weight"].shape[1]
    torch.manual_seed(0)
    values = torch.nn.functional.normalize(torch.randn(200, dim, dtype=torch.float64), dim=1)
    slow = values
    for number in numbers:
        slow = (
            slow @ layers[f"{stem}.{number}.weight"].double().T
            + layers[f"{stem}.{number}.bias"].double()
        )
    assert np.abs(values.numpy() @ head.weight + head.bias - slow[:, 0].numpy()).max() < 1e-9


def test_a_score_does_not_depend_on_its_batch():
    head = heads.Head(np.random.default_rng(0).normal(size=768), 5.0, "head")
    vectors = np.random.default_rng(1).normal(size=(33, 768)).astype("float32")
    assert head(vectors) == [head(vectors[i : i + 1])[0] for i in range(33)]


def test_a_head_of_huge_numbers_gives_no_score():
    head = heads.Head(np.full(768, 1e308), 0.0, "huge.pth")
    with pytest.raises(UserError, match=r"huge.pth: gives scores beyond 1,000,000"):
        head(np.full((1, 768), 1.0, "float32"))


class Hostile:
    def __reduce__(self):
        return (print, ("this ran",))


STACK = {
    f"layers.{number}.{part}": torch.zeros(1, *[1] * (part == "weight"))
    for number in (0, 2)
    for part in PARTS
}
NO_HEADS = {
    "pickle that runs code": (pickle.dumps(Hostile()), "refused"),
    "text": (b"weights", "refused|not a head"),
    "empty": (b"", "not a head"),
    "two outputs": (
        {"weight": torch.zeros(2, 8), "bias": torch.zeros(2)},
        "not a head for one score",
    ),
    "NaN": ({"weight": torch.full((1, 8), torch.nan), "bias": torch.zeros(1)}, "NaN or infinite"),
    "infinite": ({"weight": torch.zeros(1, 8), "bias": torch.tensor([torch.inf])}, "infinite"),
    "integer keys": ({0: torch.zeros(1, 8), 1: torch.zeros(1)}, "not a head"),
    "no bias": ({"weight": torch.zeros(1, 8)}, "not a linear head"),
    "no tensors": ({}, "not a linear head"),
    "several layers": (
        STACK,
        "2 layers, and no published head .its sha256 is unknown.: whether activations",
    ),
}


@pytest.mark.parametrize("kind", NO_HEADS)
def test_what_is_no_head_is_refused_in_one_line(kind, tmp_path, capfd):
    content, reason = NO_HEADS[kind]
    path = tmp_path / "head.pth"
    torch.save(content, path) if isinstance(content, dict) else path.write_bytes(content)
    with pytest.raises(UserError, match=reason) as refused:
        load(path)
    assert str(path) in str(refused.value)
    assert "\n" not in str(refused.value)
    assert "this ran" not in capfd.readouterr().out


def test_laions_names_mean_the_models_they_were_trained_on(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    assert heads.resolve_head(None, L14).path.endswith("sa_0_4_vit_l_14_linear.pth")
    assert heads.resolve_head(None, B32).path.endswith("sa_0_4_vit_b_32_linear.pth")
    assert heads.resolve_head("laion-v2", L14).path.endswith("linearMSE.pth")
    assert heads.resolve_head(None, SO400M).name == "siglip-v2.5"
    other_weights = Model(
        "ViT-L-14-quickgelu", "metaclip_400m", "exact", "ViT-L-14-quickgelu", None
    )
    for head, model in (
        ("laion-v2", B32),
        ("laion-v1", other_weights),
        ("siglip-v2.5", L14),
        (
            "siglip-v2.5",
            Model(SO400M.source, "webli", "exact", SO400M.source, None),
        ),  # the exact GELU
        ("laion-v1", Model("a", "b", "exact", "a", None)),
    ):
        with pytest.raises(UserError, match="pass --head FILE"):
            heads.resolve_head(head, model)


def test_a_named_head_brings_its_model():
    assert {
        head: heads.head_model(head) for head in [None, "head.pth", *scorers.scorer_names()]
    } == {
        None: "ViT-L-14-quickgelu",
        "head.pth": "ViT-L-14-quickgelu",
        "laion-v1": "ViT-L-14-quickgelu",
        "laion-v2": "ViT-L-14-quickgelu",
        "laion-v2-ava": "ViT-L-14-quickgelu",
        "siglip-v2.5": "siglip-v2.5",
    }


@pytest.mark.parametrize("row", scorers.SCORERS, ids=lambda row: f"{row.head} {row.model}")
def test_a_row_says_what_open_clip_says(row):
    model = choose("--model", row.model)
    assert (model.cli_name, model.weights) == (row.model, row.weights)
    config = open_clip.get_model_config(model.source)
    made = (
        open_clip.model.CustomTextCLIP if config.pop("custom_text", False) else open_clip.model.CLIP
    )
    with torch.device("meta"):
        parameters = sum(tensor.numel() for tensor in made(**config).parameters())
    assert row.gigabytes == round(parameters * 4 / 1e9, 2)
    assert row.pixels == config["vision_cfg"]["image_size"]
    assert (
        heads.resolve_head(None if row.head.endswith("v1") else row.head, model).address
        == row.address
    )


@pytest.mark.skipif(not REAL, reason="needs the heads that were published")
def test_rows_hold_the_size_and_digest_of_the_published_files():
    files = {path.name: path for path in (SHARED / "heads").iterdir()}
    found = [row for row in scorers.SCORERS if row.address.rpartition("/")[2] in files]
    assert len(found) >= 5
    for row in found:
        path = files[row.address.rpartition("/")[2]]
        assert (path.stat().st_size, file_digest(str(path))) == (row.size, row.digest)


def test_a_cached_head_with_another_content_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    choice = heads.resolve_head("laion-v1", L14)
    path = tmp_path / "hub/checkpoints/sa_0_4_vit_l_14_linear.pth"
    assert choice.path == str(path)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"something else")
    with pytest.raises(UserError, match="sha256 differs"):
        heads.load_head(choice)


def test_the_page_of_scorers_is_made_from_the_table():
    made = runpy.run_path(str(ROOT / "demo/scorers_table.py"))["page"]()
    assert (ROOT / "docs/scorers.md").read_text("utf-8") == made, "run demo/scorers_table.py"
