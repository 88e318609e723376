"""Which files of a topic belong together: images of one stem, and their sidecars.

Goes by names alone. The exact spelling of a stem counts first, then one that differs in Unicode
form alone.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from common import name_forms
from common.image_formats import masked_stem
from common.name_forms import casefold_nfc


@dataclass(frozen=True, slots=True)
class StemGroup:
    """The images of one topic that share a stem, and their sidecars."""

    stem: str
    images: list[str]  # names
    # what follows the stem in their names: ".txt", ".jpg.json"
    sidecars: list[str] = field(default_factory=list)
    # The names of sidecars whose stem differs in Unicode form, by what follows it.
    other_forms: dict[str, str] = field(default_factory=dict)

    def sidecar_name(self, suffix: str) -> str:
        return self.other_forms.get(suffix, self.stem + suffix)


def group_by_stem(
    images: Collection[str], others: Iterable[str]
) -> tuple[list[StemGroup], list[str]]:
    """Group a topic's files by stem, in the order of the images.

    Returns the groups, and those of the `others` that belong to no image. Images whose names differ
    only by case cannot stay together: they get groups of their own, with the same sidecars.
    """
    groups_by_stem: dict[str, list[StemGroup]] = {}
    for name in images:
        stem = stem_of(name)
        groups = groups_by_stem.setdefault(stem, [])
        group = _group_without(name, groups)
        if group is None:
            group = StemGroup(stem, [])
            if groups:
                group = replace(groups[0], images=[])
            groups.append(group)
        group.images.append(name)
    unmatched = []
    for name in others:
        image_stem = _image_stem_of(name, groups_by_stem, images)
        if image_stem is None:
            unmatched.append(name)
        else:
            groups_by_stem[image_stem][0].sidecars.append(name[len(image_stem) :])
    unmatched = _match_other_forms(unmatched, groups_by_stem)
    return [group for groups in groups_by_stem.values() for group in groups], unmatched


def only_images(groups: Iterable[StemGroup], names: Collection[str]) -> Iterator[StemGroup]:
    """Yield the groups with these images alone; groups that have none are left out."""
    for group in groups:
        images = [image for image in group.images if image in names]
        if images:
            yield replace(group, images=images)


def _match_other_forms(
    names: Sequence[str], groups_by_stem: Mapping[str, list[StemGroup]]
) -> list[str]:
    """Add sidecars whose stem differs from an image's in Unicode form alone; return the others."""
    if all(map(str.isascii, names)):
        return list(names)
    stems_by_form = name_forms.group_by_form(groups_by_stem)
    found: dict[tuple[str, str], list[str]] = {}
    for name in names:
        form = composed = name_forms.nfc(name)
        while (shorter := stem_of(form)) != form and shorter not in stems_by_form:
            form = shorter
        stems = stems_by_form.get(shorter, ())
        if len(stems) == 1:
            found.setdefault((stems[0], composed[len(shorter) :]), []).append(name)
    matched = set()
    for (stem, suffix), spellings in found.items():
        group = groups_by_stem[stem][0]
        if len(spellings) == 1 and suffix not in group.sidecars:
            group.sidecars.append(suffix)
            group.other_forms[suffix] = spellings[0]
            matched.add(spellings[0])
    return [name for name in names if name not in matched]


def _group_without(name: str, groups: Iterable[StemGroup]) -> StemGroup | None:
    """Return the first group that has no image of that name, whatever its case."""
    folded = casefold_nfc(name)
    for group in groups:
        if folded not in map(casefold_nfc, group.images):
            return group
    return None


def _image_stem_of(name: str, stems: Collection[str], images: Collection[str]) -> str | None:
    """Return the stem of the image that a file belongs to.

    With an image a.jpg it is `a` for a.txt, a.caption.txt, a.jpg.json and a_mask.png.
    """
    if (stem := masked_stem(name)) in stems:
        return stem
    stem = name
    while (shorter := stem_of(stem)) != stem:
        stem = shorter
        if stem in stems:
            return stem
        if stem in images:
            return stem_of(stem)
    return None


def stem_of(name: str) -> str:
    return os.path.splitext(name)[0]
