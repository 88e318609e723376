"""What the page for reviewing duplicates shows: every set of images that match, most doubtful first, and who stays.

Its script (templates/review.js) walks the keeper rule again after each decision; from here it gets the images in the
order of that walk. Reads what find_duplicates.py left, and loads neither numpy nor torch.
"""

from __future__ import annotations

import itertools
import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import quote

from markupsafe import Markup

from common import (
    across_file,
    atomic_files,
    cache,
    decisions,
    images,
    json_files,
    keepers,
    terminal,
    topic_relations,
)
from common.across_file import Across
from common.cli import MAX_PIXELS
from common.json_files import COPY, DOUBTFUL
from common.keepers import Candidate
from common.reporter import Reporter
from common.topics import Stamp, Topic
from reports import page

LIMIT = 24_900_000  # bytes of a page
THUMBNAIL = (240, 240)  # pixels at most
PICTURE = 4_000  # bytes of a thumbnail, rather less than they have
PICTURED = 24  # images of a set with a thumbnail; the others open from disk
NEAR = 0.95  # a pair that is less alike is near the threshold: copies agree in 0.9 or more of what a close look sees
SECTIONS = {
    "copies": ("Copies", "A merge keeps the outlined images and leaves out the others."),
    "variants": (
        "Variants",
        "Made from one picture, but no stand-ins: a merge keeps them all, a split on one side.",
    ),
    "doubtful": ("Doubtful", "Perhaps the same picture; nothing acts on them until you decide."),
    "across": ("Across topics", "In different topics of a dataset, where a merge keeps both."),
    "references": ("References", "Copies of images in reference folders: a merge leaves them out."),
}


@dataclass(frozen=True)
class ReviewPair:
    """Two images that match, by their absolute paths; `alike` is None where no figure was kept."""

    first: str
    second: str
    kind: str
    alike: float | None

    @property
    def doubt(self) -> tuple[float, str, str]:
        """What pairs are sorted by: the least alike come first."""
        return 1.0 if self.alike is None else self.alike, self.first, self.second


@dataclass(frozen=True)
class ReviewSet:
    """Images that hang together by pairs of one section, in the order in which the keeper rule walks them."""

    section: str
    images: list[str]
    pairs: list[ReviewPair]  # most doubtful first


@dataclass
class ReviewData:
    """All that there is to show."""

    page: str  # where the page will lie
    datasets: list[str]
    photos: dict[str, dict[str, Any]] = field(
        default_factory=dict
    )  # by path, in the order of the keeper rule
    pairs: dict[str, list[ReviewPair]] = field(
        default_factory=lambda: {section: [] for section in SECTIONS}
    )
    left_out: set[str] = field(default_factory=set)  # by a merge

    def sets(self) -> Iterator[ReviewSet]:
        place = {path: number for number, path in enumerate(self.photos)}
        for section, pairs in self.pairs.items():
            of: dict[str, list[ReviewPair]] = {}  # images of one set share a list
            for pair in pairs:
                few, many = sorted((of.get(pair.first, []), of.get(pair.second, [])), key=len)
                moved = [pair] if few is many else [*few, pair]
                many += moved
                of |= {path: many for each in moved for path in (each.first, each.second)}
            for together in {id(shared): shared for shared in of.values()}.values():
                images = {path for pair in together for path in (pair.first, pair.second)}
                yield ReviewSet(
                    section,
                    sorted(images, key=place.__getitem__),
                    sorted(together, key=lambda pair: pair.doubt),
                )


def write_page(path: str, topics: Sequence[Topic], talk: Reporter) -> None:
    """Write the page on `topics` to `path`. Raises UserError, and Damaged where decisions cannot be read."""
    found = ReviewData(path, list(dict.fromkeys(topic.dataset_path for topic in topics)))
    beyond = across_file.read_across(topics, _told)
    for topic in topics:
        _search(topic, beyond, found)
    _search_beyond(beyond, found)
    sets = sorted(found.sets(), key=lambda each: each.pairs[0].doubt)
    counted = Counter(each.section for each in sets)
    counts = {name: counted[name] for name in SECTIONS if counted[name]}

    def rendered(shown: Sequence[ReviewSet], thumbnails: Mapping[str, str]) -> bytes:
        context = {
            "title": f"Duplicates in {terminal.list_few(dict.fromkeys(topic.dataset or topic.name for topic in topics))}",
            "cards": [
                (terminal.thousands(count), f"sets: {SECTIONS[name][0].lower()}")
                for name, count in counts.items()
            ],
            "attention": [],
            "sections": [(name, *SECTIONS[name], count) for name, count in counts.items()],
            "missing": len(sets) - len(shown),
            "data": _data(found, shown, thumbnails),
            "notes": [],
        }
        return page.render_page("review.html", context, {}, 0, script="review.js")

    fitting, room = [], LIMIT - len(rendered([], {}))
    words = pictures = 0
    for each in sets:
        size = 40 * len(each.pairs) + sum(
            len(json.dumps(found.photos[image])) for image in each.images
        )
        more = len(_pictured([each]))
        if words + size + (pictures + more) * PICTURE < room:
            fitting.append(each)
            words, pictures = words + size, pictures + more
    made = page.make_thumbnails(_pictured(fitting), room - words, MAX_PIXELS, talk, THUMBNAIL)
    shown = list(itertools.takewhile(lambda each: made.keys() >= set(_pictured([each])), fitting))
    with atomic_files.atomic_write(path) as file:
        file.write(rendered(shown, made))


def _search(topic: Topic, beyond: Across, found: ReviewData) -> None:
    """Add a topic's pairs, and its images in them or in pairs beyond it. A damaged topic adds nothing."""
    stamps, cached = topic.image_stamps(), cache.load_cache(topic)
    try:
        relations = topic_relations.read_topic_relations(topic, stamps, cached)
    except atomic_files.Damaged:
        return
    kinds = relations.kinds((COPY, *json_files.VARIANT_KINDS))
    figures = topic_relations.read_pair_likeness(topic)
    for name, others in kinds.items():
        for other, kind in others.items():
            if name < other:
                section = {COPY: "copies", DOUBTFUL: "doubtful"}.get(kind, "variants")
                one, two = topic.path_of(name), topic.path_of(other)
                found.pairs[section].append(ReviewPair(one, two, kind, figures.get((one, two))))
    shown = {name for name in stamps if name in kinds or topic.path_of(name) in beyond.kinds}
    listed = keepers.make_candidates(
        topic, stamps, cached, keepers.scores_for_ranking(topic, _told), _told, shown
    )
    of, scored = {image.name: image for image in listed}, keepers.all_scored(listed)
    for image in keepers.rank_candidates(
        replace(image, keep=False) for image in listed
    ):  # the script puts those to keep first
        if image.name in shown:
            stamp = stamps[image.name]
            extent = keepers.image_extent(topic, image.name, stamp, cached, _told) or (0, 0)
            path = topic.path_of(image.name)
            found.photos[path] = _photo(path, found, extent, stamp, of[image.name], scored)
    found.left_out.update(
        map(topic.path_of, keepers.select_redundant(listed, relations.copies or {}))
    )


def _search_beyond(beyond: Across, found: ReviewData) -> None:
    """Add the pairs of the images so far with those in other topics and in reference folders."""
    figures = {
        pair: alike
        for dataset in found.datasets
        for pair, alike in topic_relations.read_pair_likeness(
            across_file.dataset_as_topic(dataset)
        ).items()
    }
    ours = set(found.photos)
    for one, others in beyond.kinds.items():
        for other, kind in others.items():
            both = {one, other}
            if one < other and both & ours:
                references = both & beyond.references
                section = "references" if references else "across"
                found.pairs[section].append(ReviewPair(one, other, kind, figures.get((one, other))))
                for path in both - found.photos.keys():
                    found.photos[path] = _outside(path, found)
                if references and kind == COPY:
                    found.left_out |= {
                        path for path in both - references if not found.photos[path]["kept"]
                    }


def _outside(path: str, found: ReviewData) -> dict[str, Any]:
    """What is told of an image that lies in none of the topics."""
    try:
        status, header = os.stat(path), images.read_header(path)
    except (OSError, images.Unreadable):
        return _photo(path, found, (0, 0), (0, 0))
    return _photo(path, found, (header.width, header.height), (status.st_size, status.st_mtime_ns))


def _photo(
    path: str,
    found: ReviewData,
    extent: cache.Extent,
    stamp: Stamp,
    image: Candidate | None = None,
    scored: bool = False,
) -> dict[str, Any]:
    """What the script needs to know of an image; `scored` says that scores weigh in its topic."""
    (width, height), (size, time) = extent, stamp
    dataset = next(
        (each for each in found.datasets if path.startswith(os.path.join(each, ""))), ""
    )  # of a reference
    folder, score = os.path.dirname(path), image.score if image else None
    facts = [
        f"{width} × {height}",
        terminal.format_bytes(size),
        os.path.splitext(path)[1][1:].upper(),
    ]
    below = os.path.relpath(path, os.path.dirname(os.path.abspath(found.page)))
    is_below = below.partition(os.sep)[0] != os.pardir  # and so both can move together
    return {
        "dataset": found.datasets.index(dataset) if dataset else -1,
        "path": os.path.relpath(path, dataset) if dataset else path,
        "place": terminal.escape(
            os.path.relpath(folder, os.path.dirname(dataset)) if dataset else folder
        ),
        "name": terminal.escape(os.path.basename(path)),
        "url": quote(os.fsencode(below)) if is_below else f"file://{quote(os.fsencode(path))}",
        "facts": " · ".join(facts if score is None else [*facts, f"score {score:.2f}"]),
        "worth": width * height * (score if scored and score else 1),
        "scored": scored,
        "bytes": size,
        "time": str(time),
        "kept": image.keep if image else not dataset,  # whatever is decided on the page
    }


def _told(*_: str) -> None:
    """What to do about a damaged file: nothing, for the script has told of it."""


def _pictured(sets: Iterable[ReviewSet]) -> list[str]:
    return list(dict.fromkeys(path for each in sets for path in each.images[:PICTURED]))


def _data(found: ReviewData, shown: Sequence[ReviewSet], thumbnails: Mapping[str, str]) -> Markup:
    """What the page's script works on, as JSON that may stand in HTML; images are named by their numbers."""
    held = {image for each in shown for image in each.images}
    place = {
        image: number
        for number, image in enumerate(image for image in found.photos if image in held)
    }
    data = {
        "datasets": [
            {
                "name": os.path.basename(dataset),
                "path": dataset,
                "decisions": decisions.read_decisions(dataset).as_json(),
            }
            for dataset in found.datasets
        ],
        "images": [
            {**found.photos[image], "thumbnail": thumbnails.get(image, "")} for image in place
        ],
        "sets": [
            {
                "section": each.section,
                "images": [place[image] for image in each.images],
                "pairs": [
                    (*sorted((place[pair.first], place[pair.second])), pair.kind, pair.alike)
                    for pair in each.pairs
                ],
            }
            for each in sorted(shown, key=lambda each: list(SECTIONS).index(each.section))
        ],
        "near": NEAR,
        "beyond": len(found.left_out - held),
    }
    return Markup(json.dumps(data, separators=(",", ":")).replace("<", r"\u003c"))
