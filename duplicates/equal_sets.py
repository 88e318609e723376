"""Sets of images with the same bytes or pixels: one image of each is searched for all.

Small sets are listed pair by pair. Those of more than equal_images.MAX_LISTED_IMAGES images are a
star in the files (see keeping/equal_images.py), so that a thousand placeholders do not make a
million pairs.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
from collections.abc import Iterable, Mapping, Sequence

from common import cache
from common.clip.sidecar import Sidecar
from duplicates import full_pixels
from duplicates.classification import EQUAL, Verdict
from duplicates.pool import batches
from duplicates.proposers import TopicRows
from duplicates.verification import ImageOpener, ImagePair
from imaging.image_identity import ImageStamps
from keeping.equal_images import MAX_LISTED_IMAGES

HASH_ARRAYS = ("hashes", "thumbnails", "colours", "extents")  # the same if the pixels are
ROW_DIGEST_BYTES = 16
TASK_IMAGES = 16  # that a process digests in one go


class EqualGroups:
    """The images of a topic by the digest that they share; the first of each set is searched."""

    def __init__(self, digests: Mapping[str, str]) -> None:
        """`digests` of all images; empty if an image is alone."""
        by_digest: dict[str, list[str]] = {}
        for name, digest in sorted(digests.items()):
            if digest:
                by_digest.setdefault(digest, []).append(name)
        self._members = {names[0]: names for names in by_digest.values() if len(names) > 1}
        self.large_digests: dict[str, str] = {}  # of the images in large sets
        self._followers = set[str]()
        self._large_followers = set[str]()
        for names in self._members.values():
            self._followers.update(names[1:])
            if len(names) > MAX_LISTED_IMAGES:
                self._large_followers.update(names[1:])
                self.large_digests |= {name: digests[name] for name in names}

    def keep_searched(self, names: Iterable[str]) -> list[str]:
        """Return the images that are searched: all but the followers in a set."""
        return [name for name in names if name not in self._followers]

    def keep_listed(self, names: Iterable[str]) -> list[str]:
        """Return the images whose matches are listed: all but the followers in a large set."""
        return [name for name in names if name not in self._large_followers]

    def expand_pairs(self, pairs: Iterable[ImagePair]) -> list[ImagePair]:
        """Return pairs of searched images as pairs of all listed ones."""
        expanded = []
        for one, other in pairs:
            for pair in itertools.product(self._members_to_list(one), self._members_to_list(other)):
                expanded.append((min(pair), max(pair)))
        return sorted(expanded)

    def expand_verdicts(self, verdicts: Mapping[ImagePair, Verdict]) -> dict[ImagePair, Verdict]:
        """Return the verdicts on all listed pairs, given those on searched images."""
        expanded: dict[ImagePair, Verdict] = {}
        for pair, verdict in verdicts.items():
            expanded |= dict.fromkeys(self.expand_pairs([pair]), verdict)
        for first, names in self._members.items():
            if len(names) > MAX_LISTED_IMAGES:
                pairs: Iterable[ImagePair] = ((first, name) for name in names[1:])
            else:
                pairs = itertools.combinations(names, 2)
            expanded |= dict.fromkeys(pairs, EQUAL)
        return expanded

    def _members_to_list(self, first: str) -> list[str]:
        names = self._members.get(first, [first])
        return names if len(names) <= MAX_LISTED_IMAGES else [first]


def find_equal_images(images: TopicRows, opener: ImageOpener) -> EqualGroups:
    """Group the readable images by the digest of their bytes, and many by that of their pixels."""
    names = list(images.rows.valid_rows(images.stamps))
    digests = dict.fromkeys(names, "")
    if isinstance(images.stamps, ImageStamps):
        new = images.rows.new_records
        for name in names:
            digests[name] = new[name].digest if name in new else images.stamps.digest_of(name)
    for alike in _group_equal_rows(names, images.rows):
        by_bytes: dict[str, list[str]] = {}
        for name in alike:
            by_bytes.setdefault(digests[name] or name, []).append(name)
        if len(by_bytes) > 1:
            firsts = [same_bytes[0] for same_bytes in by_bytes.values()]
            by_pixels = _pixel_digests(images, firsts, opener)
            for same_bytes in by_bytes.values():
                if digest := by_pixels.get(same_bytes[0]):
                    digests |= dict.fromkeys(same_bytes, digest)
    return EqualGroups(digests)


def _group_equal_rows(names: Sequence[str], rows: Sidecar) -> list[list[str]]:
    """Return the large groups of images whose hash rows are equal; none of other rows."""
    if len(names) <= MAX_LISTED_IMAGES:
        return []
    arrays = rows.rows(names)
    if not all(key in arrays for key in HASH_ARRAYS):
        return []
    groups: dict[bytes, list[str]] = {}
    for row, name in enumerate(names):
        digest = hashlib.blake2b(digest_size=ROW_DIGEST_BYTES)
        for key in HASH_ARRAYS:
            digest.update(arrays[key][row].tobytes())
        groups.setdefault(digest.digest(), []).append(name)
    return [group for group in groups.values() if len(group) > MAX_LISTED_IMAGES]


def _pixel_digests(images: TopicRows, names: Sequence[str], opener: ImageOpener) -> dict[str, str]:
    """Return the digests of the pixels of images; decodes those that the cache does not know."""
    known = _read_pixel_digests(images)
    digests = {name: known[name] for name in names if name in known}
    unknown = [name for name in names if name not in known]
    tasks = []
    for batch in batches(unknown, TASK_IMAGES):
        tasks.append((batch, [images.topic.path_of(name) for name in batch]))
    read = functools.partial(full_pixels.pixel_digests, max_pixels=opener.max_pixels)
    for batch, answers in opener.pool.run(read, tasks):
        digests |= dict(zip(batch, answers, strict=True))
    return {name: digest for name, digest in digests.items() if digest}


def _read_pixel_digests(images: TopicRows) -> dict[str, str]:
    """Return the digests of pixels that the last search recorded of unchanged images."""
    last = cache.load_cache(images.topic).duplicates
    known = {}
    for name, digest in ((last and last.equal) or {}).items():
        is_unchanged = last and last.images.get(name) == images.stamps.get(name)
        if is_unchanged and digest.startswith(full_pixels.PREFIX):
            known[name] = digest
    return known
