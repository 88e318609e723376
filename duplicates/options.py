"""The options of find_duplicates.py that say how to search. Imports nothing that slows `--help`."""

from __future__ import annotations

import argparse

from common.errors import UserError
from keeping.preference import add_prefer_option

# Recall and precision on planted copies: docs/find_duplicates.md. A pixel comparison decides.
HASH_DISTANCE_BITS = 16
MIN_COSINE = 0.98  # conservative and unmeasured: no CLIP weights were available


def add_options(parser: argparse.ArgumentParser) -> None:
    search = parser.add_argument_group("search")
    search.add_argument(
        "--method", choices=("phash", "clip"), default="phash", help="default: %(default)s"
    )
    search.add_argument(
        "--threshold",
        type=float,
        metavar="T",
        help="phash: how many bits two hashes may differ, 0 to 64 "
        f"(default: {HASH_DISTANCE_BITS}); clip: minimum cosine similarity "
        f"(default: {MIN_COSINE}, conservative and unmeasured: check what it finds)",
    )
    search.add_argument(
        "--across", action="store_true", help="also compare the topics of a dataset with each other"
    )
    search.add_argument(
        "--against",
        nargs="+",
        default=[],
        metavar="FOLDER",
        help="also find copies of the images in these folders",
    )
    search.add_argument(
        "--decisions", metavar="FILE", help="first add the decisions in FILE to decisions.json"
    )
    search.add_argument(
        "--variants",
        action="store_true",
        help="also find versions of one image that are not interchangeable: mirrored, turned, "
        "cropped, framed, captioned, ...",
    )
    search.add_argument(
        "--explain",
        action="store_true",
        help="compare two image files: print what is measured and the rule that decides",
    )
    add_prefer_option(search)
    search.add_argument("--no-verify", action="store_true", help=argparse.SUPPRESS)


def resolve_threshold(args: argparse.Namespace) -> float:
    """The threshold of the method: the given one, or the default. Raises UserError if invalid."""
    if args.method == "clip":
        return _resolve_cosine(args.threshold)
    return _resolve_distance(args.threshold)


def _resolve_cosine(cosine: float | None) -> float:
    if cosine is None:
        return MIN_COSINE
    if not 0 < cosine <= 1:
        raise UserError(f"--threshold {cosine:g}: a cosine similarity is above 0 and at most 1")
    return float(cosine)


def _resolve_distance(bits: float | None) -> int:
    if bits is None:
        return HASH_DISTANCE_BITS
    if bits not in set(range(65)):
        raise UserError(f"--threshold {bits:g}: a Hamming distance is a whole number from 0 to 64")
    return int(bits)
