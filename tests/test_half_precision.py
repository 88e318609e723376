"""The tower in half precision: fewer passes over memory, the same vectors."""

from __future__ import annotations

import copy

import pytest
import torch
from towers import SMALL

from common.clip import half_precision


def made_tower(quick_gelu: bool) -> torch.nn.Module:
    from open_clip.model import CLIP, convert_weights_to_lp

    torch.manual_seed(0)
    whole = CLIP(**SMALL, quick_gelu=quick_gelu, cast_dtype=torch.float16)
    convert_weights_to_lp(whole, torch.float16)
    return whole.visual.eval().requires_grad_(False)


def kinds(tower: torch.nn.Module) -> set[str]:
    return {type(module).__name__ for module in tower.modules()}


@pytest.mark.parametrize("quick_gelu", [True, False])
def test_a_faster_tower_is_no_further_from_fp32_than_the_plain_one(quick_gelu):
    plain = made_tower(quick_gelu)
    exact = copy.deepcopy(plain).float()
    faster = copy.deepcopy(plain)
    half_precision.speed_up(faster)
    assert "LayerNormFp32" in kinds(plain) and "LayerNormFp32" not in kinds(faster)
    assert ("SiLU" in kinds(faster)) == quick_gelu and "QuickGELU" not in kinds(faster)

    pixels = torch.randn(64, 3, 32, 32, generator=torch.Generator().manual_seed(1)).half()
    expected = exact(pixels.float())
    of_plain = (plain(pixels).float() - expected).abs()
    of_faster = (faster(pixels).float() - expected).abs()
    assert 0 < of_faster.mean() < 1.2 * of_plain.mean()
    assert of_faster.max() < 2 * of_plain.max()
