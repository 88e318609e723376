"""`.cache/images.json` in each topic: image sizes as read, and what made scores, duplicates and variants.

Needs the standard library alone, so that scripts which never look at pixels start at once. Vectors and hashes lie
beside it (common/sidecar.py). The folder is safe to delete: only time is lost.

    {"images": {"a.jpg": [size, mtime_ns, width, height]},
     "scores": {"made_by": {"model": ..., "head": ...}, "images": {"a.jpg": [size, mtime_ns]}, "digest": "9f86d0..."},
     "duplicates": {"made_by": {"method": ..., "threshold": ...}, "images": {...}, "digest": ...},
     "variants": {...}}
"""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from common import json_files, locks
from common.errors import UserError, os_error_to_user_error
from common.tree import Stamp, Topic

CACHE_FOLDER = ".cache"
PAIRS_FILE = (
    "pairs.json"  # {"a.jpg": {"b.jpg": ["mirrored", 0.98]}}, each pair once, under the lesser name
)
TRACKED_FILES: dict[str, tuple[Callable[[Topic], str], Callable[[Topic], int]]] = {
    # what has a provenance, where it lies, and how large it can be
    "scores": (json_files.scores_path, json_files.max_bytes_per_image),
    "duplicates": (
        json_files.duplicates_path,
        lambda topic: json_files.max_bytes_per_pair(topic.images()),
    ),
    "variants": (
        json_files.variants_path,
        lambda topic: json_files.max_bytes_per_pair(topic.images()),
    ),
}
MAX_TRIES = 9  # looks at what another run is changing

Parsed = TypeVar("Parsed")

Extent = tuple[int, int]  # width and height in pixels, upright (after EXIF orientation)


@dataclass(frozen=True)
class Provenance:
    """What made a file, and the size and time that each image had then.

    It holds for the bytes of that `digest` alone, and for any where it has none (as earlier versions left it). `before`
    is what held until now: a kill may leave the file that it was made for.
    """

    made_by: Mapping[str, Any]
    images: Mapping[str, Stamp]
    digest: str = ""
    before: Provenance | None = None

    def of(self, digest: str) -> Provenance | None:
        """This one or the one before, whichever was made for a file with that digest."""
        if self.digest in ("", digest):
            return self
        return self.before.of(digest) if self.before else None

    def on(self, content: bytes) -> Provenance:
        """This one, for a file with that content."""
        return replace(self, digest=json_files.bytes_digest(content))

    def after(self, old: Provenance | None, digest: str) -> Provenance:
        """This one, with the old one kept for as long as the file has that `digest`."""
        fitting = old.of(digest) if old and digest and digest != self.digest else None
        return replace(self, before=fitting and replace(fitting, digest=digest, before=None))


@dataclass(frozen=True)
class Cache:
    """The content of one topic's images.json; empty where there is none."""

    extents: Mapping[str, tuple[Stamp, Extent]] = field(default_factory=dict)
    scores: Provenance | None = None
    duplicates: Provenance | None = None
    variants: Provenance | None = None

    def extent(self, name: str, stamp: Stamp) -> Extent | None:
        """The image's width and height, if they were read from the file as it is now."""
        known, extent = self.extents.get(name, (None, None))
        return extent if known == stamp else None


ScoresRead = tuple[dict[str, float], Cache, str]  # see `believed`


def cache_folder(topic: Topic) -> str:
    return topic.file(CACHE_FOLDER)


def images_json_path(topic: Topic) -> str:
    return os.path.join(cache_folder(topic), "images.json")


def sidecar_path(topic: Topic, name: str) -> str:
    """Where common/sidecar.py keeps the rows of that name; here, so that asking for it loads no numpy."""
    return os.path.join(cache_folder(topic), f"{name}.npz")


def precisions_of(made_by: Mapping[str, Any]) -> set[str]:
    """The precisions in which a topic's scores were made: `bf16+fp32` names two."""
    return set(filter(None, str(made_by.get("precision") or "").split("+")))


def make_cache_folder(topic: Topic) -> str:
    """The topic's cache folder, made if need be. Raises UserError."""
    made = cache_folder(topic)
    try:
        os.makedirs(made, exist_ok=True)
    except OSError as error:
        raise os_error_to_user_error(made, "made", error) from None
    return made


def check_writable(topic: Topic) -> None:
    """Raise UserError unless files can be made in the topic and in its cache folder."""
    json_files.check_writable(topic.path)
    if os.path.lexists(cache_folder(topic)):
        json_files.check_writable(make_cache_folder(topic))


def load_cache(topic: Topic, warn: Callable[[str], None] | None = None) -> Cache:
    """The topic's cache. A damaged one reads as empty, and is set aside where there is a `warn` to say so.

    So does one that may not be read, which stays where it is; but with a `warn`, as one who is going to write there has
    it, that raises UserError.
    """
    return _read_images_json(topic, _parse_cache, warn) or Cache()


def load_score_provenance(topic: Topic) -> Cache:
    """The cache with what made the topic's scores alone; quicker than `load`."""
    return (
        _read_images_json(
            topic, lambda data: Cache(scores=_parse_provenance(data.get("scores"))), None
        )
        or Cache()
    )


def _read_images_json(
    topic: Topic, parse: Callable[[dict[str, Any]], Parsed], warn: Callable[[str], None] | None
) -> Parsed | None:
    try:
        return parse(
            json_files.read_json(
                images_json_path(topic), {}, lambda: json_files.max_bytes_per_image(topic)
            )
        )
    except json_files.Damaged as error:
        reason = error.reason
    except UserError:
        if warn:
            raise
        return None
    except (TypeError, ValueError, KeyError, AttributeError):
        reason = "not a cache of this program"
    if warn:
        json_files.quarantine(images_json_path(topic), reason, warn)
    return None


def _parse_cache(data: dict[str, Any]) -> Cache:
    rows = data.get("images", {})
    if set(map(type, itertools.chain.from_iterable(rows.values()))) - {
        int
    }:  # quicker than one look at each
        raise ValueError
    extents = {name: ((a, b), (c, d)) for name, (a, b, c, d) in rows.items()}
    return Cache(extents, *(_parse_provenance(data.get(key)) for key in TRACKED_FILES))


def _parse_provenance(data: dict[str, Any] | None) -> Provenance | None:
    if data is None:
        return None
    images = {name: (a, b) for name, (a, b) in data["images"].items()}
    return Provenance(
        dict(data["made_by"]),
        images,
        str(data.get("digest", "")),
        _parse_provenance(data.get("before")),
    )


def topic_lock(topic: Topic) -> contextlib.AbstractContextManager[None]:
    """Hold the topic's records while they are read, changed and written: for moments."""
    return locks.file_lock(os.path.join(cache_folder(topic), "lock"))


def update_cache(
    topic: Topic,
    extents: Mapping[str, tuple[Stamp, Extent]] | None = None,
    aside: str | None = None,
    **made: Provenance | None,
) -> None:
    """Add extents and replace what is known of the files in MADE, as given; the rest stays.

    Extents of images that are gone are dropped. `aside` is where the file grows (see records.replacing).
    """
    with topic_lock(topic):
        old = load_cache(topic)
        present = set(topic.images())
        merged = {
            name: known
            for name, known in {**old.extents, **(extents or {})}.items()
            if name in present
        }
        data: dict[str, Any] = {
            "images": {name: [*stamp, *extent] for name, (stamp, extent) in merged.items()}
        }
        data |= {
            key: _provenance_json(known)
            for key in TRACKED_FILES
            if (known := made.get(key) or getattr(old, key))
        }
        for _ in range(MAX_TRIES):
            make_cache_folder(topic)
            with contextlib.suppress(json_files.FolderGone):
                return json_files.write_json(images_json_path(topic), data, aside)
        raise UserError(
            f"{cache_folder(topic)}: is deleted again and again; let it be while this runs"
        )


def _provenance_json(made: Provenance) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "made_by": dict(made.made_by),
        "images": {name: list(stamp) for name, stamp in made.images.items()},
    }
    plain |= {"digest": made.digest} if made.digest else {}
    return plain | ({"before": _provenance_json(made.before)} if made.before else {})


def read_scores_with_provenance(
    topic: Topic, warn: Callable[[str], None] | None = None
) -> ScoresRead:
    """The topic's scores as `believed` has them. Raises Damaged."""
    return read_with_provenance(
        topic, "scores", json_files.parse_scores, lambda: load_cache(topic, warn)
    )


def read_with_provenance(
    topic: Topic,
    key: str,
    parsed: Callable[[str, bytes | None], Parsed],
    known: Callable[[], Cache],
) -> tuple[Parsed, Cache, str]:
    """A file of those in MADE, parsed; the cache, with the record that was made for exactly its bytes; their digest.

    Needs no lock: where a run that just wrote both came between the two, both are read again.
    """
    path, most = TRACKED_FILES[key][0](topic), TRACKED_FILES[key][1]
    for _ in range(MAX_TRIES):
        content, cached = json_files.read_bytes(path, lambda: most(topic)), known()
        digest, made = json_files.bytes_digest(content), getattr(cached, key)
        fitting = made.of(digest) if made else None
        if fitting or not made:
            break
    return parsed(path, content), replace(cached, **{key: fitting}), digest  # type: ignore[arg-type]


def write_scores_with_provenance(
    topic: Topic,
    scores: Mapping[str, float],
    made: Provenance | None,
    extents: Mapping[str, tuple[Stamp, Extent]] | None = None,
    aside: str | None = None,
) -> None:
    """Write the topic's scores and what made them (see `write_made`). Raises UserError."""
    write_with_provenance(
        topic, {"scores": (json_files.scores_content(scores), made)}, extents, aside
    )


def write_with_provenance(
    topic: Topic,
    files: Mapping[str, tuple[bytes, Provenance | None]],
    extents: Mapping[str, tuple[Stamp, Extent]] | None = None,
    aside: str | None = None,
) -> None:
    """Write files of those in MADE and what made them, so that at any moment the record that is believed is theirs.

    A new record is made for the bytes to come, and keeps the one before until they are there. Raises UserError.
    """
    with topic_lock(topic):
        old = load_cache(topic)
        now = {key: json_files.file_digest(TRACKED_FILES[key][0](topic)) for key in files}
        new = {key: made and made.on(content) for key, (content, made) in files.items()}
        first = {key: made and made.after(getattr(old, key), now[key]) for key, made in new.items()}
        if extents is not None or any(
            made and made != getattr(old, key) for key, made in first.items()
        ):
            update_cache(topic, extents, aside, **first)
        for key, (content, _) in files.items():
            json_files.write_bytes(TRACKED_FILES[key][0](topic), content, aside)
        if first != new:
            update_cache(topic, None, aside, **new)
