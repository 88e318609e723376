"""Which images are damaged: bytes that scorer or search could not decode, and no merge takes.

Each is recorded in `.cache/images.json` with the digest of its bytes, and believed only as long as
it has these. Only what is wrong with the bytes is damage: an image with too many pixels, without
permission, on a failing disk or of a format that is not read here may be sound. Needs only the
standard library.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Set
from dataclasses import dataclass

from common import cache, locks
from common.cache import Cache, FileRecord
from common.errors import UserError
from common.topics import FileStatus, Topic
from imaging import image_identity
from imaging.image_identity import ImageStamps

# How the reasons of imaging/decode_errors.py and imaging/images.py start that blame the bytes.
DAMAGE_STARTS = ("empty file", "not an image", "cut short", "damaged")
DECODER_REASON_START = "damaged or cut short ("  # the words of the decoder follow
# In words of decoders that lack something: the file may be sound.
DECODER_LIMIT_WORDS = ("support", "unknown", "available", "install", "implement", "memory", "large")
RECORD_FIELDS = 6  # of FileRecord.as_text(); the reason follows


@dataclass(frozen=True)
class Damage:
    """An image that could not be decoded: its bytes, and why."""

    record: FileRecord
    reason: str

    def as_text(self) -> str:
        """Return it as in images.json."""
        return f"{self.record.as_text()} {self.reason}"


def parse_damage(text: str) -> Damage:
    """Parse Damage.as_text(). Raises ValueError."""
    *fields, reason = str(text).split(" ", RECORD_FIELDS)
    return Damage(cache.parse_record(" ".join(fields)), reason)


def is_damage(reason: str) -> bool:
    """Tell whether an image that is unreadable for this reason has damaged bytes."""
    if reason.startswith(DECODER_REASON_START):
        return not any(word in reason.lower() for word in DECODER_LIMIT_WORDS)
    return reason.startswith(DAMAGE_STARTS)


def record_damage(
    topic: Topic, stamps: ImageStamps, tried: Set[str], reasons: Mapping[str, str]
) -> None:
    """Record which of the images that were just tried are damaged; the others stay as recorded.

    `reasons` has those of them that could not be decoded. Writes nothing if nothing is new,
    or if the topic cannot be written to.
    """
    if not tried:
        return
    names = [name for name, reason in reasons.items() if is_damage(reason)]
    if not names and tried.isdisjoint(cache.load_cache(topic).damaged):
        return
    with contextlib.suppress(UserError), locks.topic_lock(topic):
        known = cache.load_cache(topic).damaged
        texts = {name: text for name, text in known.items() if name not in tried}
        looks = image_identity.read_looks([topic.path_of(name) for name in names])
        records = stamps.make_records(zip(names, looks, strict=True))
        for name, record in records.items():
            texts[name] = Damage(record, reasons[name]).as_text()
        if texts != known:
            cache.update_cache(topic, damaged=texts)


def find_damaged(folder: str, statuses: Mapping[str, FileStatus], cached: Cache) -> dict[str, str]:
    """Return the images in a folder that are damaged, each with the reason.

    `statuses` are those of its images now. Reads only images with other times than recorded.
    """
    damages: dict[str, Damage] = {}
    for name, text in cached.damaged.items():
        with contextlib.suppress(ValueError):  # what is not understood is not believed
            damages[name] = parse_damage(text)
    if not damages:
        return {}
    records = {name: damage.record for name, damage in damages.items()}
    stamps = ImageStamps(folder, statuses, records)
    stamps.confirm()
    return {
        name: damage.reason
        for name, damage in damages.items()
        if stamps.get(name) == damage.record.stamp
    }
