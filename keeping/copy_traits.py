"""What a copy of a picture shows by itself and beside another, and how both are stored.

duplicates/originality.py and duplicates/picture_pairs.py measure it. Numbers of an image are one
text in `.cache/images.json`, those of a pair one in `.cache/pairs.json`, each with the stamps of
the images that were measured. Needs only the standard library.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from common.topics import Stamp
from keeping import pair_sections
from keeping.pair_sections import NameTuple

PAIRS_KEY = "/terms"  # of pairs.json: no name of an image


@dataclass(frozen=True)
class ImageTraits:
    """What one file shows by itself."""

    width: int  # as stored, before EXIF orientation
    height: int
    format: str  # as Pillow names it
    palette: bool  # at most 256 colours
    unseen_loss: bool  # lossy WebP, AVIF or HEIC, whose quality is not read
    jpeg_steps: float  # of its own table; 1 is quality 50, 0.5 quality 75, 0 no JPEG
    past_steps: float  # the same, of the JPEG that these pixels once were; 0 if none shows
    block_edges: float  # how much the borders of 8x8 blocks stand out, 0 to about 1
    repeat_share: float  # of pixels that do not just repeat their neighbour
    grain_levels: float
    colour_levels: float  # spread of colour that brightness does not predict
    rim_share: float  # of the shorter side, blank along all four sides
    rim_level: int  # grey level of that rim
    pixel_digest: int  # CRC of some rows and colours
    tones: tuple[int, ...]  # levels: five quantiles of red, green and blue
    spectrum: tuple[int, ...]  # 0.1 dB, BINS_PER_OCTAVE from MIN_CYCLES on (keeping/worth.py)
    taken: str  # EXIF date, "" if there is none

    @property
    def side(self) -> int:
        """Pixels of the longer side."""
        return max(self.width, self.height)


@dataclass(frozen=True)
class PairTraits:
    """What the first of two pictures shows beside the second; below 0 the second shows it."""

    area: float = 0.0  # log2 of the first picture's area in that of the second: 0.1 shows 7 % more
    mark: int = 0  # 1: the first has a mark, a date or a caption that the second has not
    mosaic: int = 0  # 1: the first has a pixelated or blurred part

    def swap(self) -> PairTraits:
        return PairTraits(-self.area, -self.mark, -self.mosaic)


PairTraitsByNames = Mapping[NameTuple, PairTraits]


def _parse_integers(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split(","))) if text else ()


def _parse_number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


_PARSERS: dict[str, Callable[[str], Any]] = {
    "int": int,
    "float": _parse_number,
    "bool": lambda text: bool(int(text)),
    "str": str,
    "tuple[int, ...]": _parse_integers,
}


def _value_text(value: object) -> str:
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return str(int(value)) if isinstance(value, bool) else str(value)


def image_text(stamp: Stamp, traits: ImageTraits) -> str:
    """Return the stamp and the traits in the order of their fields, as stored."""
    values = [_value_text(getattr(traits, field.name)) for field in fields(traits)]
    return " ".join([*map(str, stamp), *values])


def parse_image(text: object, stamp: Stamp) -> ImageTraits | None:
    """Return the stored traits of an image; None if there are none, or if its bytes are others."""
    if text is None:
        return None
    columns = fields(ImageTraits)
    with contextlib.suppress(ValueError, AttributeError):
        size, mtime_ns, *texts = str(text).split(" ", len(columns) + 1)
        if (int(size), int(mtime_ns)) == stamp:
            pairs = zip(columns, texts, strict=True)
            traits = ImageTraits(**{each.name: _PARSERS[str(each.type)](t) for each, t in pairs})
            if min(traits.width, traits.height) > 0 and len(traits.tones) == 15:
                return traits
    return None


def pairs_json(
    pairs: PairTraitsByNames, stamps: Mapping[str, Stamp]
) -> dict[str, list[dict[str, str] | int]]:
    """Return what pairs.json holds under PAIRS_KEY."""
    texts = {pair: f"{each.area} {each.mark} {each.mosaic}" for pair, each in pairs.items()}
    return pair_sections.section_json(texts, stamps)


def read_pairs(path: str, stamps: Mapping[str, Stamp]) -> dict[NameTuple, PairTraits]:
    """Read the traits of pairs of images that have these stamps, from the pairs.json at `path`."""
    return pair_sections.read_section(path, PAIRS_KEY, stamps, _parse_pair)


def _parse_pair(text: str) -> PairTraits:
    area, mark, mosaic = text.split(" ")
    return PairTraits(_parse_number(area), int(mark), int(mosaic))
