"""The page to review duplicates: every set of images that match, and which of them a merge keeps.

Its script (templates/review_rule.js) applies the keeper rule again after each decision. From here
it gets the images in the order of that rule.
"""

from __future__ import annotations

import itertools
import json
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from markupsafe import Markup

from common import atomic_files, terminal
from common.cli import MAX_PIXELS
from common.reporter import Reporter
from common.topics import Topic
from keeping import decisions
from keeping.preference import Preference
from reports import page, review_images, review_orders, review_sets
from reports.review_sets import ReviewData, ReviewSet

SCRIPTS = (
    "controls.js",
    "review_data.js",
    "review_rule.js",
    "review_decisions.js",
    "review_cards.js",
    "review_look.js",
    "review.js",
)
MAX_PAGE_BYTES = 24_900_000
THUMBNAIL_BOX_PX = (240, 240)
THUMBNAIL_BYTES = 4_000  # an estimate on the low side
PAIR_BYTES = 40  # an estimate
SET_BYTES = 120  # an estimate, without pairs and images
MAX_SET_THUMBNAILS = 24  # the other images of a set open from disk
BORDERLINE_LIKENESS = 0.95  # pairs below are borderline: the likeness of a copy is at least 0.9
CARD_LABELS = {  # of one set, and of several
    "copies": ("set of copies", "sets of copies"),
    "variants": ("set of variants", "sets of variants"),
    "doubtful": ("doubtful set", "doubtful sets"),
    "across": ("set across topics", "sets across topics"),
    "references": ("set with references", "sets with references"),
}
SECTION_TEXTS = {
    "copies": ("Copies", "A merge keeps the outlined images and drops the others."),
    "variants": (
        "Variants",
        "Versions of one image that are not interchangeable. A merge drops none of them for "
        "another, a split puts them in the same set.",
    ),
    "doubtful": ("Doubtful", "Perhaps the same image. Nothing acts on them until you decide."),
    "across": (
        "Across topics",
        "Matches in different topics of a dataset. A merge keeps an image in each topic.",
    ),
    "references": ("References", "Copies of images in reference folders. A merge drops them."),
}


def write_page(
    path: str, topics: Sequence[Topic], reporter: Reporter, prefer: Preference = Preference.BEST
) -> None:
    """Write the page on `topics` to `path`.

    Raises UserError, and Damaged if decisions cannot be read.
    """
    data = review_sets.read_review_data(path, list(topics), prefer)
    review_images.add_captions(data.photos, list(topics))
    for each in data.sets():
        review_orders.add_detail_facts(each, data)
    sets = sorted(data.sets(), key=lambda each: each.pairs[0].sort_key)

    def render(shown: Sequence[ReviewSet], thumbnails: Mapping[str, str]) -> bytes:
        context = _context(topics, sets, len(sets) - len(shown), data.unlisted_doubtful)
        context["data"] = _script_data(data, shown, thumbnails)
        return page.render_page("review.html", context, {}, 0, SCRIPTS)

    room = MAX_PAGE_BYTES - len(render([], {}))
    fitting, text_bytes = _sets_that_fit(sets, data, room)
    wanted = _images_with_thumbnail(fitting)
    thumbnails = page.make_thumbnails(
        wanted, room - text_bytes, MAX_PIXELS, reporter, THUMBNAIL_BOX_PX
    )
    shown = list(
        itertools.takewhile(
            lambda each: thumbnails.keys() >= set(_images_with_thumbnail([each])), fitting
        )
    )
    content = render(shown, thumbnails)
    with atomic_files.atomic_write(path) as file:
        file.write(content)


def _context(
    topics: Sequence[Topic], sets: Sequence[ReviewSet], left_out: int, unlisted_doubtful: int
) -> dict[str, Any]:
    """Return what the template shows apart from the sets."""
    names = dict.fromkeys(topic.dataset or topic.name for topic in topics)
    counts = Counter(each.section for each in sets)
    cards = []
    sections = []
    for section, (title, explanation) in SECTION_TEXTS.items():
        if counts[section]:
            cards.append(
                (terminal.thousands(counts[section]), CARD_LABELS[section][counts[section] > 1])
            )
            sections.append((section, title, explanation, counts[section]))
    return {
        "title": f"Duplicates in {terminal.list_few(names)}",
        "cards": cards,
        "attention": [],
        "sections": sections,
        "rules": [(rule, label) for rule, (label, _) in review_orders.BULK_RULES.items()],
        "sets_left_out": left_out,
        "doubtful_left_out": unlisted_doubtful,
        "max_doubtful": review_sets.MAX_DOUBTFUL_PAIRS,
        "notes": [],
    }


def _sets_that_fit(
    sets: Sequence[ReviewSet], data: ReviewData, room: int
) -> tuple[list[ReviewSet], int]:
    """Return the sets that probably fit into `room` bytes, and the size of their text."""
    fitting = []
    text_bytes = 0
    thumbnail_count = 0
    for each in sets:
        rule_bytes = 8 * len(review_orders.BULK_RULES)  # of an image
        photo_bytes = 0
        for image in each.images:
            photo_bytes += len(json.dumps(data.photos[image])) + rule_bytes
        new_text = SET_BYTES + PAIR_BYTES * len(each.pairs) + photo_bytes
        new_thumbnails = len(_images_with_thumbnail([each]))
        thumbnail_bytes = (thumbnail_count + new_thumbnails) * THUMBNAIL_BYTES
        if text_bytes + new_text + thumbnail_bytes < room:
            fitting.append(each)
            text_bytes += new_text
            thumbnail_count += new_thumbnails
    return fitting, text_bytes


def _images_with_thumbnail(sets: Iterable[ReviewSet]) -> list[str]:
    paths: dict[str, None] = {}
    for each in sets:
        paths.update(dict.fromkeys(each.images[:MAX_SET_THUMBNAILS]))
    return list(paths)


def _script_data(
    data: ReviewData, shown: Sequence[ReviewSet], thumbnails: Mapping[str, str]
) -> Markup:
    """Return the input of the page's script: JSON that is safe inside HTML.

    Images are referred to by number.
    """
    in_sets = {image for each in shown for image in each.images}
    images = [image for image in data.photos if image in in_sets]
    numbers = {image: number for number, image in enumerate(images)}
    sets = []
    for each in sorted(shown, key=lambda each: review_sets.SECTIONS.index(each.section)):
        pairs = []
        for pair in each.pairs:
            both = sorted((numbers[pair.first], numbers[pair.second]))
            pairs.append((*both, pair.kind, pair.likeness, pair.why))
        members = [numbers[image] for image in each.images]
        orders = {}
        for rule, order in review_orders.bulk_orders(each, data).items():
            orders[rule] = [numbers[image] for image in order]
        sets.append(
            {
                "section": each.section,
                "images": members,
                "pairs": pairs,
                "orders": orders,
                "identical": review_orders.is_identical(each, data),
                "by_name": review_orders.is_decided_by_name(each),
                "captions_differ": review_orders.captions_differ(each, data),
            }
        )
    datasets = []
    for dataset in data.datasets:
        decided = decisions.read_decisions(dataset).as_json()
        name = os.path.basename(dataset)
        datasets.append({"name": name, "path": dataset, "decisions": decided})
    result = {
        "datasets": datasets,
        "images": [
            data.photos[image] | {"thumbnail": thumbnails.get(image, "")} for image in images
        ],
        "sets": sets,
        "script": page.script_path("find_duplicates.py"),
        "level_option": data.level_option,
        "borderline": BORDERLINE_LIKENESS,
        "dropped_elsewhere": len(data.dropped - in_sets),
    }
    return Markup(json.dumps(result, separators=(",", ":")).replace("<", r"\u003c"))
