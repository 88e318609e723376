"""Which images of a source a merge cannot take, or leaves out because they are damaged."""

from __future__ import annotations

import os
from collections.abc import Mapping

from common.topics import Stamp, Topic
from imaging import damage
from merging.target import TargetTopic

NO_PERMISSION = "permission denied; make it readable (chmod +r) and merge again"


def find_unreadable(
    source: Topic, target: TargetTopic, stamps: Mapping[str, Stamp], takes_damaged: bool
) -> dict[str, str]:
    """Return the images that do not come to the target, each with the reason. Raises UserError.

    What an earlier merge brought is there, and stays.
    """
    damaged = {} if takes_damaged else damage.find_damaged(source)
    reasons = {}
    for name, stamp in stamps.items():
        path = source.path_of(name)
        reason = damaged.get(name) if is_readable(path) else NO_PERMISSION
        if reason and not target.has_image(path, stamp):
            reasons[name] = reason
    return reasons


def is_readable(path: str) -> bool:
    return os.access(path, os.R_OK, effective_ids=os.access in os.supports_effective_ids)
