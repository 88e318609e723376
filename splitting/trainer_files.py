"""The texts that trainers read beside the images: metadata.jsonl and kohya.toml."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping

from common.topics import MAX_LEVELS, Topic
from sidecars import captions

ROLES = ("train", "valid")
METADATA_FILE = "metadata.jsonl"
KOHYA_FILE = "kohya.toml"
TEXT_PLACES = (*(os.path.join(role, METADATA_FILE) for role in ROLES), KOHYA_FILE)
DATE = re.compile(r"\d{4}-\d\d-\d\d([T ][\d:.]+(Z|[+-][\d:]+)?)?")
KOHYA_HEAD = """\
# For kohya sd-scripts: --dataset_config {path}
[general]
caption_extension = ".txt"
"""


def text_columns(topic: Topic, text: str) -> Mapping[str, str]:
    """Return the columns of metadata.jsonl that hold text."""
    dataset, cluster, subcluster, name = topic.parts
    columns = {"text": text, "dataset": dataset, "topic": name}
    if topic.levels > 1:
        columns["cluster"] = cluster
    if topic.levels == MAX_LEVELS:
        columns["subcluster"] = subcluster
    return {name: _keep_as_text(value) for name, value in columns.items()}


def _keep_as_text(value: str) -> str:
    """Append a space to what looks like a date, so that no loader reads it as one."""
    return f"{value} " if DATE.fullmatch(value) else value


def is_utf8(name: str) -> bool:
    """Tell whether all bytes of the name are UTF-8."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def kohya_config(target: str, places: Iterable[str]) -> str:
    """Return the kohya.toml of an export into `target` with files at these places.

    It has a subset per folder; those for validation are a dataset of their own.
    """
    readable = filter(captions.is_read_by_trainers, places)
    folders = list(dict.fromkeys(map(os.path.dirname, readable)))
    config = KOHYA_HEAD.format(path=_toml_string(os.path.join(target, KOHYA_FILE)))
    for role, head in zip(ROLES, ("", "validation_split = 1.0\n"), strict=True):
        role_folders = [folder for folder in folders if folder.startswith(role + os.sep)]
        if role_folders:
            config += f"\n[[datasets]]\n{head}"
        for folder in role_folders:
            image_dir = _toml_string(os.path.join(target, folder))
            config += f"\n[[datasets.subsets]]\nimage_dir = {image_dir}\n"
    return config


def _toml_string(path: str) -> str:
    """Return a TOML string: that of JSON, except for one more character to escape."""
    return json.dumps(path, ensure_ascii=False).replace("\x7f", "\\u007f")
