"""The CLIP engine against open_clip used plainly: same vectors, whatever the batches and workers.

Images of twice the size of a model's input or more are shrunk in torch, the others as open_clip
does. One level in one value of 500 moves the vector of a small tower, which sees few pixels, more
than that of a real one.
"""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from conftest import SHARED, draw_image
from PIL import Image
from safetensors.torch import load_file, save_file
from towers import SMALL, SO400M, choose, options, save_model, siglip

from common.clip import encoder, heads, model, preprocessing, tower_shape
from common.clip.engine import Engine
from common.errors import UserError
from common.reporter import Reporter


def engine(*arguments: object) -> Engine:
    args = options("--device", "cpu", *arguments)
    return Engine(model.resolve_model(args), args, Reporter(args))


def vectors(made: Engine, paths: list[str]) -> np.ndarray:
    """All paths' vectors through the engine's decoder and encoder, in batches of the
    engine's size.
    """
    pixels = torch.cat([part for part, _ in made.decode_chunks([[path] for path in paths])])
    parts = [made.encode([(part, 0, len(part))]) for part in pixels.split(made.batch)]
    return np.concatenate([pending.result() for batch in parts for pending in batch])


def plainly(folder: Path, paths: list[str]) -> np.ndarray:
    """The judge: one image at a time, open_clip's own transform and encode_image."""
    whole, _, transform = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    whole.eval()
    with torch.inference_mode():
        found = [
            whole.encode_image(transform(Image.open(path))[None], normalize=True)[0]
            for path in paths
        ]
    return torch.stack(found).numpy()


def differences(one: np.ndarray, other: np.ndarray, paths: list[str], side: int) -> np.ndarray:
    """Largest differences of the vectors of images that torch shrinks, and of the others."""
    largest = np.abs(one - other).max(axis=1)
    factor = preprocessing.MIN_EXACT_SHRINKING
    in_torch = np.array([min(Image.open(path).size) >= factor * side for path in paths])
    assert in_torch.any() and not in_torch.all()
    return np.array([largest[in_torch].max(), largest[~in_torch].max()])


@pytest.fixture(scope="session")
def pictures(tmp_path_factory) -> list[str]:
    """RGB and grey pictures of many shapes."""
    folder = tmp_path_factory.mktemp("pictures")
    for number in range(24):
        made = draw_image(number, (40 + 13 * number, 300 - 11 * number))
        made = made.convert("L") if number % 4 == 0 else made
        made.save(folder / f"{number:02}.{'jpg' if number % 2 else 'png'}")
    return sorted(map(str, folder.iterdir()))


def made_pixels(pictures: list[str]) -> tuple[list[str], np.ndarray]:
    """Pictures, and what open_clip's own transform with OpenAI's mean and deviation makes of
    them.
    """
    means = {"mean": open_clip.OPENAI_DATASET_MEAN, "std": open_clip.OPENAI_DATASET_STD}
    transform = open_clip.image_transform(224, is_train=False, **means)
    return pictures, torch.stack([transform(Image.open(path)) for path in pictures]).numpy()


def real_pixels(_: list[str]) -> tuple[list[str], np.ndarray]:
    """Images, and the tensors that a real ViT-B/32 pipeline fed its model."""
    names = json.loads((SHARED / "clip_b32/order.json").read_text())["tensor_order"]
    paths = [str(SHARED / f"clip_b32/images/{name}.jpg") for name in names]
    return paths, np.load(SHARED / "clip_b32/vitb32_preprocessed_f32.npy")


@pytest.mark.parametrize("source", [made_pixels, real_pixels] if SHARED.is_dir() else [made_pixels])
def test_preprocessing_is_openais_to_the_bit(source, pictures):
    paths, expected = source(pictures)
    shape = tower_shape.load_tower_shape(
        model.resolve_model(options("--model", "ViT-B-32-quickgelu"))
    )
    loader = engine("--model", "tiny", "--workers", 0)
    loader.shape = shape
    pixels = torch.cat([part for part, _ in loader.decode_chunks([paths])])
    values = encoder.normalize_pixels(pixels, torch.tensor(shape.mean), torch.tensor(shape.std))
    assert np.array_equal(values.numpy(), expected)


@pytest.mark.parametrize(("batch", "workers"), [(1, 0), (7, 2), (64, 2)])
def test_vectors_equal_open_clip_one_image_at_a_time(tower, pictures, batch, workers):
    made = engine("--model", f"local-dir:{tower}", "--batch-size", batch, "--workers", workers)
    found = vectors(made, pictures)
    assert found.dtype == np.float32
    assert np.linalg.norm(found, axis=1) == pytest.approx(1, abs=1e-6)
    in_torch, exact = differences(found, plainly(tower, pictures), pictures, 32)
    assert in_torch < 0.002
    assert exact < 1e-5


@pytest.mark.parametrize(
    ("count", "name", "max_difference"),
    [(24, "small", 0.004), pytest.param(200, "ViT-B-32", 0.001, marks=pytest.mark.soak)],
)
def test_scores_of_photos_equal_the_plain_loop(
    tower, photos, tmp_path, count, name, max_difference
):
    folder = tower if name == "small" else save_model(tmp_path / name, name)
    plain = [str(photo) for photo in photos if Image.open(photo).mode in ("RGB", "L")][:count]
    weight = np.random.default_rng(0).normal(
        size=tower_shape.load_tower_shape(engine("--model", f"local-dir:{folder}").model).dim
    )
    weight *= 28 / np.linalg.norm(weight)  # as steep as LAION's heads
    made = engine("--model", f"local-dir:{folder}", "--batch-size", 7)
    assert np.abs((vectors(made, plain) - plainly(folder, plain)) @ weight).max() < max_difference


def test_lower_precision_stays_close(tower, pictures):
    exact = vectors(engine("--model", f"local-dir:{tower}"), pictures)
    rounded = vectors(engine("--model", f"local-dir:{tower}", "--precision", "bf16"), pictures)
    assert 0 < np.abs(exact - rounded).max() < 0.02


def test_out_of_memory_halves_the_batch_and_goes_on(tower, pictures):
    made = engine("--model", f"local-dir:{tower}", "--batch-size", 16, "--workers", 0)
    expected = vectors(made, pictures)

    def refuse(_module, inputs):
        if len(inputs[0]) > 5:
            raise torch.OutOfMemoryError("CUDA out of memory")

    made.encoder.visual.register_forward_pre_hook(refuse)
    assert vectors(made, pictures) == pytest.approx(expected, abs=1e-5)
    assert made.batch == 4


def test_only_the_image_tower_stays(tower):
    encoder = engine("--model", f"local-dir:{tower}").encoder
    assert type(encoder.visual).__name__ == "VisionTransformer"
    assert not hasattr(encoder, "transformer")


def test_fast_decode_gives_other_vectors_and_another_sidecar(tower, tmp_path):
    draw_image(3, (1600, 1200)).save(tmp_path / "large.jpg")
    path = [str(tmp_path / "large.jpg")]
    full = engine("--model", f"local-dir:{tower}")
    fast = engine("--model", f"local-dir:{tower}", "--fast-decode")
    assert full.model.sidecar != fast.model.sidecar
    difference = np.abs(vectors(full, path) - vectors(fast, path)).max()
    assert 0 < difference < 0.05


def test_an_extreme_shape_takes_little_memory(tower, tmp_path):
    Image.new("RGB", (40000, 2)).save(tmp_path / "long.png")
    assert vectors(engine("--model", f"local-dir:{tower}"), [str(tmp_path / "long.png")]).shape == (
        1,
        16,
    )


@pytest.fixture
def small_siglip(tmp_path, monkeypatch) -> Path:
    """Weights of a small SigLIP, whose configuration stands in the place of the large one's."""
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, SO400M, siglip())
    file = save_model(tmp_path / "siglip", siglip()) / "open_clip_model.safetensors"
    tensors = load_file(file)
    for key in tensors:
        if "mlp.fc" in key:
            tensors[key] *= 5  # values of some size, where the two forms of GELU differ
    save_file(tensors, file)
    return file


def published(file: Path, activation: str = "gelu_tanh") -> Callable[[str], torch.Tensor]:
    """The judge: a picture's vector as SigLIP's authors make it.

    Squash, 0.5, and a tower built with the tanh GELU.
    """
    config = siglip(activation=activation)
    whole = open_clip.model.CLIP(**config).eval()
    open_clip.load_checkpoint(whole, str(file))
    transform = siglip_transform(config["vision_cfg"]["image_size"])

    def vector(path: str) -> torch.Tensor:
        with torch.inference_mode():
            return whole.encode_image(transform(Image.open(path))[None], normalize=True)[0]

    return vector


def siglip_transform(size: int) -> Callable[[Image.Image], torch.Tensor]:
    """Open_clip's own for the published weights."""
    tag = open_clip.get_pretrained_cfg(SO400M, "webli")
    known = {key: tag[key] for key in ("mean", "std", "interpolation", "resize_mode")}
    return open_clip.transform.image_transform_v2(
        open_clip.transform.PreprocessCfg(size=size, **known), is_train=False
    )


def test_siglip_gives_the_published_vectors(small_siglip, pictures):
    ours = vectors(
        engine("--model", "siglip-v2.5", "--pretrained", small_siglip, "--batch-size", 7), pictures
    )
    right, exact = (
        torch.stack(list(map(published(small_siglip, form), pictures))).numpy()
        for form in ("gelu_tanh", "gelu")
    )
    in_torch, by_pillow = differences(ours, right, pictures, 32)
    assert in_torch < 0.002
    assert by_pillow < 5e-6
    assert differences(exact, right, pictures, 32).min() > 2e-5  # the judge tells the two apart


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the head that was published")
def test_siglip_scores_equal_the_published_stack_in_a_plain_loop(small_siglip, photos):
    head = SHARED / "heads/aesthetic_predictor_v2_5.pth"
    paths = [str(photo) for photo in photos if Image.open(photo).mode == "RGB"][:20]
    ours = heads.load_head(heads.resolve_head(str(head), choose()))(
        vectors(
            engine("--model", "siglip-v2.5", "--pretrained", small_siglip, "--workers", 0), paths
        )
    )
    layers = torch.load(head, "cpu", weights_only=True)
    stack = torch.nn.Sequential(
        *(torch.nn.Linear(*shape) for shape in itertools.pairwise([1152, 1024, 128, 64, 16, 1]))
    )
    stack.load_state_dict(
        {f"{int(key.split('.')[1]) // 2}.{key.split('.')[2]}": layers[key] for key in layers}
    )
    with torch.inference_mode():
        plain = [stack(vector).item() for vector in map(published(small_siglip), paths)]
    assert ours == pytest.approx(plain, abs=0.001)


def test_siglip_preprocessing_is_open_clips_to_the_bit(photos):
    shape = tower_shape.load_tower_shape(choose("--model", "siglip-v2.5"))
    assert (shape.dim, shape.size, shape.mean, shape.std) == (
        1152,
        384,
        (0.5, 0.5, 0.5),
        (0.5, 0.5, 0.5),
    )
    theirs = siglip_transform(384)
    paths = [str(photo) for photo in photos if Image.open(photo).mode == "RGB"][:25]
    loader = engine("--model", "tiny", "--workers", 0)
    loader.shape = shape
    pixels = torch.cat([part for part, _ in loader.decode_chunks([paths])])
    ours = encoder.normalize_pixels(pixels, torch.tensor(shape.mean), torch.tensor(shape.std))
    assert torch.equal(ours, torch.stack([theirs(Image.open(path)) for path in paths]))


def test_no_exact_gelu_is_left_in_a_siglip_tower_and_none_changes_elsewhere(small_siglip):
    def forms(*arguments: object) -> list[str]:
        found = engine(*arguments, "--pretrained", small_siglip).encoder.visual.modules()
        return [module.approximate for module in found if isinstance(module, torch.nn.GELU)]

    assert forms("--model", "siglip-v2.5") == ["tanh"] * 3  # two blocks and the pool
    assert forms("--model", SO400M) == ["none"] * 3


def test_only_the_tanh_tower_has_the_new_mark(small_siglip):
    found = {
        name: choose("--model", name, "--pretrained", "webli") for name in ("siglip-v2.5", SO400M)
    }
    assert [made.about["model"] for made in found.values()] == [f"{SO400M}-tanh-gelu", SO400M]
    assert [made.sidecar for made in found.values()] == [
        f"clip-{SO400M}-tanh-gelu-webli",
        f"clip-{SO400M}-webli",
    ]
    assert choose().about == {"model": "ViT-L-14-quickgelu", "weights": "openai", "decode": "exact"}
    assert choose().sidecar == "clip-ViT-L-14-quickgelu-openai"


REFUSED = {
    (
        "--model",
        "siglip-v2.5",
        "--pretrained",
        "openai",
    ): "no such weights for ViT-SO400M-14-SigLIP-384",
    ("--model", "ViT-L-14"): "use --model ViT-L-14-quickgelu",
    ("--model", "ViT-L-14", "--pretrained", "metaclip_400m"): "want --model ViT-L-14-quickgelu",
    ("--model", "ViT-L-14-quickgelux", "--pretrained", "any"): "did you mean ViT-L-14-quickgelu",
    ("--model", "ViT-L-14-quickgelu", "--pretrained", "no-such-tag"): "no such weights",
    ("--model", "hf-hub:someone/something"): "local-dir:FOLDER",
    ("--model", "local-dir:/nowhere"): "no open_clip_config.json",
    ("--pretrained", "/nowhere/weights.pt"): "no such file",
    ("--model", "tiny", "--pretrained", "openai"): "leave it out",
    ("--model", "tiny", "--device", "abacus"): "--device abacus",
}


@pytest.mark.parametrize("arguments", REFUSED)
def test_what_cannot_work_is_refused_by_name(arguments):
    with pytest.raises(UserError, match=REFUSED[arguments]):
        engine(*arguments)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("embed_dim", "64"),
        ("embed_dim", 1e999),
        ("image_size", "32"),
        ("image_size", 1_000_000),
        ("image_size", [32, None]),
        ("image_size", True),
    ],
)
def test_sizes_that_no_model_can_have_are_refused(tower, tmp_path, key, value):
    folder = shutil.copytree(tower, tmp_path / "model")
    path = folder / "open_clip_config.json"
    config = json.loads(path.read_text())
    part = config["model_cfg"] if key == "embed_dim" else config["model_cfg"]["vision_cfg"]
    part[key] = value
    path.write_text(json.dumps(config))
    with pytest.raises(UserError, match=f"{key} is .*; it must be a number from 1 to ") as refused:
        engine("--model", f"local-dir:{folder}")
    assert str(path) in str(refused.value)


def test_weights_that_could_run_code_are_refused(tower, tmp_path, capfd):
    class Hostile:
        def __reduce__(self):
            return (print, ("this ran",))

    torch.save({"state_dict": Hostile()}, tmp_path / "weights.pt")
    made = engine("--model", "ViT-B-32-quickgelu", "--pretrained", tmp_path / "weights.pt")
    with pytest.raises(UserError, match="plain tensors"):
        _ = made.encoder
    assert "this ran" not in capfd.readouterr().out


def test_weights_for_another_model_are_refused(tower, tmp_path):
    made = engine(
        "--model", "RN50-quickgelu", "--pretrained", tower / "open_clip_model.safetensors"
    )
    with pytest.raises(UserError, match="cannot be loaded as RN50-quickgelu") as refused:
        _ = made.encoder
    assert "\n" not in str(refused.value)


def test_local_weights_are_known_by_their_content(tower, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    first = model.resolve_model(options("--model", f"local-dir:{tower}"))
    assert first == model.resolve_model(options("--model", f"local-dir:{tower}"))
    again = save_model(tmp_path / "small", SMALL, seed=1)
    other = model.resolve_model(options("--model", f"local-dir:{again}"))
    assert other.name == first.name
    assert other.weights != first.weights
    assert len(json.loads((tmp_path / "torch/hub/checkpoints/digests.json").read_text())) == 4
