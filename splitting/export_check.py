"""Checks a finished export: what would make trainers read the wrong images.

Files that somebody edited stay, so an image may be in both sets, or in none of the tables.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Collection, Iterator

from common.image_formats import is_image_name
from common.target_folder import TargetFolder
from splitting.export_manifest import ExportedFiles
from splitting.kept_files import read_rows
from splitting.trainer_files import KOHYA_FILE, METADATA_FILE, ROLES

BOTH_SETS = "one image in both sets; delete one of them"


def find_problems(folder: TargetFolder, files: ExportedFiles, kept: Collection[str]) -> list[str]:
    """List the problems of an export.

    `files` are those that its manifest lists, `kept` the places of those that stay because their
    sources were not seen.
    """
    images = [place for place in files if is_image_name(place) and folder.status(place)]
    return [
        *_in_both_sets(files, images),
        *_find_kept_twice(folder, files, kept),
        *_without_row(folder, images),
        *_missing_kohya_folders(folder),
    ]


def _in_both_sets(files: ExportedFiles, images: list[str]) -> Iterator[str]:
    """Yield the images that are in both sets, made from one source."""
    first_places: dict[str, str] = {}
    for place in sorted(images):
        sources = dict.fromkeys(entry.source for entry in files[place])
        firsts = {first_places.setdefault(source, place) for source in sources}
        for first in sorted(firsts):
            if _role(first) != _role(place):
                yield f"{first} and {place}: {BOTH_SETS}"


def _find_kept_twice(
    folder: TargetFolder, files: ExportedFiles, kept: Collection[str]
) -> Iterator[str]:
    """Yield kept images that are in the other set too: their dataset has moved since."""
    for place in filter(is_image_name, kept):
        role, _, below = place.partition(os.sep)
        (other_role,) = set(ROLES) - {role}
        other = os.path.join(other_role, below)
        if other in files and other not in kept and files[other][0].stamp == files[place][0].stamp:
            content = folder.read(place)
            if content is not None and content == folder.read(other):
                yield f"{place} and {other}: {BOTH_SETS}, or export with --prune"


def _role(place: str) -> str:
    return place.split(os.sep)[0]


def _without_row(folder: TargetFolder, images: list[str]) -> Iterator[str]:
    rows = {role: read_rows(folder, role) for role in ROLES}
    for place in sorted(images):
        role = _role(place)
        if place not in rows[role]:
            yield (
                f"{place}: not in {role}/{METADATA_FILE}; delete the image, or delete the table "
                "and export again"
            )


def _missing_kohya_folders(folder: TargetFolder) -> Iterator[str]:
    """Yield the folders that kohya.toml names and that are not there."""
    try:
        config = tomllib.loads((folder.read(KOHYA_FILE) or b"").decode())
        subsets = [subset for each in config.get("datasets", []) for subset in each["subsets"]]
        paths = [subset["image_dir"] for subset in subsets]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return  # edited by somebody, who knows what trainer it is for
    for path in paths:
        if isinstance(path, str) and not os.path.isdir(path):
            yield f"{KOHYA_FILE}: names {path}, which is not there; delete it and export again"
