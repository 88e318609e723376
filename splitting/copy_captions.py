"""The captions of images whose own copies have none: that of a copy, so that no text is lost."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from common.json_files import COPY
from common.topics import Topic
from sidecars import caption_table, captions
from splitting.candidates import Split


@dataclass(frozen=True)
class TopicCaptions:
    """The captions of a topic's images, none of them empty, by image."""

    paths: Mapping[str, str] = field(default_factory=dict)  # of files
    texts: Mapping[str, str] = field(default_factory=dict)  # in a table


class CopyCaptions:
    """Finds captions of copies in the topics of a split. Reads each topic once."""

    def __init__(self, splits: Iterable[Split]) -> None:
        self._topics = {split.topic.path: split.topic for split in splits}
        self._read: dict[str, TopicCaptions] = {}

    def find(self, split: Split, name: str) -> tuple[str, str]:
        """Return the path of the caption of a copy, or its text in a table; both may be empty."""
        for path in _copies_best_first(split, name):
            folder, copy = os.path.split(path)
            if folder not in self._topics:
                continue
            of_topic = self._captions_in(self._topics[folder])
            if copy in of_topic.paths:
                return of_topic.paths[copy], ""
            if copy in of_topic.texts:
                return "", of_topic.texts[copy]
        return "", ""

    def _captions_in(self, topic: Topic) -> TopicCaptions:
        if topic.path not in self._read:
            names, _ = captions.match_captions(topic, topic.image_names())
            paths = {}
            for image, caption in names.items():
                if captions.has_text(topic.path_of(caption)):
                    paths[image] = topic.path_of(caption)
            texts = caption_table.read_texts(topic, paths)
            self._read[topic.path] = TopicCaptions(paths, texts)
        return self._read[topic.path]


def _copies_best_first(split: Split, name: str) -> Iterator[str]:
    """Yield the paths of copies: those left out for better ones in their order, then the others."""
    copies = {path for path, kind in split.related.get(name, {}).items() if kind == COPY}
    for left_out in split.left_out_copies:
        path = split.topic.path_of(left_out)
        if path in copies:
            copies.remove(path)
            yield path
    yield from sorted(copies)
