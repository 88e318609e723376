"""A real open_clip model, as small as it goes, with seeded random weights: the engine's real path in milliseconds."""

from __future__ import annotations

import json
from pathlib import Path

SMALL = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 64, "head_width": 16, "patch_size": 8},
    "text_cfg": {"context_length": 8, "vocab_size": 64, "width": 8, "heads": 1, "layers": 1},
}


def save_model(folder: Path, config: dict | str, seed: int = 0) -> Path:
    """Save a model (a configuration, or a name that open_clip knows) as a local-dir: folder."""
    import open_clip
    import torch
    from open_clip.model import CLIP
    from safetensors.torch import save_file

    config = open_clip.get_model_config(config) if isinstance(config, str) else config
    torch.manual_seed(seed)
    tensors = {key: value.contiguous() for key, value in CLIP(**config).state_dict().items()}
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
