"""Where an export puts the images of a split and their captions, and what trainers read beside them. Only plans.

The rules of the loaders, as their code stood in 2026:

- Hugging Face datasets (`imagefolder`) takes a split from any folder whose name holds one of SPLIT_WORDS, skips folders
  that begin with two underscores, reads a backslash in `file_name` as a slash, and a text that looks like a date as a
  date, unless the other split has one that does not: then it stops.
- kohya sd-scripts reads each folder that it is told, none below it, and takes an image's caption from the text file of
  the same stem. It stops at an empty caption, and at a folder for validation without an image of a suffix it knows.
  A dataset whose `validation_split` is 1 only validates.
"""

from __future__ import annotations

import itertools
import json
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from common import captions, json_files
from common.captions import casefold_nfc
from common.errors import UserError
from common.reporter import dump_json
from common.tree import Topic
from merging import naming
from merging.copying import COPY, Copy
from reports.caption_checks import is_caption_read
from splitting.choice import Split

ROLES = "train", "valid"
METADATA, KOHYA = "metadata.jsonl", "kohya.toml"
SPLIT_WORDS = re.compile(
    r"(?<![^-._ 0-9])(train(ing)?|val(id(ation)?)?|dev|test(ing)?|eval(uation)?)(?![^-._ 0-9])"
)
SAME_AS = {
    ".jpe": ".jpg",
    ".jfif": ".jpg",
}  # suffixes that sd-scripts skip, and others for such files
DATE = re.compile(r"\d{4}-\d\d-\d\d([T ][\d:.]+(Z|[+-][\d:]+)?)?")
CONFIG = """\
# For kohya sd-scripts: --dataset_config {path}
[general]
caption_extension = ".txt"
"""


@dataclass
class Layout:
    """What an export into the folder `target` holds. Places are paths below it."""

    target: str
    files: dict[str, Copy] = field(
        default_factory=dict
    )  # by place: images, and captions with their images
    texts: dict[str, bytes] = field(default_factory=dict)  # by place: what is written anew
    left_out: list[str] = field(default_factory=list)  # paths of images that no loader could name

    def add(self, place: str, path: str, mode: str) -> None:
        status = os.stat(path)
        stamp = status.st_size, status.st_mtime_ns
        self.files[place] = Copy(path, os.path.join(self.target, place), stamp, mode)


class Names:
    """Gives every file and folder of an export a name of its own, by which no loader misreads it."""

    def __init__(self) -> None:
        self._folders: dict[tuple[str, ...], str] = {(role,): role for role in ROLES}
        self._taken = {casefold_nfc(os.path.join(role, METADATA)) for role in ROLES}

    def folder(self, *parts: str) -> str:
        """The place of a folder, always the same; `parts` are the names that lead to it, the first a role."""
        if parts not in self._folders:
            above = self.folder(*parts[:-1])
            self._folders[parts] = self._free(
                os.path.join(above, name) for name in _folder_names(parts[-1])
            )
        return self._folders[parts]

    def image(self, folder: str, name: str, dataset: str) -> str:
        """The place of an image; no other in its folder has its stem, so that each has a caption of its own."""
        stem, suffix = os.path.splitext(name)
        stems = itertools.chain([stem], naming.candidate_stems(stem, dataset, [suffix]))
        place = self._free(os.path.join(folder, each.replace("\\", "+")) for each in stems)
        return place + SAME_AS.get(suffix.lower(), suffix)

    def _free(self, places: Iterable[str]) -> str:
        place = next(place for place in places if casefold_nfc(place) not in self._taken)
        self._taken.add(casefold_nfc(place))
        return place


def _folder_names(name: str) -> Iterator[str]:
    """The folder's own name, with a `+` behind each word and in front of what would mislead; then numbered ones."""
    plain = re.sub("^__", "+__", SPLIT_WORDS.sub(r"\g<0>+", name.replace("\\", "+")))
    if len(os.fsencode(plain)) <= naming.NAME_BYTES:
        yield plain
    for number in itertools.count(2):
        yield naming.truncate_name(plain, naming.NAME_BYTES - len(f"+{number}")) + f"+{number}"


def plan_layout(splits: Iterable[Split], target: str, mode: str) -> Layout:
    """The whole export; the same split always gives the same. Raises UserError."""
    layout, names = Layout(target), Names()
    rows: dict[str, list[str]] = {role: [] for role in ROLES}
    for split in splits:
        if not all(split.topic.parts[1:]):
            raise UserError(
                f"{split.topic.path}: its path has no Cluster/Subcluster/Topic to go to"
            )
        try:
            for role, chosen in zip(ROLES, (split.train, split.valid), strict=True):
                rows[role] += _add_image(layout, names, split.topic, role, chosen, mode)
        except OSError as error:
            raise UserError(
                f"{error.filename}: cannot be read ({error.strerror}); see to it, then go on"
            ) from None
    layout.texts = {
        os.path.join(role, METADATA): "".join(lines).encode()
        for role, lines in rows.items()
        if lines
    }
    layout.texts[KOHYA] = _config(layout).encode()
    return layout


def _add_image(
    layout: Layout, names: Names, topic: Topic, role: str, chosen: Sequence[str], mode: str
) -> Iterator[str]:
    """Lay out the images that one topic gives to a role; yields their lines of metadata.jsonl."""
    told, scores = captions.match_captions(topic, topic.images())[0], json_files.read_scores(topic)
    usable = [name for name in chosen if is_utf8("/".join((*topic.parts, name)))]
    layout.left_out += [
        topic.file(name) for name in chosen if not is_utf8("/".join((*topic.parts, name)))
    ]
    folder = names.folder(role, *topic.parts[1:]) if usable else role
    places = {name: names.image(folder, name, topic.dataset) for name in sorted(usable)}
    for name in usable:
        layout.add(places[name], topic.file(name), mode)
        text = ""
        if name in told and (content := captions.read_caption(topic.file(told[name]))):
            layout.add(os.path.splitext(places[name])[0] + ".txt", topic.file(told[name]), COPY)
            text = content.decode("utf-8-sig", "replace").strip()
        columns = {
            "text": text,
            **dict(zip(("dataset", "cluster", "subcluster", "topic"), topic.parts, strict=True)),
        }
        undated = {
            key: f"{value} " if DATE.fullmatch(value) else value for key, value in columns.items()
        }
        below = os.path.relpath(places[name], role)
        yield dump_json(
            {"file_name": below, "name": name, "score": scores[name], **undated}, indent=None
        )


def is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _config(layout: Layout) -> str:
    """kohya.toml: a subset a folder with something to read; those that validate are a dataset of their own."""
    folders = {os.path.dirname(place): None for place in layout.files if is_caption_read(place)}
    parts = [CONFIG.format(path=_quoted(os.path.join(layout.target, KOHYA)))]
    for role, head in zip(ROLES, ("", "validation_split = 1.0\n"), strict=True):
        inside = [folder for folder in folders if folder.startswith(role + os.sep)]
        parts += [f"\n[[datasets]]\n{head}"] if inside else []
        parts += [
            f"\n[[datasets.subsets]]\nimage_dir = {_quoted(os.path.join(layout.target, folder))}\n"
            for folder in inside
        ]
    return "".join(parts)


def _quoted(path: str) -> str:
    """A string in TOML, which is that of JSON but for one more character that it wants escaped."""
    return json.dumps(path, ensure_ascii=False).replace("\x7f", "\\u007f")
