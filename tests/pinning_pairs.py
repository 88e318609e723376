"""Drawn pairs whose answer changes if one threshold is moved: tests/data/pinning_pairs.json.

They pin the thresholds that count while images are measured, so that no table of measurements can.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import measured_pairs
import numpy as np
from drawn_pairs import drawn_pair
from PIL import Image, ImageEnhance, ImageFilter
from test_hash_rows import scene
from tile_pairs import PINNING_TILE_PAIRS

from duplicates.classification import decide_as_variant, decide_pair
from duplicates.thresholds import THRESHOLDS, Thresholds
from duplicates.thumbnails import SmallImage, make_small_image

PINS = Path(__file__).parent / "data" / "pinning_pairs.json"
PAIRS_PER_PIN = 3
# Share of each of two windows of one scene that the other shows.
SHARED_WINDOWS = {"min_overlapping_share down": 0.26, "min_overlapping_share up": 0.34}
# Share of the height in which a collage goes on beyond the part that it shows of a picture.
COLLAGES = {"max_beyond_agreement down": 0.1, "max_beyond_agreement up": 0.13}
BLURRED_PAIRS = {"min_moved_share down": (210, 1.3)}  # number, by a Gaussian of so many pixels
BRIGHTENED_SCENES = {"burnt_weight down": (24, 1.61), "burnt_weight up": (49, 1.91)}  # seed, by


def read_pins() -> dict[str, list[int]]:
    """Return the numbers of drawn pairs, by "threshold direction"."""
    pins: dict[str, list[int]] = json.loads(PINS.read_text(encoding="utf-8"))
    return pins


def small_pair(number: int) -> tuple[SmallImage, SmallImage]:
    _, one, other = drawn_pair(number)
    return to_small(one), to_small(other)


def to_small(image: Image.Image) -> SmallImage:
    return make_small_image(np.asarray(image), hints=True)


def scene_windows(share: float, seed: int = 5) -> tuple[Image.Image, Image.Image]:
    """Return two windows of one scene, side by side, that share so much of each."""
    whole = scene(seed, (round(320 * (2 - share)), 240))
    return whole.crop((0, 0, 320, 240)), whole.crop((whole.width - 320, 0, whole.width, 240))


def picture_in_collage(share: float = 0.0, seed: int = 7) -> tuple[Image.Image, Image.Image]:
    """Return a picture, and a collage that shows the middle of it beside another picture.

    The collage also shows what is to the right of that part, in so much of its height.
    """
    picture = scene(seed)
    other = ImageEnhance.Brightness(scene(seed + 100, (520, 240))).enhance(0.2)
    other.paste(picture.crop((64, 0, 320, round(240 * share))), (0, 0))
    other.paste(picture.crop((64, 0, 256, 240)), (0, 0))
    return picture, other


def pinning_pairs(move: str) -> Iterator[tuple[SmallImage, SmallImage]]:
    """Yield pairs whose answer should change with the move of a threshold."""
    if move in PINNING_TILE_PAIRS:
        one, other = PINNING_TILE_PAIRS[move].draw()
        yield to_small(one), to_small(other)
    if move in SHARED_WINDOWS:
        one, other = scene_windows(SHARED_WINDOWS[move])
        yield to_small(one), to_small(other)
    if move in COLLAGES:
        one, other = picture_in_collage(COLLAGES[move])
        yield to_small(one), to_small(other)
    if move in BRIGHTENED_SCENES:
        seed, factor = BRIGHTENED_SCENES[move]
        yield to_small(scene(seed)), to_small(ImageEnhance.Brightness(scene(seed)).enhance(factor))
    if move in BLURRED_PAIRS:
        number, pixels = BLURRED_PAIRS[move]
        _, image, other_image = drawn_pair(number)
        yield to_small(image), to_small(other_image.filter(ImageFilter.GaussianBlur(pixels)))
    for number in read_pins().get(move, []):
        yield small_pair(number)


def answers(one: SmallImage, other: SmallImage, limits: Thresholds = THRESHOLDS) -> list[str]:
    """Return what a search for copies and one for variants answer, and which variant they are.

    The last one is asked if a second look says that they are no copies.
    """
    kinds = [decide_pair(one, other, is_wide, limits).verdict.kind for is_wide in (False, True)]
    return [*kinds, decide_as_variant(one, other, limits).verdict.kind]


def unpinned_by_table() -> list[str]:
    """Return the "threshold direction" of all moves that change no answer of the table."""
    pairs = [pair for _, pair in measured_pairs.read_table()]
    usual = [pair.answer() for pair in pairs]
    unpinned = []
    for name in measured_pairs.THRESHOLD_NAMES:
        for direction in ("down", "up"):
            limits = measured_pairs.move_threshold(name, direction)
            if [pair.answer(limits) for pair in pairs] == usual:
                unpinned.append(f"{name} {direction}")
    return unpinned


def find_pins(numbers: Iterable[int]) -> None:
    """Look for pairs that pin what the table does not, and add them to PINS."""
    pins = read_pins() if PINS.exists() else {}
    drawn_by_hand = {
        *PINNING_TILE_PAIRS,
        *SHARED_WINDOWS,
        *COLLAGES,
        *BLURRED_PAIRS,
        *BRIGHTENED_SCENES,
    }
    wanted = [move for move in unpinned_by_table() if move not in drawn_by_hand]
    for number in numbers:
        open_moves = [move for move in wanted if len(pins.get(move, [])) < PAIRS_PER_PIN]
        one, other = small_pair(number)
        usual = answers(one, other)
        for move in open_moves:
            limits = measured_pairs.move_threshold(*move.split())
            if number not in pins.get(move, []) and answers(one, other, limits) != usual:
                pins.setdefault(move, []).append(number)
                print(number, move, file=sys.stderr)
                PINS.write_text(json.dumps(pins, indent=1, sort_keys=True) + "\n", "utf-8")
    print("without a pair:", *(move for move in wanted if move not in pins), sep="\n  ")
