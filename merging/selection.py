"""Which images of one source go to the target, and which are dropped. Only reads."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from common.topics import Stamp
from keeping import decisions
from merging import manifest
from merging.exclusion import Excluder, Exclusion
from merging.source_records import SourceRecords
from merging.target import TargetTopic

DECIDED = f"you decided to drop it ({decisions.FILE_NAME})"


@dataclass(frozen=True)
class Selection:
    """The images of one source: which are dropped, and which come to the target."""

    stamps: Mapping[str, Stamp]  # of all of them, by name
    unreadable: Mapping[str, str]  # the reason of each
    exclusions: Mapping[str, Exclusion]
    dropped_in_target: Collection[str]  # a person dropped them after an earlier merge

    @property
    def images_to_merge(self) -> dict[str, Stamp]:
        """The images that come to the target, or have an identical one there."""
        dropped = {*self.unreadable, *self.exclusions}
        return {name: stamp for name, stamp in self.stamps.items() if name not in dropped}


def select_images(source: SourceRecords, target: TargetTopic, excluder: Excluder) -> Selection:
    """Select the images to merge. What an earlier merge brought is in the target, and stays."""
    topic, stamps = source.topic, source.stamps_now
    unreadable = excluder.find_unreadable(source, target)
    exclusions = {}
    for name, exclusion in excluder.find_exclusions(source, target, unreadable).items():
        if not target.has_image(topic.path_of(name), stamps[name]):
            exclusions[name] = exclusion
    dropped_in_target = []
    for name in sorted(decisions.decisions_for_topic(topic).drop & stamps.keys()):
        if target.has_image(topic.path_of(name), stamps[name]):
            dropped_in_target.append(name)
        elif name not in unreadable:
            exclusions[name] = Exclusion(manifest.DROPPED, "", DECIDED)
    return Selection(stamps, unreadable, exclusions, dropped_in_target)
