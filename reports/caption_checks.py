"""What a trainer will trip over in a dataset, from headers, names and captions.

What trainers do was read from kohya sd-scripts and diffusers in 2026: they take images by suffix, ignore how EXIF turns
them, read the first frame, and want captions in UTF-8, one a stem.
"""

from __future__ import annotations

import codecs
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from common import captions, terminal
from common.captions import stem_of
from common.topics import Topic

CAPTION_BYTES = 64 << 10  # read of each caption
EXAMPLES = 100  # kept of each kind

CHECKS = {  # what is counted, and how a title puts it; the first five are traits of a header
    "turned": ("image", "turned or mirrored by EXIF, which some trainers ignore"),
    "cmyk": ("image", "in CMYK"),
    "deep": ("image", "of 16 bits a channel or more"),
    "transparent": ("image", "with transparency"),
    "animated": ("image", "with several frames, of which trainers take one"),
    "skipped_suffix": ("image", "that trainers skip by suffix"),
    "same_stem": ("image", "with the stem of another: one caption for both"),
    "without_caption": ("image", "without a caption, where others have one"),
    "empty_caption": ("caption", "with nothing inside"),
    "caption_not_utf8": ("caption", "not in UTF-8"),
    "caption_with_bom": ("caption", "with a byte order mark in front"),
    "unreadable_caption": ("caption", "that cannot be read"),
    "caption_without_image": ("caption", "without an image"),
}


@dataclass
class Checks:
    """How often each kind was found, and where: topic, name and a word."""

    counts: Counter[str] = field(default_factory=lambda: Counter(dict.fromkeys(CHECKS, 0)))
    examples: dict[str, list[tuple[Topic, str, str]]] = field(
        default_factory=lambda: {kind: [] for kind in CHECKS}
    )

    def note(self, kind: str, topic: Topic, name: str, why: str = "") -> None:
        self.counts[kind] += 1
        if len(self.examples[kind]) < EXAMPLES:
            self.examples[kind].append((topic, name, why))

    def look(self, topic: Topic, images: Sequence[str]) -> None:
        """Look at the names of a topic's images, and at its captions."""
        stems = Counter(map(stem_of, images))
        told, alone = captions.match_captions(topic, images)
        for name in images:
            if not captions.is_read_by_trainers(name):
                self.note("skipped_suffix", topic, name, name[name.rfind(".") :])
            if stems[stem_of(name)] > 1:
                self.note("same_stem", topic, name)
            if told and name not in told:
                self.note("without_caption", topic, name)
        for name in sorted(set(told.values())):
            for kind in caption_problems(topic.path_of(name)):
                self.note(kind, topic, name)
        for name in alone:
            self.note("caption_without_image", topic, name)

    def report(self, label: dict[Topic, str]) -> dict[str, Any]:
        return {
            kind: {
                "count": count,
                "examples": [
                    {"path": f"{label[topic]}/{name}", **({"why": why} if why else {})}
                    for topic, name, why in self.examples[kind]
                ],
            }
            for kind, count in self.counts.items()
        }


def caption_problems(path: str) -> Iterator[str]:
    try:
        content = captions.read_caption(path, CAPTION_BYTES)
    except OSError:
        yield "unreadable_caption"
        return
    if content.startswith((codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        yield "caption_with_bom"
    try:
        decoder = codecs.getincrementaldecoder("utf-8-sig")()
        if not decoder.decode(
            content, final=len(content) < CAPTION_BYTES
        ).strip():  # the last letter may be cut in two
            yield "empty_caption"
    except UnicodeDecodeError:
        yield "caption_not_utf8"


def attention(found: dict[str, Any], most: int) -> Iterable[tuple[str, list[tuple[str, str]], int]]:
    """Of a report, titles with places (at most so many, with a word each), and how many there are."""
    for kind, (noun, words) in CHECKS.items():
        places = [
            (example["path"], example.get("why", "")) for example in found[kind]["examples"][:most]
        ]
        yield f"{terminal.plural(found[kind]['count'], noun)} {words}", places, found[kind]["count"]
