"""The options of split_data.py. Imports nothing that slows `--help`."""

from __future__ import annotations

import argparse
import math

from common import cli
from keeping.preference import add_prefer_option
from merging.copying import TRANSFER_MODES, TransferMode

TRAIN_COUNT, VALID_COUNT = 10, 5  # images per topic


def add_options(parser: argparse.ArgumentParser) -> None:
    for option, default in (("--train", TRAIN_COUNT), ("--valid", VALID_COUNT)):
        parser.add_argument(
            option,
            type=cli.whole_number,
            default=default,
            metavar="N",
            help="images per topic (default: %(default)s)",
        )
    parser.add_argument(
        "--output-dir",
        metavar="FOLDER",
        default=".",
        help="where both files go (default: the current folder)",
    )
    parser.add_argument(
        "--relative", action="store_true", help="write paths relative to their dataset"
    )
    parser.add_argument(
        "--keep-split",
        action="store_true",
        help="first choose what is in both files already, for the same set",
    )
    parser.add_argument(
        "--require-full",
        action="store_true",
        help="choose nothing from topics too small for both sets",
    )
    parser.add_argument(
        "--exclude-duplicates",
        action="store_true",
        help="choose no copies of better images, no screenshots, memes, frames or crops of images "
        "that may be chosen, and no validation images related to training",
    )
    parser.add_argument(
        "--allow-variants",
        action="store_true",
        help="with --exclude-duplicates: choose screenshots, memes, frames and crops too",
    )
    add_prefer_option(parser)
    _add_threshold_options(parser)
    _add_export_options(parser)


def _add_threshold_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group(
        "thresholds of quality (aesthetic_stats.py shows how many images each --min-score leaves)"
    )
    group.add_argument(
        "--min-score",
        type=float,
        default=-math.inf,
        metavar="S",
        help="choose no image that scores less",
    )
    group.add_argument(
        "--min-side",
        type=cli.positive_int,
        default=0,
        metavar="PIXELS",
        help="choose no image with a shorter side",
    )
    group.add_argument(
        "--count-megapixels",
        type=float,
        default=math.inf,
        metavar="M",
        help="rank larger images as if they had M megapixels",
    )


def _add_export_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("a folder that trainers open without changes")
    group.add_argument(
        "--export",
        metavar="FOLDER",
        help="also put the chosen images there, with captions and metadata",
    )
    group.add_argument(
        "--mode",
        choices=TRANSFER_MODES,
        default=TransferMode.HARDLINK.value,
        help="how images come there (default: %(default)s)",
    )
    group.add_argument(
        "--prune",
        action="store_true",
        help="also remove exported files whose source images this run did not see",
    )
