"""Where topics go in the target: `Cluster/Subcluster/Topic`, and which of them join there."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace

from common import name_forms
from common.errors import UserError
from common.topics import Topic

EarlierLines = dict[str, list[bytes]]  # of the manifest, by topic


def join_forms(topics: Sequence[Topic], target: str, earlier: EarlierLines) -> dict[str, str]:
    """Return the place in the target for each place that is spelled in another Unicode form there.

    Topics of several datasets whose names differ in form alone join, in the folder that an
    `earlier` merge made for one of them.
    """
    places: dict[str, set[str]] = {}
    for topic in topics:
        places.setdefault(topic.dataset_path, set()).add(topic.place)
    present = [place for place in earlier if os.path.isdir(os.path.join(target, place))]
    return name_forms.join_places(places, present)


def group_by_place(topics: Sequence[Topic], joined: Mapping[str, str]) -> dict[str, list[Topic]]:
    """Group the topics by their place in the target."""
    groups: dict[str, list[Topic]] = {}
    for topic in topics:
        if not topic.has_whole_place:
            raise UserError(
                f"{topic.path}: its place in the target is unknown, because its path does not end "
                "in Cluster/Subcluster/Topic; move it into such folders"
            )
        groups.setdefault(joined.get(topic.place, topic.place), []).append(topic)
    return groups


def rename_places(earlier: EarlierLines, joined: Mapping[str, str]) -> EarlierLines:
    """Return the lines of earlier merges by the place that their topic has now.

    A line about a dropped image does not say how the target spells its topic.
    """
    renamed: EarlierLines = {}
    for place, lines in earlier.items():
        renamed.setdefault(joined.get(place, place), []).extend(lines)
    return renamed


def make_topic(target: str, place: str, sources: Sequence[Topic]) -> Topic:
    """Return the topic of the target that these sources join in."""
    *upper, name = place.split(os.sep)
    cluster, subcluster = [*upper, "", ""][:2]
    return replace(
        sources[0],
        path=os.path.join(target, place),
        dataset=os.path.basename(target),
        cluster=cluster,
        subcluster=subcluster,
        name=name,
        image_count=0,
    )
