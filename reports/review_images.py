"""What the review page shows of an image: facts, caption, place, and what decides about it."""

from __future__ import annotations

import os
import time
from typing import Any

from common import cache, terminal
from common.topics import Stamp, Topic
from keeping.copy_traits import ImageTraits
from keeping.equal_images import EqualSets
from keeping.keeper_order import Candidate, Ranking
from reports import page
from sidecars import caption_table, captions

MAX_CAPTION_BYTES = 600  # shown of each caption
COMPRESSION_FACT, SCORE_FACT, DETAIL_FACT = 4, 5, 6  # their places among the facts


def describe_image(
    path: str, extent: cache.Extent, stamp: Stamp, datasets: list[str], page_folder: str
) -> dict[str, Any]:
    """Return what the page shows of any image, and what decisions.json says of it."""
    width, height = extent
    size, time_ns = stamp
    dataset = _dataset_of(path, datasets)
    folder = os.path.dirname(path)
    image_format = os.path.splitext(path)[1][1:].upper()
    if dataset:
        folder = os.path.relpath(folder, os.path.dirname(dataset))
    return {
        "dataset": datasets.index(dataset) if dataset else -1,
        "path": os.path.relpath(path, dataset) if dataset else path,
        "place": terminal.escape(folder),
        "name": terminal.escape(os.path.basename(path)),
        "url": page.image_url(path, page_folder),
        "facts": [
            f"{width} × {height}",
            terminal.format_bytes(size),
            image_format,
            time.strftime("%Y-%m-%d", time.localtime(time_ns / 1e9)),
            _bits_per_pixel(size, width * height),
            "",  # the score
            "",  # the real detail
        ],
        "caption": "",
        "pixels": width * height,
        "bytes": size,
        "time": str(time_ns),
        "date": time_ns // 10**9,
    }


def _bits_per_pixel(size: int, pixels: int) -> str:
    """Return how much a file is compressed: fewer bits are less detail of the same image."""
    return f"{8 * size / pixels:.1f} bits per pixel" if pixels else ""


def _dataset_of(path: str, datasets: list[str]) -> str:
    """Return the dataset of an image; '' for a reference."""
    for dataset in datasets:
        if path.startswith(os.path.join(dataset, "")):
            return dataset
    return ""


def add_measured_facts(photo: dict[str, Any], candidate: Candidate, ranking: Ranking) -> None:
    """Add the score and, if they were measured, the JPEG quality and the loss of detail."""
    if candidate.score is not None:
        photo["facts"][SCORE_FACT] = f"score {candidate.score:.2f}"
    if candidate.traits and candidate.traits.jpeg_steps:
        photo["facts"][COMPRESSION_FACT] = f"JPEG quality {jpeg_quality(candidate.traits)}"
    photo["date"] = candidate.date_ns // 10**9
    if candidate.name in ranking.copies:
        photo["detail_loss"] = ranking.copies[candidate.name].losses.get("detail", 0.0)


def jpeg_quality(traits: ImageTraits) -> int:
    """Return the quality, 1 to 100, that libjpeg calls the steps of an image's table."""
    steps = traits.jpeg_steps
    quality: float = 100 - 50 * steps if steps <= 1 else 50 / steps
    return round(quality)


def describe_equals(topic: Topic, name: str, equals: EqualSets) -> dict[str, str]:
    """Return which large set of equal images an image is in, and whether all share its matches."""
    if equals.set_of(name) not in equals.members:
        return {}
    place = {"equal": topic.path_of(equals.set_of(name))}
    if equals.node(name) in equals.members:
        place["node"] = place["equal"]
    return place


def add_captions(photos: dict[str, dict[str, Any]], topics: list[Topic]) -> None:
    """Add the start of the captions of all images in the topics."""
    names_by_folder: dict[str, list[str]] = {}
    for path in photos:
        folder, name = os.path.split(path)
        names_by_folder.setdefault(folder, []).append(name)
    for topic in topics:
        names = names_by_folder.get(topic.path, [])
        caption_of, _ = captions.match_captions(topic, names)
        for name, text in caption_table.read_texts(topic, caption_of).items():
            if name in names:
                photos[topic.path_of(name)]["caption"] = terminal.escape(text[:MAX_CAPTION_BYTES])
        for name, caption in caption_of.items():
            try:
                content = captions.read_caption(topic.path_of(caption), MAX_CAPTION_BYTES)
            except OSError:
                continue
            text = captions.decode_caption(content) or content.decode("utf-8", errors="replace")
            text = text.strip("\ufeff\ufffd \n")
            photos[topic.path_of(name)]["caption"] = terminal.escape(text)
