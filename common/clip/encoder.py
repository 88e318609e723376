"""CLIP image towers through open_clip: pixels in, unit vectors out.

Imports torch and open_clip inside its functions, when a model is really needed. Knows nothing of
scores, topics or files in the dataset.
"""

from __future__ import annotations

import contextlib
import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from common.clip import half_precision
from common.clip.model import Model
from common.clip.tower_shape import TowerShape
from common.errors import UserError

if TYPE_CHECKING:
    import torch

BATCH_SIZES = {
    "cuda": 256,
    "mps": 64,
    "cpu": 32,
}  # fills the device; larger gains nothing measurable
DEVICES = ("cuda", "mps", "cpu")


def resolve_device(name: str) -> torch.device:
    """The device that --device names. Raises UserError if there is none of that kind."""
    import torch

    if name == "auto":
        name = _best_device()
    try:
        torch.empty(1, device=name)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        if name.split(":")[0] not in DEVICES:
            reason = f"choose from {', '.join(DEVICES)}"
        raise UserError(f"--device {name}: {reason}; or leave it out") from None
    return torch.device(name)


def _best_device() -> str:
    import torch

    if torch.cuda.is_available():
        return "cuda"
    if torch.backends.mps.is_available():
        return "mps"
    return "cpu"


def normalize_pixels(pixels: torch.Tensor, mean: torch.Tensor, std: torch.Tensor) -> torch.Tensor:
    """Uint8 pixels (n, height, width, 3) as float32 (n, 3, height, width).

    Bit for bit what torchvision's ToTensor and Normalize give.
    """
    values = pixels.permute(0, 3, 1, 2).float() / 255
    return (values - mean.view(1, 3, 1, 1)) / std.view(1, 3, 1, 1)


class Encoder:
    """The image tower on a device: pixels in, unit vectors out."""

    def __init__(
        self,
        model: Model,
        shape: TowerShape,
        file: str | None,
        device: torch.device,
        precision: str,
    ) -> None:
        """Load the weights (safetensors, or a pickle of plain tensors). Raises UserError."""
        import torch

        self.device = device
        self.precision = precision
        if precision == "auto":
            self.precision = _default_precision(model, device)
        tower = _load_visual(model, file, device, self.precision)
        self.visual = tower.eval().requires_grad_(False).to(memory_format=torch.channels_last)
        if self.precision == "fp16":
            half_precision.speed_up(self.visual)
        if model.has_tanh_gelu:
            _use_tanh_gelu(self.visual)
        dtypes = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}
        self._dtype = dtypes[self.precision]
        self._mean = torch.tensor(shape.mean, device=device)
        self._std = torch.tensor(shape.std, device=device)

    def start_batch(self, parts: Sequence[torch.Tensor]) -> PendingBatch:
        """Begin to encode the parts' pixels, uint8 of shape (n, height, width, 3).

        On CUDA this returns before the work is done, and pinned pixels are copied meanwhile.
        Raises torch.OutOfMemoryError.
        """
        import torch

        with torch.inference_mode():
            pixels = torch.cat([part.to(self.device, non_blocking=True) for part in parts])
            values = normalize_pixels(pixels, self._mean, self._std)
            output = self.visual(values.to(self._dtype))
            if isinstance(output, tuple):  # some towers return their tokens as well
                output = output[0]
            vectors = torch.nn.functional.normalize(output.float(), dim=-1)
            vectors = vectors.to("cpu", non_blocking=True)
            event = None
            if self.device.type == "cuda":
                event = torch.cuda.Event()  # type: ignore[no-untyped-call]
                event.record()
        return PendingBatch(vectors, event)


def _default_precision(model: Model, device: torch.device) -> str:
    if device.type != "cuda":
        return "fp32"
    return "bf16" if model.has_tanh_gelu else "fp16"  # a SigLIP was not shown to fit fp16's range


def _load_visual(
    model: Model, file: str | None, device: torch.device, precision: str
) -> torch.nn.Module:
    """Load the model through open_clip, keep the image tower, drop the text tower."""
    import open_clip

    name = file or model.source
    # Random weights, which the file's replace, take a GPU milliseconds, and the CPU seconds.
    made_on = device if device.type == "cuda" else contextlib.nullcontext()
    try:
        with made_on:
            loaded = open_clip.create_model(
                model.source, file, precision=precision, device=device, require_pretrained=True
            )
    except pickle.UnpicklingError:
        raise UserError(
            f"{name}: refused, it holds more than plain tensors and could run code"
        ) from None
    except (
        RuntimeError,
        OSError,
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        AssertionError,
    ) as error:
        reason = (str(error) or repr(error)).splitlines()[0]
        if isinstance(error.__cause__, pickle.UnpicklingError):
            reason = "it holds more than plain tensors"
        raise UserError(f"{name}: cannot be loaded as {model.name} ({reason})") from None
    visual: torch.nn.Module = loaded.visual
    return visual


def _use_tanh_gelu(visual: torch.nn.Module) -> None:
    """Use GELU's tanh form in every MLP and in the attention pool.

    It is within 0.0005 of the exact form.
    """
    import torch

    for module in visual.modules():
        if isinstance(module, torch.nn.GELU):
            module.approximate = "tanh"


@dataclass(frozen=True)
class PendingBatch:
    """Vectors on their way from the device."""

    vectors: torch.Tensor
    event: Any

    def result(self) -> Any:
        """Float32 array of shape (n, dim), rows of unit length.

        A row with NaN is an image that the model failed on.
        """
        if self.event:
            self.event.synchronize()
        return self.vectors.numpy()
