"""The page of a merge, or of a dry run: what it brings to each topic, and what it leaves out."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from common import terminal
from common.reporter import Reporter
from merging.manifest import ManifestLine
from merging.plan import MergePlan, TopicPlan
from reports import outcome_page
from reports.outcome_page import Outcome, Pairing, Picture, PictureGroup, TopicOutcome

CARDS = {
    "found": "images found",
    "copied": "added to the target",
    "already_there": "already there",
    "duplicates": "copies left out",
    "variants": "variants left out",
    "references": "copies of references",
    "dropped": "dropped by you",
    "identical": "identical files left out",
    "unreadable": "unreadable",
}


def write_page(path: str, plan: MergePlan, result: Mapping[str, Any], reporter: Reporter) -> None:
    """Write the page to `path`. `result` is that of merging.summary."""
    would = "would go" if result["dry_run"] else "went"
    place_sources = {}
    for topic in plan.topics:
        place_sources.update({line.target: line.source for line in topic.lines if line.target})
    cards = []
    for name, label in CARDS.items():
        if result[name]:
            if name == "copied" and result["dry_run"]:
                label = "would be added to the target"
            cards.append((terminal.thousands(result[name]), label))
    outcome = Outcome(
        title=f"Merge into {os.path.basename(plan.target)}",
        lead=f"What {would} into each topic of {plan.target}, what is left out, and why.",
        cards=cards,
        pairings_title="Kept (outlined), beside the copies that are left out",
        topics=[_describe_topic(topic, plan.target, place_sources) for topic in plan.topics],
    )
    outcome_page.write_page(path, outcome, reporter)


def _describe_topic(
    topic: TopicPlan, target: str, place_sources: Mapping[str, str]
) -> TopicOutcome:
    folders = {source.path for source in topic.sources}
    coming: dict[str, Picture] = {}  # by their place in the target
    left_out: dict[str, list[Picture]] = {}  # by the place of what is kept instead
    others = []
    for line in topic.lines:
        if os.path.dirname(line.source) not in folders:
            continue
        picture = _picture(line)
        if line.target:
            coming[line.target] = picture
        elif line.kept:
            left_out.setdefault(line.kept, []).append(picture)
        else:
            others.append(picture)
    pairings = []
    for place, pictures in sorted(left_out.items()):
        keeper_path = place_sources.get(place, os.path.join(target, place))
        keeper = coming.get(place, Picture(keeper_path, place))
        pairings.append(Pairing(keeper, tuple(pictures)))
    alone = [picture for place, picture in coming.items() if place not in left_out]
    left_out_count = sum(map(len, left_out.values())) + len(others)
    summary = f"{len(coming):,} in · {left_out_count:,} left out"
    groups = [
        PictureGroup("Without copies", alone, len(alone)),
        PictureGroup("Left out", others, len(others)),
    ]
    return TopicOutcome(os.path.join(*topic.topic.parts[1:]), summary, pairings, groups)


def _picture(line: ManifestLine) -> Picture:
    return Picture(line.source, os.path.basename(line.source), line.reason)
