"""The JSON files that the scripts leave in a dataset tree: where they are, and what is in them.

`aesthetic_data.json` is in a topic; `duplicates_<topic>.json` and `variants_<topic>.json` are in
its subcluster. What made them is recorded in the topic's cache (common/cache.py), because other
programs read these files too. Every file is checked when it is read, and replaced as a whole.
"""

from __future__ import annotations

import itertools
import json
import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from common import atomic_files, terminal
from common.atomic_files import Damaged
from common.reporter import dump_json
from common.target_folder import TargetFolder
from common.topics import Topic

SCORES_FILE = "aesthetic_data.json"
COPY = "copy"  # interchangeable with the other image
DOUBTFUL = "doubtful"  # shown to a person, never acted on
ACROSS_TOPIC = "across"  # in duplicates_across.json, which is about a dataset and no topic
ACTIONABLE_KINDS = (
    "mirrored",
    "turned",
    "contained",
    "framed",
    "captioned",
    "overlaid",
    "cropped",
    "recoloured",
    "flattened",  # no longer made, still read
)
VARIANT_KINDS = (*ACTIONABLE_KINDS, DOUBTFUL)  # if a pair has two kinds, the first one counts
# Two windows of one picture: neither can replace the other. keeping/kind_names.py stores it.
CROPPED = "cropped"
OVERLAPPING = "overlapping"
LINKED_KINDS = (*ACTIONABLE_KINDS, OVERLAPPING)  # of images that belong on one side of a split
SHOWN_KINDS = (*LINKED_KINDS, DOUBTFUL)  # of variants, as people read them

# What may become NUL or a surrogate when JSON is parsed, and what no name can have after that.
SUSPECT_TEXT = re.compile(r"\\u(?:0000|[dD][89a-fA-F])|[\ud800-\udfff]")
IMPOSSIBLE_IN_NAMES = re.compile("[\0\ud800-\udc7f\udd00-\udfff]")

BYTES_PER_IMAGE = 1_000  # upper limit for an image's entry, in a file with one entry per image
BYTES_PER_PAIR = 32  # of a pair's entry without the name: indentation, quotes, kind

Copies = dict[str, set[str]]  # image to its copies
Kinds = dict[str, dict[str, str]]  # image to the images that match it, with the kind of each match
Line = TypeVar("Line")


def scores_path(topic: Topic) -> str:
    return topic.path_of(SCORES_FILE)


def duplicates_path(topic: Topic) -> str:
    return topic.sibling_json("duplicates")


def variants_path(topic: Topic) -> str:
    return topic.sibling_json("variants")


def can_name_results(topic: Topic) -> bool:
    """Tell whether the file system allows the name of the topic's duplicates file."""
    folder, name = os.path.split(duplicates_path(topic))
    return len(os.fsencode(name)) <= os.pathconf(folder, "PC_NAME_MAX")


def is_result_file(name: str) -> bool:
    """Tell whether a file of this name is one of ours, and so not the caption of an image."""
    return name == SCORES_FILE or _is_search_result(name)


def _is_search_result(name: str) -> bool:
    return name.startswith(("duplicates_", "variants_")) and name.endswith(".json")


def list_orphans(subcluster: str) -> list[str]:
    """List the duplicates and variants files in a folder whose topic is gone, sorted by name.

    In a dataset without clusters the matches between topics are beside those of topics.
    """
    orphans = []
    for name in sorted(filter(_is_search_result, os.listdir(subcluster))):
        if name == f"duplicates_{ACROSS_TOPIC}.json":
            continue
        topic_name = name.partition("_")[2].removesuffix(".json")
        if not os.path.isdir(os.path.join(subcluster, topic_name)):
            orphans.append(os.path.join(subcluster, name))
    return orphans


def read_copies(topic: Topic) -> Copies | None:
    """Read the topic's duplicates file, made symmetric. Returns None if the topic was not searched.

    Raises Damaged.
    """
    path = duplicates_path(topic)
    return parse_copies(path, atomic_files.read_bytes(path, lambda: max_bytes_per_pair(topic)))


def parse_copies(path: str, content: bytes | None) -> Copies | None:
    data = parse_json(path, content, None)
    if data is None:
        return None
    if not isinstance(data, dict) or not all(isinstance(names, list) for names in data.values()):
        raise Damaged(path, "not a JSON object of lists")
    copies: Copies = {name: set() for name in data}
    for name, others in data.items():
        for other in others:
            if not isinstance(other, str):
                raise Damaged(path, f"a match of {terminal.escape(name)} is not a name")
            if other != name:
                copies[name].add(other)
                copies.setdefault(other, set()).add(name)
    return copies


def copies_content(copies: Mapping[str, Collection[str]]) -> bytes:
    return dump_json({name: sorted(others) for name, others in copies.items()}).encode()


def read_variants(topic: Topic) -> Kinds | None:
    """Read the topic's variants file, made symmetric. Returns None if there is none.

    Raises Damaged.
    """
    path = variants_path(topic)
    return parse_variants(path, atomic_files.read_bytes(path, lambda: max_bytes_per_pair(topic)))


def parse_variants(path: str, content: bytes | None) -> Kinds | None:
    return parse_kinds(path, content, VARIANT_KINDS)


def parse_kinds(path: str, content: bytes | None, allowed: Sequence[str]) -> Kinds | None:
    """Parse {image: {image: kind}} and make it symmetric. Returns None for None. Raises Damaged."""
    data = parse_json(path, content, None)
    if data is None:
        return None
    if not isinstance(data, dict) or not all(isinstance(each, dict) for each in data.values()):
        raise Damaged(path, "not a JSON object of objects")
    for name, others in data.items():
        for kind in others.values():
            if kind not in allowed:
                what = f"{terminal.escape(kind)}, a match of {terminal.escape(name)}"
                raise Damaged(path, f"{what}, is none of {', '.join(allowed)}")
    return symmetrize(data, allowed)


def symmetrize(pairs: Mapping[str, Mapping[str, str]], kinds: Sequence[str]) -> Kinds:
    """Return every pair in both directions, under the first of its kinds in the order of `kinds`.

    Pairs of an image with itself are left out.
    """
    both_ways: Kinds = {}
    for name, others in pairs.items():
        for other, kind in others.items():
            if other != name:
                known_kind = both_ways.get(name, {}).get(other, kind)
                first_kind = min(kind, known_kind, key=kinds.index)
                both_ways.setdefault(name, {})[other] = first_kind
                both_ways.setdefault(other, {})[name] = first_kind
    return both_ways


def copies_among(kinds: Kinds) -> Copies:
    """Return the copies among matches of several kinds."""
    copies: Copies = {}
    for name, others in kinds.items():
        copies[name] = {other for other, kind in others.items() if kind == COPY}
    return copies


def max_bytes_per_image(topic: Topic) -> int:
    """Return how large a file can be that has an entry for each image of the topic."""
    return BYTES_PER_IMAGE * len(topic.all_image_names())


def max_bytes_per_pair(topic: Topic) -> int:
    """Return how large a file can be that has an entry for each pair of the topic's images."""
    return max_bytes_of_pairs(topic.all_image_names())


def max_bytes_of_pairs(names: Collection[str]) -> int:
    one_row = sum(len(json.dumps(name)) + BYTES_PER_PAIR for name in names)
    return (len(names) + 1) * one_row


def read_json(
    path: str, default: Any, max_bytes: Callable[[], int] | None = None, is_given: bool = False
) -> Any:
    """Read and parse the file at `path`. Returns `default` if there is none.

    The parameters and errors are those of atomic_files.read_bytes.
    """
    return parse_json(path, atomic_files.read_bytes(path, max_bytes, is_given), default)


def parse_json(path: str, content: bytes | None, default: Any) -> Any:
    try:
        return default if content is None else _load_json(content)
    except (ValueError, RecursionError) as error:
        raise Damaged(path, str(error)) from None


def _load_json(content: bytes) -> Any:
    """Parse JSON. Raises ValueError, also for text that no file can have as its name."""
    encoding = "utf-8" if _is_plain_json(content) else json.detect_encoding(content)
    text = content.decode(encoding, "surrogatepass")
    value = json.loads(text)
    if _may_be_suspect(text):
        check_names(value)
    return value


def _is_plain_json(content: bytes) -> bool:
    """Tell whether JSON is certainly UTF-8: it starts with two ASCII characters that are no NUL."""
    return content[:2].isascii() and b"\0" not in content[:2]


def _may_be_suspect(text: str) -> bool:
    """Tell whether SUSPECT_TEXT is in JSON. Most text is seen to have none without a search."""
    if text.isascii() and "\\u" not in text:
        return False
    return SUSPECT_TEXT.search(text) is not None


def check_names(value: object) -> None:
    """Raise ValueError if a text in parsed JSON can be no file name: it has NUL or a surrogate.

    The surrogates from udc80 to udcff stand for bytes that are not UTF-8, and are allowed.
    """
    if isinstance(value, str):
        if IMPOSSIBLE_IN_NAMES.search(value):
            raise ValueError(f"{terminal.escape(value)}: a name that no file can have")
    elif isinstance(value, list):
        for item in value:
            check_names(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            check_names(key)
            check_names(item)


def write_json(path: str, value: object, target_folder: TargetFolder | None = None) -> None:
    """Write `value` as atomic_files.write_bytes does. Raises UserError."""
    atomic_files.write_bytes(path, dump_json(value).encode(), target_folder)


def read_json_lines(path: str, parse: Callable[[bytes], Line]) -> Iterator[tuple[bytes, Line]]:
    """Yield each line of a JSON-lines file: its bytes, and what `parse` makes of them.

    Raises FileNotFoundError, or Damaged with the number of the first line for which `parse` raises
    an error about its content.
    """
    number = 0
    try:
        with atomic_files.open_regular(path) as file:
            for line in file:
                number += 1
                if _may_be_suspect(line.decode("utf-8", "surrogatepass")):
                    check_names(json.loads(line))
                yield line, parse(line)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise Damaged(path, error.strerror or str(error)) from None
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
        raise Damaged(path, f"line {number} is not a whole one") from None


def json_line(fields: Mapping[str, Any]) -> bytes:
    """Return one line of a JSON-lines file, with its newline."""
    return dump_json(fields, indent=None).encode()


def update_lines(
    path: str, make_lines: Callable[[], Iterable[bytes]], target_folder: TargetFolder
) -> None:
    """Replace the file at `path` with these lines, unless it holds them already. Raises UserError.

    `make_lines` is called once or twice, and starts each time with the first line.
    """
    if not _holds_lines(path, make_lines()):
        with atomic_files.atomic_write(path, target_folder) as file:
            file.writelines(make_lines())


def _holds_lines(path: str, lines: Iterable[bytes]) -> bool:
    try:
        with atomic_files.open_regular(path) as file:
            return all(old == new for old, new in itertools.zip_longest(file, lines))
    except OSError:  # there is none, or what there is cannot be read
        return False
