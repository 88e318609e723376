"""The scores of a topic: read, written, and checked against the folder as it is now.

Needs only the standard library. The check goes by names. Whether an image is still the one that was
scored is the scorer's question: the stamps of a million images take longer than everything else.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from common import atomic_files, cache, json_files, name_forms
from common.atomic_files import Damaged
from common.cache import Cache, Extents, FileRecords, Provenance
from common.reporter import dump_json
from common.target_folder import TargetFolder
from common.topics import Topic

TINY_MODEL = "tiny"  # the embedded model
AESTHETICS = "aesthetics"  # what scores judge,
TECHNICAL = "technical quality"  # and what those of the embedded model judge
UNKNOWN_MAKER = "something not recorded"
DECIMALS = 4  # of a score in the file
MAX_SCORE = 1e6  # above 0 or below; heads give some tens at most

Value = TypeVar("Value")
ScoresRead = tuple[dict[str, float], Cache, str]  # see read_scores_with_provenance


@dataclass(frozen=True)
class TopicScores:
    """A topic's scores checked against its folder. The lists are sorted."""

    topic: Topic
    usable: Mapping[str, float]  # finite scores of images in the folder
    unscored: list[str]  # images that the file does not name
    unusable: list[str]  # images whose score is no number, or beyond MAX_SCORE
    vanished: list[str]  # in the file, not in the folder
    makers: Mapping[str, int]  # what made the usable scores, and how many of them
    judges: str  # what the scores mean; AESTHETICS if that is not recorded


def load_topic_scores(topic: Topic, scores_read: ScoresRead | None = None) -> TopicScores:
    """Read the topic's scores, unless `scores_read` has them, and check them. Raises Damaged."""
    entries = topic.entry_names()
    names_in_folder = entries - topic.masks_among(entries)
    if topic.selection:
        names_in_folder = set(filter(topic.selects, names_in_folder))
    scores, known, _ = scores_read or _read_named_as_now(
        topic, lambda: cache.load_score_provenance(topic)
    )
    usable = {}
    for name, score in scores.items():
        if name in names_in_folder and score == score:  # not NaN
            usable[name] = score
    provenance = known.scores if scores else None
    return TopicScores(
        topic,
        usable,
        unscored=sorted(filter(topic.holds_image, names_in_folder - scores.keys())),
        unusable=sorted(names_in_folder & scores.keys() - usable.keys()),
        vanished=sorted(filter(topic.selects, scores.keys() - entries)),
        makers=_count_makers(usable, provenance),
        judges=score_meaning(provenance.made_by) if provenance else AESTHETICS,
    )


def _count_makers(usable: Mapping[str, float], provenance: Provenance | None) -> Mapping[str, int]:
    recorded = len(usable.keys() & provenance.images.keys()) if provenance else 0
    makers = {UNKNOWN_MAKER: len(usable) - recorded}
    if provenance:
        maker = maker_in_words(provenance.made_by)
        makers[maker] = makers.get(maker, 0) + recorded
    return {maker: count for maker, count in makers.items() if count}


def score_meaning(made_by: Mapping[str, Any]) -> str:
    """Return what scores of this origin judge: AESTHETICS, TECHNICAL, or what is recorded."""
    default = TECHNICAL if made_by.get("model") == TINY_MODEL else AESTHETICS
    return str(made_by.get("judges") or default)


def maker_in_words(made_by: Mapping[str, Any]) -> str:
    """Describe what made scores. Two descriptions differ if the scores cannot be compared.

    Scores of different precision can be compared, so the precision is left out.
    """
    words = {key: str(made_by.get(key) or "") for key in ("model", "weights", "head", "decode")}
    description = words["model"] or "an unnamed model"
    if words["weights"]:
        description += f" ({words['weights']})"
    if words["head"]:
        description += f" + {words['head']}"
    if words["decode"] not in ("", "exact"):
        description += f", {words['decode']} decoding"
    return description


def precisions_of(made_by: Mapping[str, Any]) -> set[str]:
    """Return the precisions in which scores were made: `bf16+fp32` names two."""
    return set(filter(None, str(made_by.get("precision") or "").split("+")))


def read_scores(topic: Topic) -> dict[str, float]:
    """Read the topic's scores by image name; empty if it has no file.

    What is no number, or beyond MAX_SCORE, is read as NaN. Raises Damaged.
    """
    path = json_files.scores_path(topic)
    content = atomic_files.read_bytes(path, lambda: json_files.max_bytes_per_image(topic))
    scores = parse_scores(path, content)
    return _rename(scores, _match_names(topic, scores))


def parse_scores(path: str, content: bytes | None) -> dict[str, float]:
    data = json_files.parse_json(path, content, {})
    if not isinstance(data, dict):
        raise Damaged(path, "not a JSON object of scores")
    low, high = -MAX_SCORE, MAX_SCORE  # local names: a million scores go through here
    return {
        name: v if type(v) is float and low <= v <= high else _score(v) for name, v in data.items()
    }


def _score(value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return math.nan
    try:
        number = float(value)
    except OverflowError:  # an integer with hundreds of digits
        return math.nan
    return number if -MAX_SCORE <= number <= MAX_SCORE else math.nan


def scores_content(scores: Mapping[str, float]) -> bytes:
    rounded = {name: round(float(score), DECIMALS) for name, score in scores.items()}
    return dump_json(rounded).encode()


def read_scores_with_provenance(
    topic: Topic, warn: Callable[[str], None] | None = None
) -> ScoresRead:
    """Read the topic's scores as cache.read_with_provenance does. Raises Damaged."""
    return _read_named_as_now(topic, lambda: cache.load_cache(topic, warn))


def _read_named_as_now(topic: Topic, load: Callable[[], Cache]) -> ScoresRead:
    """Read scores and provenance, with names in the Unicode form that the folder has."""
    scores, known, digest = cache.read_with_provenance(topic, "scores", parse_scores, load)
    names = _match_names(topic, scores)
    if names and known.scores:
        images = _rename(known.scores.images, names)
        known = replace(known, scores=replace(known.scores, images=images))
    return _rename(scores, names), known, digest


def _match_names(topic: Topic, scores: Mapping[str, float]) -> dict[str, str]:
    """Match names in the file with images in the folder that differ in Unicode form alone."""
    if all(map(str.isascii, scores)):
        return {}
    return name_forms.match_forms(scores, topic.entry_names())


def _rename(values: Mapping[str, Value], names: Mapping[str, str]) -> dict[str, Value]:
    return {names.get(name, name): value for name, value in values.items()}


def write_scores_with_provenance(
    topic: Topic,
    scores: Mapping[str, float],
    provenance: Provenance | None,
    extents: Extents | None = None,
    target_folder: TargetFolder | None = None,
    records: FileRecords | None = None,
    originality: Mapping[str, str] | None = None,
) -> None:
    """Write the topic's scores as cache.write_with_provenance does. Raises UserError."""
    files = {"scores": (scores_content(scores), provenance)}
    cache.write_with_provenance(topic, files, extents, target_folder, records, originality)
