"""Which images of one source go to the target, and which are dropped. Only reads."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from common.topics import Stamp, Topic
from keeping import decisions
from merging import manifest
from merging.exclusion import Excluder, Exclusion
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


def select_images(source: Topic, target: TargetTopic, excluder: Excluder) -> Selection:
    """Select the images to merge. What an earlier merge brought is in the target, and stays."""
    stamps = source.image_stamps()
    unreadable = excluder.find_unreadable(source, target, stamps)
    exclusions = {}
    for name, exclusion in excluder.find_exclusions(source, target, stamps, unreadable).items():
        if not target.has_image(source.path_of(name), stamps[name]):
            exclusions[name] = exclusion
    dropped_in_target = []
    for name in sorted(decisions.decisions_for_topic(source).drop & stamps.keys()):
        if target.has_image(source.path_of(name), stamps[name]):
            dropped_in_target.append(name)
        elif name not in unreadable:
            exclusions[name] = Exclusion(manifest.DROPPED, "", DECIDED)
    return Selection(stamps, unreadable, exclusions, dropped_in_target)
