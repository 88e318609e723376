"""The JSON files that scripts leave in a dataset tree: written whole or not at all, checked when read.

`aesthetic_data.json` lies in a topic, `duplicates_<topic>.json` and `variants_<topic>.json` in its subcluster. What
made them is not in them but in the topic's cache (see common/cache.py), because other programs read them.
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

from common import durability, terminal
from common.errors import UserError, os_error_to_user_error
from common.reporter import dump_json
from common.tree import Topic

SCORES_FILE = "aesthetic_data.json"
COPY = "copy"  # one can stand for the other
DOUBTFUL = "doubtful"  # shown to a person, never acted on
ACTIONABLE_KINDS = (
    "mirrored",
    "turned",
    "contained",
    "framed",
    "captioned",
    "overlaid",
    "cropped",
    "recoloured",
    "flattened",
)
VARIANT_KINDS = (
    *ACTIONABLE_KINDS,
    DOUBTFUL,
)  # of two that are claimed of one pair, the first counts

MIN_SIZE_LIMIT_BYTES = 64_000_000  # bytes up to which a file is read, whatever it is
BYTES_PER_IMAGE = 1_000  # bytes of an image in a file that has one entry each
BYTES_PER_PAIR = 32  # bytes of an entry beside the name: indentation, quotes, the kind of a match
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
    return topic.file(SCORES_FILE)


def duplicates_path(topic: Topic) -> str:
    return topic.beside("duplicates")


def variants_path(topic: Topic) -> str:
    return topic.beside("variants")


def has_valid_record_name(topic: Topic) -> bool:
    """Whether its file system can name the topic's duplicates file, which is longer than the topic's own name."""
    folder, name = os.path.split(duplicates_path(topic))
    return len(os.fsencode(name)) <= os.pathconf(folder, "PC_NAME_MAX")


def is_record(name: str) -> bool:
    """Whether a file of this name is one of ours, and so no caption of an image."""
    return name == SCORES_FILE or (
        name.startswith(("duplicates_", "variants_")) and name.endswith(".json")
    )


def read_scores(topic: Topic) -> dict[str, float]:
    """Image name to score, empty where the topic has no file; what is no finite number is read as NaN.

    Raises Damaged.
    """
    path = scores_path(topic)
    return parse_scores(path, read_bytes(path, lambda: max_bytes_per_image(topic)))


def parse_scores(path: str, content: bytes | None) -> dict[str, float]:
    found = parse_json(path, content, {})
    if not isinstance(found, dict):
        raise Damaged(path, "not a JSON object of scores")
    finite = math.isfinite  # a million scores go through here
    return {name: v if type(v) is float and finite(v) else _score(v) for name, v in found.items()}


def _score(value: object) -> float:
    try:
        number = (
            float(value)
            if isinstance(value, int | float) and not isinstance(value, bool)
            else math.nan
        )
    except OverflowError:  # a whole number of hundreds of digits
        return math.nan
    return number if math.isfinite(number) else math.nan


def scores_content(scores: Mapping[str, float]) -> bytes:
    return dump_json({name: round(float(score), 4) for name, score in scores.items()}).encode()


def write_scores(topic: Topic, scores: Mapping[str, float]) -> None:
    write_bytes(scores_path(topic), scores_content(scores))


def read_matches(topic: Topic) -> dict[str, set[str]] | None:
    """Image name to the names of its direct matches, made symmetric; None where the topic was not searched.

    Raises Damaged.
    """
    path = duplicates_path(topic)
    return parse_matches(path, read_bytes(path, lambda: max_bytes_per_pair(topic.images())))


def parse_matches(path: str, content: bytes | None) -> dict[str, set[str]] | None:
    found = parse_json(path, content, None)
    if found is None:
        return None
    if not isinstance(found, dict) or not all(isinstance(names, list) for names in found.values()):
        raise Damaged(path, "not a JSON object of lists")
    matches: dict[str, set[str]] = {name: set() for name in found}
    for name, others in found.items():
        for other in others:
            if not isinstance(other, str):
                raise Damaged(path, f"a match of {terminal.escape(name)} is not a name")
            if other != name:
                matches[name].add(other)
                matches.setdefault(other, set()).add(name)
    return matches


def orphaned_files(subcluster: str) -> list[str]:
    """The files on duplicates and variants in a subcluster's folder whose topic is gone, sorted; never deleted."""
    names = sorted(
        name for name in os.listdir(subcluster) if is_record(name) and name != SCORES_FILE
    )
    topics = {name: name.partition("_")[2].removesuffix(".json") for name in names}
    return [
        os.path.join(subcluster, name)
        for name, topic in topics.items()
        if not os.path.isdir(os.path.join(subcluster, topic))
    ]


def matches_content(matches: Mapping[str, set[str]]) -> bytes:
    return dump_json({name: sorted(others) for name, others in matches.items()}).encode()


def write_matches(topic: Topic, matches: Mapping[str, set[str]]) -> None:
    write_bytes(duplicates_path(topic), matches_content(matches))


def read_variants(topic: Topic) -> Kinds | None:
    """Image name to its variants and the kind of each, made symmetric; None where none were searched for.

    Raises Damaged.
    """
    path = variants_path(topic)
    return parse_variants(path, read_bytes(path, lambda: max_bytes_per_pair(topic.images())))


def parse_variants(path: str, content: bytes | None) -> Kinds | None:
    return parse_kinds(path, content, VARIANT_KINDS)


def variants_content(variants: Mapping[str, Mapping[str, str]]) -> bytes:
    return dump_json(symmetrize(variants, VARIANT_KINDS)).encode()


def write_variants(topic: Topic, variants: Mapping[str, Mapping[str, str]]) -> None:
    """A pair may be given in one direction or both. Raises UserError."""
    write_bytes(variants_path(topic), variants_content(variants))


def parse_kinds(path: str, content: bytes | None, kinds: Sequence[str]) -> Kinds | None:
    """A file of the shape {image: {image: kind}}, made symmetric; None where there is none. Raises Damaged."""
    found = parse_json(path, content, None)
    if found is None:
        return None
    if not isinstance(found, dict) or not all(
        isinstance(others, dict) for others in found.values()
    ):
        raise Damaged(path, "not a JSON object of objects")
    for name, others in found.items():
        if wrong := [kind for kind in others.values() if kind not in kinds]:
            raise Damaged(
                path,
                f"{terminal.escape(wrong[0])}, a match of {terminal.escape(name)}, is none of {', '.join(kinds)}",
            )
    return symmetrize(found, kinds)


def symmetrize(pairs: Mapping[str, Mapping[str, str]], kinds: Sequence[str]) -> Kinds:
    """Every pair in both directions under one kind, the first of `kinds`; none of an image with itself."""
    both: Kinds = {}
    for name, others in pairs.items():
        for other, kind in others.items():
            if other != name:
                first = min(kind, both.get(name, {}).get(other, kind), key=kinds.index)
                both.setdefault(name, {})[other] = both.setdefault(other, {})[name] = first
    return both


def read_json(
    path: str, default: Any, most: Callable[[], int] | None = None, is_given: bool = False
) -> Any:
    """The parsed content of `path`, or `default` where there is no such file. Raises as `content` does."""
    return parse_json(path, read_bytes(path, most, is_given), default)


def parse_json(path: str, content: bytes | None, default: Any) -> Any:
    try:
        return default if content is None else json.loads(content)
    except (ValueError, RecursionError) as error:
        raise Damaged(path, str(error)) from None


def read_bytes(
    path: str, most: Callable[[], int] | None = None, is_given: bool = False
) -> bytes | None:
    """The bytes of the file at `path`; None where there is none.

    `most` is asked only of a large file: how many bytes it can have. What `is_given` by an option may be a pipe. Raises
    Damaged, or UserError where the file may be sound, but not be read.
    """
    try:
        with open(path, "rb") if is_given else open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            if most and size > MIN_SIZE_LIMIT_BYTES and size > most():
                raise Damaged(
                    path,
                    f"{terminal.format_bytes(size)}, far more than the images of its topic explain",
                )
            return file.read()
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:  # so there can be no such file
            return None
        raise os_error_to_user_error(path, "read", error) from None


def open_regular(path: str) -> IO[bytes]:
    """A file of a tree, to be read: a regular one, for a pipe would be waited for. Raises Damaged and OSError."""
    kind = stat.S_IFMT(os.stat(path).st_mode)
    if kind != stat.S_IFREG:
        raise Damaged(path, f"{KINDS_OF_FILE.get(kind, 'a device')}, not a file")
    return open(path, "rb")


def max_bytes_per_image(topic: Topic) -> int:
    """The bytes that a file with an entry for each image of the topic may have."""
    return BYTES_PER_IMAGE * len(topic.images())


def max_bytes_per_pair(names: Collection[str]) -> int:
    """The bytes that a file with an entry for each pair of these images may have."""
    return (len(names) + 1) * sum(len(json.dumps(name)) + BYTES_PER_PAIR for name in names)


def file_digest(path: str) -> str:
    """Of a file's bytes; empty where there is none that can be read."""
    try:
        with open_regular(path) as file:
            return bytes_digest(file.read())
    except (OSError, Damaged):
        return ""


def bytes_digest(content: bytes | None) -> str:
    return "" if content is None else hashlib.sha256(content).hexdigest()


def write_json(path: str, value: object, aside: str | None = None) -> None:
    write_bytes(path, dump_json(value).encode(), aside)


def write_bytes(path: str, content: bytes, aside: str | None = None) -> None:
    """Write `content` as `replacing` does; a file whose content would not change is not touched. Raises UserError."""
    with contextlib.suppress(OSError, Damaged), open_regular(path) as file:
        if os.fstat(file.fileno()).st_size == len(content) and file.read() == content:
            return
    with atomic_write(path, aside) as file:
        file.write(content)


@contextlib.contextmanager
def atomic_write(path: str, aside: str | None = None, forced: bool = True) -> Iterator[IO[bytes]]:
    """A binary file that takes the place of `path` when the block ends well, and vanishes when it does not.

    A kill at any moment leaves the old file or the new one; so does a power cut, unless `forced` is False. The file
    grows beside `path`, or in the folder `aside` (made if need be, on the same file system) where a kill must leave
    nothing there. A device, or a pipe that somebody reads, is written into. Raises UserError where none can be written.
    """
    if stream := _open_stream(path):
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
                durability.fsync_file(file)
        os.replace(temporary, path)
        durability.note_rename(os.path.dirname(path) or ".")
    except OSError as error:
        _forget(temporary)
        if isinstance(error, FileNotFoundError):
            raise FolderGone(
                f"{path}: cannot be written, its folder is gone; make it, then run this again"
            ) from None
        raise os_error_to_user_error(path, "written", error) from None
    except BaseException:
        _forget(temporary)
        raise


def _open_stream(path: str) -> IO[bytes] | None:
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
    with contextlib.suppress(
        OSError
    ):  # there is none, or a network or USB file system knows no permissions
        os.chmod(temporary, os.stat(path).st_mode & 0o777)


def _forget(temporary: str | None) -> None:
    if temporary:
        with contextlib.suppress(OSError):
            os.unlink(temporary)


def quarantine(path: str, reason: str, warn: Callable[[str], None]) -> None:
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
        raise UserError(
            f"{path}: damaged ({reason}) and cannot be set aside ({error.strerror})"
        ) from None
    warn(
        f"{terminal.escape(path)}: damaged ({reason}); set aside as {terminal.escape(os.path.basename(aside))}"
    )


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
