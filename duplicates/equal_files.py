"""Image files with the same bytes, found by digest before any is decoded: only one of them is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass, field

from common.clip.sidecar import Sidecar
from imaging import image_identity
from imaging.image_identity import ImageStamps, Look


@dataclass(frozen=True)
class EqualFiles:
    """Files that get the row of another file with the same bytes."""

    digests: dict[str, str] = field(default_factory=dict)
    followers: dict[str, list[str]] = field(default_factory=dict)  # by the file that is decoded

    def followers_of(self, name: str, look: Look | None) -> list[str]:
        """Return the files with the bytes of one that was decoded; none if it changed meanwhile."""
        if look and look.digest == self.digests.get(name):
            return self.followers.get(name, [])
        return []


def find_equal_files(stamps: ImageStamps, missing: Sequence[str], rows: Sidecar) -> EqualFiles:
    """Digest the missing images that have the size of another one, and that one.

    Those with the bytes of an image with a row get that row at once. `missing` are the images
    without a row. New digests are added to the records of `rows`.
    """
    if not missing:
        return EqualFiles()
    same_size = _same_size(stamps, missing)
    equal = EqualFiles({name: stamps.digest_of(name) for name in same_size})
    unknown = [name for name in same_size if not equal.digests[name]]
    looks = image_identity.read_looks([stamps.path_of(name) for name in unknown])
    rows.new_records |= stamps.make_records(zip(unknown, looks, strict=True))
    for name, look in zip(unknown, looks, strict=True):
        equal.digests[name] = look.digest if look else ""
    wanted = set(missing)
    first_by_digest: dict[str, str] = {}
    for name in sorted(same_size, key=lambda name: (name in wanted, name)):
        first = name
        if digest := equal.digests[name]:
            first = first_by_digest.setdefault(digest, name)
        if name in wanted and first != name:
            equal.followers.setdefault(first, []).append(name)
    _copy_known_rows(equal, wanted, stamps, rows)
    return equal


def _same_size(stamps: ImageStamps, missing: Iterable[str]) -> list[str]:
    """Return the missing images that share their size with another one, and that one."""
    by_size: dict[int, list[str]] = {}
    for name, (size, _) in stamps.items():
        by_size.setdefault(size, []).append(name)
    same_size = []
    for size in {stamps[name][0] for name in missing}:
        if len(by_size[size]) > 1:
            same_size += by_size[size]
    return sorted(same_size)


def _copy_known_rows(
    equal: EqualFiles, missing: Set[str], stamps: ImageStamps, rows: Sidecar
) -> None:
    """Give the followers of images that have a row that row."""
    followers, sources = [], []
    for first in sorted(equal.followers.keys() - missing):
        names = equal.followers.pop(first)
        followers += names
        sources += [first] * len(names)
    if followers:
        stamps_of_followers = [stamps[name] for name in followers]
        rows.add(followers, stamps_of_followers, **rows.rows(sources))
