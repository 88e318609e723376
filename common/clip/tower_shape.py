"""What an image tower expects and gives, read from its configuration, without its weights."""

from __future__ import annotations

import difflib
import os
from dataclasses import dataclass
from typing import Any

from common import json_files, terminal
from common.clip import weights
from common.clip.model import LOCAL, Model
from common.clip.preprocessing import Fit, make_fit
from common.errors import UserError

MAX_VECTOR_NUMBERS = 65_536  # of a model's vectors; published ones have up to 2,048
MAX_INPUT_SIDE_PIXELS = 4096  # of what a tower sees; published ones see up to 1,024


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
