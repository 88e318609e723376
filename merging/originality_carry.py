"""Carries what was measured of copies into the target of a merge, so that it is not done again."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from common import json_files
from common.atomic_files import Damaged
from common.cache import Cache
from common.target_folder import TargetFolder
from common.topics import Stamp, Topic
from keeping import copy_traits, pair_records, pair_sections
from keeping.copy_traits import PairTraits
from keeping.pair_sections import NameTuple


@dataclass
class CarriedOriginality:
    """What the sources of a target topic measured of images that are in it now."""

    target_stamps: Mapping[str, Stamp] = field(default_factory=dict)
    known_texts: Mapping[str, str] = field(default_factory=dict)  # in the target's cache
    new_texts: dict[str, str] = field(default_factory=dict)  # for the target's cache
    pairs: dict[NameTuple, PairTraits] = field(default_factory=dict)

    @property
    def has_news(self) -> bool:
        """Whether the target lacks something. Pairs come with images that it lacks."""
        return bool(self.new_texts)

    def add_source(
        self, source: Topic, stamps: Mapping[str, Stamp], known: Cache, names: Mapping[str, str]
    ) -> None:
        """Add what a source measured. `names` are those in the target, by the names in the source.

        What was measured of a source's image is true of the same bytes in the target.
        """
        if not known.originality:
            return
        for name, target_name in names.items():
            traits = copy_traits.parse_image(known.originality.get(name), stamps[name])
            stamp = self.target_stamps.get(target_name)
            if traits and stamp and target_name not in self.known_texts:
                self.new_texts[target_name] = copy_traits.image_text(stamp, traits)
        for (first, second), pair in pair_records.read_topic_pairs(source, stamps).items():
            if first in names and second in names:
                target_first, target_second = names[first], names[second]
                if target_first > target_second:
                    target_first, target_second = target_second, target_first
                    pair = pair.swap()
                self.pairs[target_first, target_second] = pair

    def write_pairs(self, target: Topic, target_folder: TargetFolder) -> None:
        """Write what is new of pairs into a target topic. Hold its lock."""
        if not self.pairs or not self.has_news:
            return
        path = pair_sections.pairs_path(target)
        content: dict[str, Any] = {}
        with contextlib.suppress(Damaged):  # only what can be measured again
            content = dict(json_files.read_json(path, {}))
        pairs = {**self.pairs, **pair_records.read_topic_pairs(target, self.target_stamps)}
        content[copy_traits.PAIRS_KEY] = copy_traits.pairs_json(pairs, self.target_stamps)
        json_files.write_json(path, content, target_folder)
