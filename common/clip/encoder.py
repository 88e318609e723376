"""CLIP image towers through open_clip: fetching their weights, and turning pixels into vectors.

Imports torch and open_clip inside its functions, when a model is really needed. Scores, topics and files in the
dataset are none of its business.
"""

from __future__ import annotations

import contextlib
import difflib
import os
import pickle
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from common import json_files
from common.clip.model import LOCAL, Model
from common.errors import UserError

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image

BATCH_SIZES = {
    "cuda": 256,
    "mps": 64,
    "cpu": 32,
}  # fills the device; larger gains nothing measurable
NETWORK_TIMEOUT_SECONDS = 10  # to find out whether a host can be reached at all


@dataclass(frozen=True)
class TowerShape:
    """What a model expects and gives, known before its weights are loaded."""

    dim: int
    fit: Callable[[Image], Image]  # resize and crop, as open_clip does it
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    size: int  # pixels a side, for draft decoding


def load_tower_shape(model: Model) -> TowerShape:
    """The model's shape, from its configuration alone. Imports torch. Raises UserError."""
    import open_clip
    from open_clip.transform import PreprocessCfg, image_transform_v2, merge_preprocess_dict
    from torchvision.transforms import Compose

    if model.source.startswith(LOCAL):
        config, preprocess = _local_config(model.source.removeprefix(LOCAL))
    else:
        config = open_clip.get_model_config(model.source)
        if config is None:
            near = difflib.get_close_matches(model.source, open_clip.list_models(), n=1)
            raise UserError(
                f"--model {model.source}: no such model"
                + (f"; did you mean {near[0]}?" if near else "")
            )
        preprocess = _tag(model) if model.tag else {}
        if bool(preprocess.get("quick_gelu")) != bool(config.get("quick_gelu")) and not model.file:
            other = (
                model.source.removesuffix("-quickgelu")
                if config.get("quick_gelu")
                else f"{model.source}-quickgelu"
            )
            raise UserError(f"--model {model.source}: weights {model.weights} want --model {other}")
    preprocess = merge_preprocess_dict(
        PreprocessCfg(), {**preprocess, "size": config["vision_cfg"]["image_size"]}
    )
    cfg = PreprocessCfg(**preprocess)
    after = {
        "MaybeConvertMode",
        "MaybeToTensor",
        "Normalize",
    }  # done before, by the opener, and after, on the device
    fit = Compose(
        [
            step
            for step in image_transform_v2(cfg, is_train=False).transforms
            if type(step).__name__ not in after
        ]
    )
    side = cfg.size if isinstance(cfg.size, int) else max(cfg.size)
    return TowerShape(config["embed_dim"], fit, tuple(cfg.mean), tuple(cfg.std), side)


def _local_config(folder: str) -> tuple[dict[str, Any], dict[str, Any]]:
    path = os.path.join(folder, "open_clip_config.json")
    found = json_files.read_json(path, {})
    try:
        found["model_cfg"]["embed_dim"], found["model_cfg"]["vision_cfg"]["image_size"]
    except (KeyError, TypeError):
        raise UserError(
            f"{path}: lacks model_cfg with embed_dim and vision_cfg.image_size"
        ) from None
    return found["model_cfg"], found.get("preprocess_cfg") or {}


def _tag(model: Model) -> dict[str, Any]:
    import open_clip

    found = open_clip.get_pretrained_cfg(model.source, str(model.tag))
    if not found:
        tags = ", ".join(open_clip.list_pretrained_tags_by_model(model.source)) or "none"
        raise UserError(
            f"--pretrained {model.weights}: no such weights for {model.source} (there are: {tags})"
        )
    return dict(found)


def find_weights_file(model: Model) -> str | None:
    """The file of the model's weights, downloaded if need be; None where open_clip finds it in a local folder.

    Raises UserError within seconds when there is no network, naming the file and where it may be put.
    """
    if model.source.startswith(LOCAL) or model.file:
        return model.file
    import open_clip

    tag = _tag(model)
    repository, _, name = tag.get("hf_hub", "").rpartition("/")
    if repository:
        return _download_from_hub(
            model,
            repository,
            [name] if name else ["open_clip_model.safetensors", "open_clip_pytorch_model.bin"],
        )
    cached = os.path.expanduser(os.path.join("~/.cache/clip", os.path.basename(tag["url"])))
    if not os.path.isfile(cached) and not is_reachable(tag["url"]):
        raise UserError(_offline_error(model, tag["url"], cached))
    return str(open_clip.download_pretrained(tag))


def _download_from_hub(model: Model, repository: str, names: Sequence[str]) -> str:
    from huggingface_hub import constants, hf_hub_download
    from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined]  # broken connections raise it too

    for name in names:
        with contextlib.suppress(OSError, ValueError):
            return str(hf_hub_download(repository, name, local_files_only=True))
    address = f"{constants.ENDPOINT}/{repository}/resolve/main/{names[0]}"
    if constants.HF_HUB_OFFLINE or not is_reachable(constants.ENDPOINT):
        raise UserError(
            _offline_error(
                model,
                address,
                f"a folder of yours and pass --model {model.asked} --pretrained FOLDER/{names[0]}",
            )
        )
    failure: Exception | None = None
    for name in names:
        try:
            return str(hf_hub_download(repository, name))
        except (OSError, ValueError, RuntimeError, HTTPError) as error:
            failure = error
    raise UserError(
        f"{address}: download failed ({str(failure).splitlines()[0]}); run again to begin it anew"
    )


def _offline_error(model: Model, address: str, place: str) -> str:
    return (
        f"weights of {model.source} ({model.weights}) are not on this machine and cannot be fetched: "
        f"on a machine with a network, download {address} and put it into {place}"
        + (" with an explicit --head FILE" if "--pretrained" in place else "")
        + "; or use --model local-dir:FOLDER, or --model tiny (needs no download, technical quality only)"
    )


def is_reachable(address: str) -> bool:
    """Whether the host answers at all, within NETWORK_SECONDS even where name look-ups hang."""
    answers: list[bool] = []

    def ask() -> None:
        try:
            urllib.request.urlopen(
                urllib.request.Request(address, method="HEAD"), timeout=NETWORK_TIMEOUT_SECONDS / 2
            )
            answers.append(True)
        except urllib.error.HTTPError:
            answers.append(True)
        except (OSError, ValueError):
            answers.append(False)

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(NETWORK_TIMEOUT_SECONDS)
    return answers == [True]


def resolve_device(name: str) -> torch.device:
    """The device that --device means. Raises UserError where there is none of that kind."""
    import torch

    if name == "auto":
        name = (
            "cuda"
            if torch.cuda.is_available()
            else "mps"
            if torch.backends.mps.is_available()
            else "cpu"
        )
    try:
        torch.empty(1, device=name)
    except (RuntimeError, AssertionError) as error:
        raise UserError(
            f"--device {name}: {str(error).splitlines()[0]}; try --device auto"
        ) from None
    return torch.device(name)


def unit_vectors(pixels: torch.Tensor, mean: torch.Tensor, std: torch.Tensor) -> torch.Tensor:
    """Uint8 pixels (n, height, width, 3) as float32 (n, 3, height, width), to the bit as ToTensor and Normalize."""
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
        import open_clip
        import torch

        self.device = device
        half = (
            "bf16" if model.has_tanh_gelu else "fp16"
        )  # a SigLIP was not shown to fit fp16's range
        self.precision = (
            precision if precision != "auto" else half if device.type == "cuda" else "fp32"
        )
        try:
            whole = open_clip.create_model(
                model.source, file, precision=self.precision, device=device, require_pretrained=True
            )
        except pickle.UnpicklingError:
            raise UserError(
                f"{file or model.source}: refused, it holds more than plain tensors and could run code"
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
            refused = isinstance(error.__cause__, pickle.UnpicklingError)
            reason = (
                "it holds more than plain tensors"
                if refused
                else (str(error) or repr(error)).splitlines()[0]
            )
            raise UserError(
                f"{file or model.source}: cannot be loaded as {model.name} ({reason})"
            ) from None
        self.visual = (
            whole.visual.eval().requires_grad_(False).to(memory_format=torch.channels_last)
        )
        del whole  # the text tower
        if model.has_tanh_gelu:
            _use_tanh_gelu(self.visual)
        self._dtype = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}[
            self.precision
        ]
        self._mean = torch.tensor(shape.mean, device=device)
        self._std = torch.tensor(shape.std, device=device)

    def start(self, parts: Sequence[torch.Tensor]) -> PendingBatch:
        """Begin to encode the parts' pixels, uint8 of shape (n, height, width, 3).

        On CUDA this returns before the work is done, and pinned pixels are copied beside it. Raises
        torch.OutOfMemoryError.
        """
        import torch

        with torch.inference_mode():
            pixels = torch.cat([part.to(self.device, non_blocking=True) for part in parts])
            values = unit_vectors(pixels, self._mean, self._std)
            found = self.visual(values.to(self._dtype))
            found = (
                found[0] if isinstance(found, tuple) else found
            )  # some towers give their tokens as well
            vectors = torch.nn.functional.normalize(found.float(), dim=-1).to(
                "cpu", non_blocking=True
            )
            event = None
            if self.device.type == "cuda":
                event = torch.cuda.Event()  # type: ignore[no-untyped-call]
                event.record()
        return PendingBatch(vectors, event)


def _use_tanh_gelu(visual: torch.nn.Module) -> None:
    """The tanh form in every block's MLP and the attention pool's; it is within 0.0005 of the exact one."""
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
        """Float32 array of shape (n, dim), rows of unit length; a row with NaN is an image the model failed on."""
        if self.event:
            self.event.synchronize()
        return self.vectors.numpy()
