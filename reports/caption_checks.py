"""Find what trainers trip over in a dataset, from headers, names and captions.

What trainers do was read from kohya sd-scripts and diffusers in 2026: they select images by suffix,
ignore EXIF rotation, read the first frame, and expect captions in UTF-8, one per stem.
"""

from __future__ import annotations

import codecs
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from common import terminal
from common.topics import Topic
from sidecars import caption_table, captions
from sidecars.stem_groups import stem_of

MAX_CAPTION_BYTES = 64 << 10  # read of each caption
MAX_EXAMPLES = 100  # kept of each kind

# What is counted: its noun, and the rest of its title. The first five are traits of a header.
CHECKS = {
    "turned": ("image", "rotated or mirrored by an EXIF tag, which some trainers ignore"),
    "cmyk": ("image", "in CMYK"),
    "deep": ("image", "with 16 or more bits per channel"),
    "transparent": ("image", "with transparency"),
    "animated": ("image", "with several frames, of which trainers use one"),
    "skipped_suffix": ("image", "that trainers skip by suffix"),
    "same_stem": ("image", "with the stem of another image: they share one caption"),
    "without_caption": ("image", "without a caption in a topic with captions"),
    "empty_caption": ("caption", "without text"),
    "caption_not_utf8": ("caption", "not in UTF-8"),
    "caption_with_bom": ("caption", "with a byte order mark"),
    "unreadable_caption": ("caption", "that cannot be read"),
    "caption_without_image": ("caption", "without an image"),
}


@dataclass
class Checks:
    """How often each kind occurs, and examples: topic, file name, a detail."""

    counts: Counter[str] = field(default_factory=lambda: Counter(dict.fromkeys(CHECKS, 0)))
    examples: dict[str, list[tuple[Topic, str, str]]] = field(
        default_factory=lambda: {kind: [] for kind in CHECKS}
    )

    def add(self, kind: str, topic: Topic, name: str, detail: str = "") -> None:
        self.counts[kind] += 1
        if len(self.examples[kind]) < MAX_EXAMPLES:
            self.examples[kind].append((topic, name, detail))

    def check_topic(self, topic: Topic, image_names: Sequence[str]) -> None:
        """Check the names of a topic's images, and its captions."""
        images_per_stem = Counter(map(stem_of, image_names))
        caption_of, orphans = captions.match_captions(topic, image_names, with_foreign_links=True)
        images_of: dict[str, list[str]] = {}
        for image, caption in caption_of.items():
            images_of.setdefault(caption, []).append(image)
        texts = caption_table.read_texts(topic, caption_of)
        for name in image_names:
            if not captions.is_read_by_trainers(name):
                self.add("skipped_suffix", topic, name, name[name.rfind(".") :])
            if images_per_stem[stem_of(name)] > 1:
                self.add("same_stem", topic, name)
            if (caption_of or texts) and name not in caption_of and name not in texts:
                self.add("without_caption", topic, name)
        for caption, images in sorted(images_of.items()):
            if captions.is_foreign_link(topic, caption, images):
                self.add("unreadable_caption", topic, caption, "a link to a file of another place")
                continue
            for kind in caption_problems(topic.path_of(caption)):
                self.add(kind, topic, caption)
        if problem := caption_table.read_table(topic).problem:
            self.add("unreadable_caption", topic, caption_table.FILE_NAME, problem)
        for caption in orphans:
            self.add("caption_without_image", topic, caption)

    def as_json(self, labels: Mapping[Topic, str]) -> dict[str, Any]:
        """Return the count and the examples of each kind; `labels` start the paths."""
        result = {}
        for kind, count in self.counts.items():
            examples = []
            for topic, name, detail in self.examples[kind]:
                example = {"path": f"{labels[topic]}/{name}"}
                if detail:
                    example["why"] = detail
                examples.append(example)
            result[kind] = {"count": count, "examples": examples}
        return result


def caption_problems(path: str) -> Iterator[str]:
    """Yield the kinds of CHECKS that apply to the content of a caption file."""
    try:
        content = captions.read_caption(path, MAX_CAPTION_BYTES)
    except OSError:
        yield "unreadable_caption"
        return
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        yield "caption_not_utf8"
        text = captions.decode_caption(content)
        if text is not None and not text.strip():
            yield "empty_caption"
        return
    if content.startswith(codecs.BOM_UTF8):
        yield "caption_with_bom"
    is_whole = len(content) < MAX_CAPTION_BYTES  # else the last letter may be cut in two
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    try:
        text = decoder.decode(content, final=is_whole)
    except UnicodeDecodeError:
        yield "caption_not_utf8"
        return
    if not text.strip():
        yield "empty_caption"


def trainer_warnings(
    checks: Mapping[str, Any], max_places: int
) -> Iterable[tuple[str, list[tuple[str, str]], int]]:
    """Yield title, places with a detail each, and count, from what Checks.as_json returned."""
    for kind, (noun, rest) in CHECKS.items():
        places = []
        for example in checks[kind]["examples"][:max_places]:
            places.append((example["path"], example.get("why", "")))
        count = checks[kind]["count"]
        yield f"{terminal.plural(count, noun)} {rest}", places, count
