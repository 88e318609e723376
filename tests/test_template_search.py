"""An image with few features is searched for in another where outlines allow it."""

from __future__ import annotations

import numpy as np
import pytest
from both_looks import to_small
from PIL import Image, ImageFilter
from test_hash_rows import scene

from duplicates import classification, template_search
from duplicates.thumbnails import SmallImage


def blurred_scene(seed: int) -> Image.Image:
    return scene(seed).filter(ImageFilter.GaussianBlur(8))


def may_be_inside(one: SmallImage, other: SmallImage) -> bool:
    assert one.hints and other.hints
    return template_search.may_be_inside(
        one.hints.outline, other.hints.outline, one.hints.size, other.hints.size
    )


def is_found(one: SmallImage, other: SmallImage) -> bool:
    return bool(template_search.maps_from_template_search(one.raster, other.raster))


@pytest.mark.parametrize("share", [0.55, 0.7, 0.85, 1.0])
def test_outlines_keep_every_pair_in_which_the_search_finds_something(share: float) -> None:
    for seed in range(8):
        whole = blurred_scene(seed)
        across, down = round(320 * share), round(240 * share)
        part = whole.crop((320 - across, 0, 320, down))
        one, other = to_small(whole), to_small(part)

        assert is_found(one, other)
        assert may_be_inside(one, other) and may_be_inside(other, one)


def test_outlines_rule_out_many_pairs_of_unrelated_images() -> None:
    images = [to_small(blurred_scene(seed)) for seed in range(12)]
    pairs = [(one, other) for one in images for other in images if one is not other]

    kept = [pair for pair in pairs if may_be_inside(*pair)]

    assert len(kept) <= len(pairs) / 2
    assert all(pair in kept for pair in pairs if is_found(*pair))


def test_a_flat_image_is_in_no_other() -> None:
    grain = np.random.default_rng(0).integers(120, 123, (240, 320, 3), dtype=np.uint8)
    flat, whole = to_small(Image.fromarray(grain)), to_small(blurred_scene(1))

    assert not may_be_inside(flat, whole)
    assert not may_be_inside(flat, flat)


def test_a_pair_without_an_alignment_is_not_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = to_small(scene(1)), to_small(scene(2))
    monkeypatch.setattr("duplicates.thumbnails._decode_raster", lambda _: pytest.fail("decoded"))

    assert classification.decide_as_variant(one, other).rule == "no_alignment"
