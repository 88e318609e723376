"""The options of find_duplicates.py that say how to search. Loads nothing that `--help` should wait for."""

from __future__ import annotations

import argparse

from common.errors import UserError

DISTANCE = 16  # bits; the close look decides. Recall and precision on planted copies: docs/find_duplicates.md
COSINE = 0.98  # conservative, and unmeasured: no real weights were at hand


def add_options(parser: argparse.ArgumentParser) -> None:
    search = parser.add_argument_group("search")
    search.add_argument(
        "--method", choices=("phash", "clip"), default="phash", help="default: %(default)s"
    )
    search.add_argument(
        "--threshold",
        type=float,
        metavar="T",
        help=f"phash: bits in which hashes may differ, 0 to 64 (default: {DISTANCE}); clip: least cosine similarity "
        f"(default: {COSINE}, conservative and unmeasured: look at what it finds)",
    )
    search.add_argument(
        "--across", action="store_true", help="compare the topics of a dataset with one another too"
    )
    search.add_argument(
        "--against",
        nargs="+",
        default=[],
        metavar="FOLDER",
        help="find copies of the images in these folders too",
    )
    search.add_argument(
        "--decisions", metavar="FILE", help="first add what a person decided to decisions.json"
    )
    search.add_argument(
        "--variants",
        action="store_true",
        help="also look for pictures made from the same one: mirrored, turned, cropped, framed, captioned, ...",
    )
    search.add_argument(
        "--explain",
        action="store_true",
        help="of two image files: what a close look measures, and what follows from it",
    )
    search.add_argument("--no-verify", action="store_true", help=argparse.SUPPRESS)


def resolve_threshold(args: argparse.Namespace) -> float:
    """The threshold, checked for the method. Raises UserError."""
    given, clip = args.threshold, args.method == "clip"
    if given is None:
        return COSINE if clip else DISTANCE
    if clip and not 0 < given <= 1:
        raise UserError(f"--threshold {given:g}: a cosine similarity is above 0 and at most 1")
    if not clip and given not in set(range(65)):
        raise UserError(f"--threshold {given:g}: a Hamming distance is a whole number from 0 to 64")
    return float(given) if clip else int(given)
