"""CLIP image towers through open_clip: pixels in, unit vectors out.

Imports torch and open_clip inside its functions, when a model is really needed. Knows nothing of
scores, topics or files in the dataset.
"""

from __future__ import annotations

import difflib
import os
import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from common import json_files, terminal
from common.clip import weights
from common.clip.model import LOCAL, Model
from common.clip.preprocessing import Fit, make_fit
from common.errors import UserError

if TYPE_CHECKING:
    import torch

MAX_VECTOR_NUMBERS = 65_536  # of a model's vectors; published ones have up to 2,048
MAX_INPUT_SIDE_PIXELS = 4096  # of what a tower sees; published ones see up to 1,024
BATCH_SIZES = {
    "cuda": 256,
    "mps": 64,
    "cpu": 32,
}  # fills the device; larger gains nothing measurable


@dataclass(frozen=True)
class TowerShape:
    """What an image tower expects and gives, known before its weights are loaded."""

    dim: int
    fit: Fit  # resize and crop
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    size: int  # pixels per side, for draft decoding


def load_tower_shape(model: Model) -> TowerShape:
    """Read the tower's shape from its configuration alone. Imports torch. Raises UserError."""
    from open_clip.transform import PreprocessCfg, image_transform_v2, merge_preprocess_dict
    from torchvision.transforms import Compose

    if model.source.startswith(LOCAL):
        config, preprocess = _local_config(model.source.removeprefix(LOCAL))
    else:
        config, preprocess = _lookup_config(model)
    size = config["vision_cfg"]["image_size"]
    options = PreprocessCfg(**merge_preprocess_dict(PreprocessCfg(), {**preprocess, "size": size}))
    # The image opener converts before; the device normalises after.
    elsewhere = {"MaybeConvertMode", "MaybeToTensor", "Normalize"}
    steps = image_transform_v2(options, is_train=False).transforms
    fit = make_fit(Compose([step for step in steps if type(step).__name__ not in elsewhere]))
    side = options.size if isinstance(options.size, int) else max(options.size)
    return TowerShape(config["embed_dim"], fit, tuple(options.mean), tuple(options.std), side)


def _lookup_config(model: Model) -> tuple[dict[str, Any], dict[str, Any]]:
    """The model and preprocessing configuration of a name that open_clip knows."""
    import open_clip

    config = open_clip.get_model_config(model.source)
    if config is None:
        near = difflib.get_close_matches(model.source, open_clip.list_models(), n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise UserError(f"--model {model.source}: no such model{hint}")
    preprocess = weights.tag_config(model) if model.tag else {}
    wants_quick_gelu = bool(preprocess.get("quick_gelu"))
    has_quick_gelu = bool(config.get("quick_gelu"))
    if wants_quick_gelu != has_quick_gelu and not model.file:
        other = f"{model.source}-quickgelu"
        if has_quick_gelu:
            other = model.source.removesuffix("-quickgelu")
        raise UserError(f"--model {model.source}: weights {model.weights} want --model {other}")
    return config, preprocess


def _local_config(folder: str) -> tuple[dict[str, Any], dict[str, Any]]:
    path = os.path.join(folder, "open_clip_config.json")
    content = json_files.read_json(path, {})
    try:
        content["model_cfg"]["embed_dim"], content["model_cfg"]["vision_cfg"]["image_size"]
    except (KeyError, TypeError):
        raise UserError(
            f"{path}: lacks model_cfg with embed_dim and vision_cfg.image_size"
        ) from None
    config, preprocess = content["model_cfg"], content.get("preprocess_cfg") or {}
    _check_sizes(path, config)
    if not isinstance(preprocess, dict):
        raise UserError(f"{path}: its preprocess_cfg is no JSON object")
    return config, preprocess


def _check_sizes(path: str, config: dict[str, Any]) -> None:
    """Raise UserError unless embed_dim and image_size are numbers that a model can have."""
    image_size = config["vision_cfg"]["image_size"]
    sides = image_size if isinstance(image_size, list) else [image_size]
    limits = [("embed_dim", config["embed_dim"], MAX_VECTOR_NUMBERS)]
    limits += [("vision_cfg.image_size", side, MAX_INPUT_SIDE_PIXELS) for side in sides]
    for name, value, limit in limits:
        if type(value) is not int or not 0 < value <= limit:
            shown = terminal.escape(repr(value))
            raise UserError(f"{path}: {name} is {shown}; it must be a number from 1 to {limit:,}")


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
    try:
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
