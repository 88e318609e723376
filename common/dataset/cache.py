"""`.cache/images.json` in each topic: image sizes as read, and what made scores, duplicates and variants.

Needs the standard library alone, so that scripts which never look at pixels start at once. Vectors and hashes lie
beside it (common/dataset/sidecar.py). The folder is safe to delete: only time is lost.

    {"images": {"a.jpg": [size, mtime_ns, width, height]},
     "scores": {"made_by": {"model": ..., "head": ...}, "images": {"a.jpg": [size, mtime_ns]}},
     "duplicates": {"made_by": {"method": ..., "threshold": ...}, "images": {"a.jpg": [size, mtime_ns]}},
     "variants": {...}}
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from common.dataset import records
from common.dataset.tree import Stamp, Topic
from common.errors import UserError, unusable

FOLDER = ".cache"
FIGURES = "pairs.json"  # {"a.jpg": {"b.jpg": ["mirrored", 0.98]}}, each pair once, under the lesser name
MADE = ("scores", "duplicates", "variants")  # what has a provenance

Parsed = TypeVar("Parsed")

Extent = tuple[int, int]  # width and height in pixels, upright (after EXIF orientation)


@dataclass(frozen=True)
class Provenance:
    """What made a file, and the size and time that each image had then."""

    made_by: Mapping[str, Any]
    images: Mapping[str, Stamp]


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


def folder(topic: Topic) -> str:
    return topic.file(FOLDER)


def path(topic: Topic) -> str:
    return os.path.join(folder(topic), "images.json")


def sidecar_path(topic: Topic, name: str) -> str:
    """Where common/dataset/sidecar.py keeps the rows of that name; here, so that asking for it loads no numpy."""
    return os.path.join(folder(topic), f"{name}.npz")


def precisions(made_by: Mapping[str, Any]) -> set[str]:
    """The precisions in which a topic's scores were made: `bf16+fp32` names two."""
    return set(filter(None, str(made_by.get("precision") or "").split("+")))


def make_folder(topic: Topic) -> str:
    """The topic's cache folder, made if need be. Raises UserError."""
    made = folder(topic)
    try:
        os.makedirs(made, exist_ok=True)
    except OSError as error:
        raise unusable(made, "made", error) from None
    return made


def check_writable(topic: Topic) -> None:
    """Raise UserError unless files can be made in the topic and in its cache folder."""
    records.check_writable(topic.path)
    if os.path.lexists(folder(topic)):
        records.check_writable(make_folder(topic))


def load(topic: Topic, warn: Callable[[str], None] | None = None) -> Cache:
    """The topic's cache. A damaged one reads as empty, and is set aside where there is a `warn` to say so.

    So does one that may not be read, which stays where it is; but with a `warn`, as one who is going to write there has
    it, that raises UserError.
    """
    return _read(topic, _parsed, warn) or Cache()


def scores_provenance(topic: Topic) -> Provenance | None:
    """What made the topic's scores; quicker than `load` where nothing else is wanted."""
    return _read(topic, lambda data: _provenance(data.get("scores")), None)


def _read(topic: Topic, parse: Callable[[dict[str, Any]], Parsed], warn: Callable[[str], None] | None) -> Parsed | None:
    try:
        return parse(records.read_json(path(topic), {}, lambda: records.an_entry_each(topic)))
    except records.Damaged as error:
        reason = error.reason
    except UserError:
        if warn:
            raise
        return None
    except (TypeError, ValueError, KeyError, AttributeError):
        reason = "not a cache of this program"
    if warn:
        records.set_aside(path(topic), reason, warn)
    return None


def _parsed(data: dict[str, Any]) -> Cache:
    rows = data.get("images", {})
    if set(map(type, itertools.chain.from_iterable(rows.values()))) - {int}:  # quicker than one look at each
        raise ValueError
    extents = {name: ((a, b), (c, d)) for name, (a, b, c, d) in rows.items()}
    return Cache(extents, *(_provenance(data.get(key)) for key in MADE))


def _provenance(data: dict[str, Any] | None) -> Provenance | None:
    if data is None:
        return None
    return Provenance(dict(data["made_by"]), {name: (a, b) for name, (a, b) in data["images"].items()})


def update(
    topic: Topic,
    extents: Mapping[str, tuple[Stamp, Extent]] | None = None,
    scores: Provenance | None = None,
    duplicates: Provenance | None = None,
    variants: Provenance | None = None,
    aside: str | None = None,
) -> None:
    """Add extents and replace provenance, as given; the rest stays. Extents of images that are gone are dropped.

    `aside` is where the file grows (see records.replacing).
    """
    old = load(topic)
    present = set(topic.images())
    merged = {name: known for name, known in {**old.extents, **(extents or {})}.items() if name in present}
    data: dict[str, Any] = {"images": {name: [*stamp, *extent] for name, (stamp, extent) in merged.items()}}
    news = (scores or old.scores, duplicates or old.duplicates, variants or old.variants)
    for key, made in zip(MADE, news, strict=True):
        if made:
            data[key] = {"made_by": dict(made.made_by), "images": {n: list(s) for n, s in made.images.items()}}
    make_folder(topic)
    records.write_json(path(topic), data, aside)
