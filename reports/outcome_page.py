"""The page of a merge or a split: per topic what goes in, what is left out, and why."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from common.reporter import Reporter
from reports import page

MAX_PAGE_BYTES = 24_900_000
MAX_GROUP_IMAGES = 24  # shown of a group in a topic; of the others the number
MAX_PAIRINGS = 60  # shown of a topic


@dataclass(frozen=True)
class Picture:
    """An image as the page shows it."""

    path: str
    name: str
    note: str = ""  # why it is here

    def as_figure(self) -> dict[str, str]:
        title = f"{self.name}: {self.note}" if self.note else self.name
        return {"path": self.path, "number": "", "caption": self.name, "title": title}


@dataclass(frozen=True)
class Pairing:
    """An image beside others: a keeper and what is left out for it, or the two sides of a leak."""

    first: Picture
    others: tuple[Picture, ...]


@dataclass(frozen=True)
class PictureGroup:
    """Images of one fate. `count` has those that are not in the list, too."""

    title: str
    pictures: Sequence[Picture]
    count: int
    more: int = 0  # that the page does not show


@dataclass
class TopicOutcome:
    """What becomes of the images of one topic."""

    label: str
    summary: str
    pairings: list[Pairing] = field(default_factory=list)
    groups: list[PictureGroup] = field(default_factory=list)

    def pictures(self) -> Iterable[Picture]:
        for pairing in self.pairings:
            yield pairing.first
            yield from pairing.others
        for group in self.groups:
            yield from group.pictures


@dataclass(frozen=True)
class Outcome:
    """What a page on a merge or a split shows."""

    title: str
    lead: str
    cards: Sequence[tuple[str, str]]  # number and label
    pairings_title: str
    topics: Sequence[TopicOutcome]


def write_page(path: str, outcome: Outcome, reporter: Reporter) -> None:
    """Write the page to `path`. Topics with pairings come first, and get thumbnails first."""
    topics = sorted(map(_shorten, outcome.topics), key=lambda topic: not topic.pairings)

    def context(max_rows: int) -> dict[str, Any]:
        shown = topics[: max(1, max_rows // MAX_GROUP_IMAGES)]
        return {
            "title": outcome.title,
            "lead": outcome.lead,
            "cards": outcome.cards,
            "attention": [],
            "pairings_title": outcome.pairings_title,
            "topics": [_describe(topic) for topic in shown],
            "topics_left_out": len(topics) - len(shown),
            "notes": [],
        }

    paired: dict[str, None] = {}
    others: dict[str, None] = {}
    for topic in topics:
        for pairing in topic.pairings:
            paired.update(dict.fromkeys(each.path for each in (pairing.first, *pairing.others)))
        others.update(dict.fromkeys(picture.path for picture in topic.pictures()))
    wanted = list(paired | others)
    page.write_page(path, "outcome.html", context, wanted, reporter, max_bytes=MAX_PAGE_BYTES)


def _shorten(topic: TopicOutcome) -> TopicOutcome:
    """Leave out what is more than a page shows of a topic, and images that it has twice."""
    seen: set[str] = set()
    pairings = []
    for pairing in topic.pairings[:MAX_PAIRINGS]:
        pictures = (pairing.first, *pairing.others)
        new = [picture for picture in pictures[:MAX_GROUP_IMAGES] if picture.path not in seen]
        seen.update(picture.path for picture in new)
        if new:
            pairings.append(Pairing(new[0], tuple(new[1:])))
    groups = []
    for group in topic.groups:
        unseen = [picture for picture in group.pictures if picture.path not in seen]
        shown = unseen[:MAX_GROUP_IMAGES]
        more = group.count - len(group.pictures) + len(unseen) - len(shown)
        groups.append(replace(group, pictures=shown, more=more))
    return replace(topic, pairings=pairings, groups=groups)


def _describe(topic: TopicOutcome) -> dict[str, Any]:
    pairings = []
    for pairing in topic.pairings:
        others = [(picture.as_figure(), picture.note) for picture in pairing.others]
        pairings.append((pairing.first.as_figure(), pairing.first.note, others))
    groups = []
    for group in topic.groups:
        if group.count:
            figures = [(picture.as_figure(), picture.note) for picture in group.pictures]
            groups.append((group.title, group.count, figures, group.more))
    return {
        "label": topic.label,
        "summary": topic.summary,
        "pairings": pairings,
        "groups": groups,
    }
