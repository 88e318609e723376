"""The JSON files that scripts leave in a dataset tree: written whole or not at all, checked when read.

`aesthetic_data.json` lies in a topic, `duplicates_<topic>.json` and `variants_<topic>.json` in its subcluster. What
made them is not in them but in the topic's cache (see common/dataset/cache.py), because other programs read them.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import math
import os
import stat
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import IO, Any

from common import disk, text
from common.dataset.tree import Topic
from common.errors import UserError, unusable
from common.output import dumps

SCORES = "aesthetic_data.json"
COPY = "copy"  # one can stand for the other
DOUBTFUL = "doubtful"  # shown to a person, never acted on
VARIANTS = ("mirrored", "turned", "contained", "framed", "captioned", "overlaid", "cropped", "recoloured", "flattened")
KINDS = (*VARIANTS, DOUBTFUL)  # of two that are claimed of one pair, the first counts

LARGE = 64_000_000  # bytes up to which a file is read, whatever it is
ENTRY = 1_000  # bytes of an image in a file that has one entry each
PAIR = 32  # bytes of an entry beside the name: indentation, quotes, the kind of a match
CUT = 240  # bytes of a damaged file's name that stay: with what is added it has to fit into 255
KINDS_OF_FILE = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a named pipe", stat.S_IFSOCK: "a socket"}
STREAMS = ("/dev", "/dev/fd", "/proc/self/fd")  # folders in which no name is ours to replace

Kinds = dict[str, dict[str, str]]  # image to image to the kind of their match


class FolderGone(UserError):
    """The folder of a file was deleted while it was written."""


class Damaged(UserError):
    """A JSON file that cannot be used. Scripts that act on it stop; the script that makes it sets it aside."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: damaged ({reason}); restore it, or delete it and make it again")
        self.path, self.reason = path, reason


def scores_path(topic: Topic) -> str:
    return topic.file(SCORES)


def duplicates_path(topic: Topic) -> str:
    return topic.beside("duplicates")


def variants_path(topic: Topic) -> str:
    return topic.beside("variants")


def can_be_named(topic: Topic) -> bool:
    """Whether its file system can name the topic's duplicates file, which is longer than the topic's own name."""
    folder, name = os.path.split(duplicates_path(topic))
    return len(os.fsencode(name)) <= os.pathconf(folder, "PC_NAME_MAX")


def is_record(name: str) -> bool:
    """Whether a file of this name is one of ours, and so no caption of an image."""
    return name == SCORES or (name.startswith(("duplicates_", "variants_")) and name.endswith(".json"))


def read_scores(topic: Topic) -> dict[str, float]:
    """Image name to score, empty where the topic has no file; what is no finite number is read as NaN.

    Raises Damaged.
    """
    path = scores_path(topic)
    return scores_in(path, content(path, lambda: an_entry_each(topic)))


def scores_in(path: str, content: bytes | None) -> dict[str, float]:
    found = parsed(path, content, {})
    if not isinstance(found, dict):
        raise Damaged(path, "not a JSON object of scores")
    finite = math.isfinite  # a million scores go through here
    return {name: v if type(v) is float and finite(v) else _score(v) for name, v in found.items()}


def _score(value: object) -> float:
    try:
        number = float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
    except OverflowError:  # a whole number of hundreds of digits
        return math.nan
    return number if math.isfinite(number) else math.nan


def scores_content(scores: Mapping[str, float]) -> bytes:
    return dumps({name: round(float(score), 4) for name, score in scores.items()}).encode()


def write_scores(topic: Topic, scores: Mapping[str, float]) -> None:
    write(scores_path(topic), scores_content(scores))


def read_matches(topic: Topic) -> dict[str, set[str]] | None:
    """Image name to the names of its direct matches, made symmetric; None where the topic was not searched.

    Raises Damaged.
    """
    path = duplicates_path(topic)
    return matches_in(path, content(path, lambda: a_pair_each(topic.images())))


def matches_in(path: str, content: bytes | None) -> dict[str, set[str]] | None:
    found = parsed(path, content, None)
    if found is None:
        return None
    if not isinstance(found, dict) or not all(isinstance(names, list) for names in found.values()):
        raise Damaged(path, "not a JSON object of lists")
    matches: dict[str, set[str]] = {name: set() for name in found}
    for name, others in found.items():
        for other in others:
            if not isinstance(other, str):
                raise Damaged(path, f"a match of {text.shown(name)} is not a name")
            if other != name:
                matches[name].add(other)
                matches.setdefault(other, set()).add(name)
    return matches


def strays(subcluster: str) -> list[str]:
    """The files on duplicates and variants in a subcluster's folder whose topic is gone, sorted; never deleted."""
    names = sorted(name for name in os.listdir(subcluster) if is_record(name) and name != SCORES)
    topics = {name: name.partition("_")[2].removesuffix(".json") for name in names}
    return [
        os.path.join(subcluster, name)
        for name, topic in topics.items()
        if not os.path.isdir(os.path.join(subcluster, topic))
    ]


def matches_content(matches: Mapping[str, set[str]]) -> bytes:
    return dumps({name: sorted(others) for name, others in matches.items()}).encode()


def write_matches(topic: Topic, matches: Mapping[str, set[str]]) -> None:
    write(duplicates_path(topic), matches_content(matches))


def read_variants(topic: Topic) -> Kinds | None:
    """Image name to its variants and the kind of each, made symmetric; None where none were searched for.

    Raises Damaged.
    """
    path = variants_path(topic)
    return variants_in(path, content(path, lambda: a_pair_each(topic.images())))


def variants_in(path: str, content: bytes | None) -> Kinds | None:
    return kinds_in(path, content, KINDS)


def variants_content(variants: Mapping[str, Mapping[str, str]]) -> bytes:
    return dumps(symmetric(variants, KINDS)).encode()


def write_variants(topic: Topic, variants: Mapping[str, Mapping[str, str]]) -> None:
    """A pair may be given in one direction or both. Raises UserError."""
    write(variants_path(topic), variants_content(variants))


def kinds_in(path: str, content: bytes | None, kinds: Sequence[str]) -> Kinds | None:
    """A file of the shape {image: {image: kind}}, made symmetric; None where there is none. Raises Damaged."""
    found = parsed(path, content, None)
    if found is None:
        return None
    if not isinstance(found, dict) or not all(isinstance(others, dict) for others in found.values()):
        raise Damaged(path, "not a JSON object of objects")
    for name, others in found.items():
        if wrong := [kind for kind in others.values() if kind not in kinds]:
            raise Damaged(path, f"{text.shown(wrong[0])}, a match of {text.shown(name)}, is none of {', '.join(kinds)}")
    return symmetric(found, kinds)


def symmetric(pairs: Mapping[str, Mapping[str, str]], kinds: Sequence[str]) -> Kinds:
    """Every pair in both directions under one kind, the first of `kinds`; none of an image with itself."""
    both: Kinds = {}
    for name, others in pairs.items():
        for other, kind in others.items():
            if other != name:
                first = min(kind, both.get(name, {}).get(other, kind), key=kinds.index)
                both.setdefault(name, {})[other] = both.setdefault(other, {})[name] = first
    return both


def read_json(path: str, default: Any, most: Callable[[], int] | None = None, is_given: bool = False) -> Any:
    """The parsed content of `path`, or `default` where there is no such file. Raises as `content` does."""
    return parsed(path, content(path, most, is_given), default)


def parsed(path: str, content: bytes | None, default: Any) -> Any:
    try:
        return default if content is None else json.loads(content)
    except (ValueError, RecursionError) as error:
        raise Damaged(path, str(error)) from None


def content(path: str, most: Callable[[], int] | None = None, is_given: bool = False) -> bytes | None:
    """The bytes of the file at `path`; None where there is none.

    `most` is asked only of a large file: how many bytes it can have. What `is_given` by an option may be a pipe. Raises
    Damaged, or UserError where the file may be sound, but not be read.
    """
    try:
        with open(path, "rb") if is_given else opened(path) as file:
            size = os.fstat(file.fileno()).st_size
            if most and size > LARGE and size > most():
                raise Damaged(path, f"{text.size(size)}, far more than the images of its topic explain")
            return file.read()
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:  # so there can be no such file
            return None
        raise unusable(path, "read", error) from None


def opened(path: str) -> IO[bytes]:
    """A file of a tree, to be read: a regular one, for a pipe would be waited for. Raises Damaged and OSError."""
    kind = stat.S_IFMT(os.stat(path).st_mode)
    if kind != stat.S_IFREG:
        raise Damaged(path, f"{KINDS_OF_FILE.get(kind, 'a device')}, not a file")
    return open(path, "rb")


def an_entry_each(topic: Topic) -> int:
    """The bytes that a file with an entry for each image of the topic may have."""
    return ENTRY * len(topic.images())


def a_pair_each(names: Collection[str]) -> int:
    """The bytes that a file with an entry for each pair of these images may have."""
    return (len(names) + 1) * sum(len(json.dumps(name)) + PAIR for name in names)


def digest(path: str) -> str:
    """Of a file's bytes; empty where there is none that can be read."""
    try:
        with opened(path) as file:
            return digest_of(file.read())
    except (OSError, Damaged):
        return ""


def digest_of(content: bytes | None) -> str:
    return "" if content is None else hashlib.sha256(content).hexdigest()


def write_json(path: str, value: object, aside: str | None = None) -> None:
    write(path, dumps(value).encode(), aside)


def write(path: str, content: bytes, aside: str | None = None) -> None:
    """Write `content` as `replacing` does; a file whose content would not change is not touched. Raises UserError."""
    with contextlib.suppress(OSError, Damaged), opened(path) as file:
        if os.fstat(file.fileno()).st_size == len(content) and file.read() == content:
            return
    with replacing(path, aside) as file:
        file.write(content)


@contextlib.contextmanager
def replacing(path: str, aside: str | None = None, forced: bool = True) -> Iterator[IO[bytes]]:
    """A binary file that takes the place of `path` when the block ends well, and vanishes when it does not.

    A kill at any moment leaves the old file or the new one; so does a power cut, unless `forced` is False. The file
    grows beside `path`, or in the folder `aside` (made if need be, on the same file system) where a kill must leave
    nothing there. A device, or a pipe that somebody reads, is written into. Raises UserError where none can be written.
    """
    if stream := _stream(path):
        with stream:
            yield stream
        return
    folder = aside or os.path.dirname(path)
    temporary = None
    try:
        if aside:
            os.makedirs(aside, exist_ok=True)
        temporary = os.path.join(folder, f".{os.urandom(8).hex()}.tmp")
        with open(temporary, "xb") as file:
            _keep_mode(path, temporary)
            yield file
            if forced:
                disk.force(file)
        os.replace(temporary, path)
        disk.appeared(os.path.dirname(path) or ".")
    except OSError as error:
        _forget(temporary)
        if isinstance(error, FileNotFoundError):
            raise FolderGone(f"{path}: cannot be written, its folder is gone; make it, then run this again") from None
        raise unusable(path, "written", error) from None
    except BaseException:
        _forget(temporary)
        raise


def _stream(path: str) -> IO[bytes] | None:
    """The pipe or device at `path`, opened; None where there is none, or nobody reads it."""
    if not _is_stream(path):
        return None
    try:
        number = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK)
    except OSError:
        return None
    os.set_blocking(number, True)
    return open(number, "wb")


def _is_stream(path: str) -> bool:
    """Whether an option names what must not be replaced: /dev/null, /dev/stdout, >(gzip > it)."""
    if not os.path.exists(path):
        return False
    kind = stat.S_IFMT(os.stat(path).st_mode)
    return kind in (stat.S_IFIFO, stat.S_IFCHR) or os.path.dirname(os.path.abspath(path)) in STREAMS


def _keep_mode(path: str, temporary: str) -> None:
    """Give a file the permissions of the one that it replaces."""
    with contextlib.suppress(OSError):  # there is none, or a network or USB file system knows no permissions
        os.chmod(temporary, os.stat(path).st_mode & 0o777)


def _forget(temporary: str | None) -> None:
    if temporary:
        with contextlib.suppress(OSError):
            os.unlink(temporary)


def set_aside(path: str, reason: str, warn: Callable[[str], None]) -> None:
    """Rename a damaged file to `NAME.corrupt` (or `.corrupt.2` and on: nothing is overwritten) and say so."""
    folder, name = os.path.split(os.fsencode(path))
    start = os.fsdecode(os.path.join(folder, name[:CUT]))
    number, aside = 1, f"{start}.corrupt"
    while os.path.lexists(aside):
        number += 1
        aside = f"{start}.corrupt.{number}"
    try:
        os.rename(path, aside)
    except OSError as error:
        raise UserError(f"{path}: damaged ({reason}) and cannot be set aside ({error.strerror})") from None
    warn(f"{text.shown(path)}: damaged ({reason}); set aside as {text.shown(os.path.basename(aside))}")


def check_writable(folder: str) -> None:
    """Raise UserError unless files can be made in `folder`: cheap, and so done before anything expensive."""
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UserError(f"{folder}: not writable; see to its permissions")


def check_output(path: str, option: str = "--output") -> None:
    """Raise UserError unless a file can be written at `path`: done before anything expensive."""
    if _is_stream(path):
        return
    folder = os.path.dirname(os.path.abspath(path))
    if not os.path.isdir(folder):
        raise UserError(f"{folder}: no such folder; make it, or give {option} another place")
    if os.path.isdir(path):
        raise UserError(f"{path}: is a folder; {option} wants a file's name")
    check_writable(folder)
