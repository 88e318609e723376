"""Which files belong to a dataset, so that no output of a script may replace them."""

from __future__ import annotations

import os

from common.image_formats import is_image_name

CAPTION_SUFFIXES = (".txt", ".caption")  # if an image has both, the first one counts
RECORD_NAMES = {
    "aesthetic_data.json",
    "decisions.json",
    "duplicates_across.json",
    "merge_manifest.jsonl",
    "export_manifest.jsonl",
}


def dataset_file_kind(path: str) -> str:
    """Return what the file at `path`, or where a link there leads, is; empty if none of these.

    Judged by its name: an image, a record of these scripts, or a caption beside its image.
    """
    for candidate in dict.fromkeys((os.path.abspath(path), os.path.realpath(path))):
        folder, name = os.path.split(candidate)
        if is_image_name(name):
            return "an image"
        if _is_record(folder, name):
            return "a record of these scripts"
        if _is_caption(folder, name):
            return "the caption of an image"
    return ""


def _is_record(folder: str, name: str) -> bool:
    if name in RECORD_NAMES:
        return True
    if os.path.basename(folder) == ".cache":
        return name == "images.json" or name.endswith(".npz")
    kind, _, rest = name.partition("_")
    topic = rest.removesuffix(".json")
    is_named_so = kind in ("duplicates", "variants") and topic != rest
    return is_named_so and bool(topic) and os.path.isdir(os.path.join(folder, topic))


def _is_caption(folder: str, name: str) -> bool:
    """Tell whether a file is there, with an image of its stem beside it."""
    stem, suffix = os.path.splitext(name)
    if suffix.lower() not in CAPTION_SUFFIXES or not os.path.lexists(os.path.join(folder, name)):
        return False
    try:
        names = os.listdir(folder)
    except OSError:
        return False
    return any(
        is_image_name(other) and stem in (other, *os.path.splitext(other)) for other in names
    )
