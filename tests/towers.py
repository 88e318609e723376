"""A real open_clip model, as small as it goes, with seeded random weights: the engine's real path
in milliseconds.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from common.clip import model
from common.clip.options import add_model_options

SMALL = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 64, "head_width": 16, "patch_size": 8},
    "text_cfg": {"context_length": 8, "vocab_size": 64, "width": 8, "heads": 1, "layers": 1},
}
SO400M = "ViT-SO400M-14-SigLIP-384"


def siglip(pixels: int = 32, activation: str | None = None) -> dict:
    """The configuration of a SigLIP of 0.3 million parameters: attention pooling, vectors of 1152
    numbers.

    `activation` is timm's name of what stands in its MLPs; None is the exact GELU, as in
    open_clip's large ones.
    """
    from timm.models import is_model, register_model
    from timm.models.vision_transformer import _create_vision_transformer

    def made(pretrained: bool = False, **options):
        shape = {"img_size": pixels, "patch_size": 8, "embed_dim": 64, "depth": 2, "num_heads": 4}
        options = {
            **options,
            **shape,
            "class_token": False,
            "global_pool": "map",
            "act_layer": activation,
        }
        return _create_vision_transformer("vit_base_patch16_siglip_256", **options)

    name = made.__name__ = f"vit_small_siglip_{pixels}_{activation}".lower()
    if not is_model(name):
        register_model(made)
    vision = {
        "timm_model_name": name,
        "timm_pool": "map",
        "timm_proj": "linear",
        "image_size": pixels,
    }
    return {**SMALL, "embed_dim": 1152, "vision_cfg": vision}


def save_model(folder: Path, config: dict | str, seed: int = 0) -> Path:
    """Save a model (a configuration, or a name that open_clip knows) as a local-dir: folder."""
    import open_clip
    import torch
    from open_clip.model import CLIP, CustomTextCLIP
    from safetensors.torch import save_file

    config = open_clip.get_model_config(config) if isinstance(config, str) else config
    torch.manual_seed(seed)
    made = CustomTextCLIP if config.get("custom_text") else CLIP
    clip = made(**{key: value for key, value in config.items() if key != "custom_text"})
    tensors = {key: value.contiguous() for key, value in clip.state_dict().items()}
    folder.mkdir(parents=True)
    save_file(tensors, folder / "open_clip_model.safetensors")
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": config}))
    return folder


def save_head(path: Path, dim: int, seed: int = 0) -> Path:
    """Save a random linear head; its scores of unit vectors spread over a few points around 5."""
    import torch

    torch.manual_seed(seed)
    torch.save({"weight": torch.randn(1, dim) * 2, "bias": torch.full((1,), 5.0)}, path)
    return path


def options(*arguments: object) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_model_options(parser)
    args = parser.parse_args([str(argument) for argument in arguments])
    return argparse.Namespace(quiet=True, max_pixels=10**8, **vars(args))


def choose(*arguments: object) -> model.Model:
    """The model that options of the command line mean."""
    return model.resolve_model(options(*arguments))
