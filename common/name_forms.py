"""Names that differ in Unicode form alone (NFC or NFD), as copying between systems makes them.

The exact spelling always counts first: only a name without an exact partner takes one that differs
in form, and only if there is exactly one.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Collection, Iterable, Mapping
from typing import Any


def nfc(name: str) -> str:
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def casefold_nfc(name: str) -> str:
    """Return the same text for names that some file systems take for the same."""
    return name.lower() if name.isascii() else unicodedata.normalize("NFC", name.casefold())


def group_by_form(names: Iterable[str]) -> dict[str, list[str]]:
    """Group the names that are not ASCII by their composed form."""
    groups: dict[str, list[str]] = {}
    for name in names:
        if not name.isascii():
            groups.setdefault(nfc(name), []).append(name)
    return groups


def match_forms(names: Collection[str], present: Collection[str]) -> dict[str, str]:
    """Match each name that is not present with the one that is and differs in form alone.

    `names` and `present` are sets, or dictionaries. What is in both is an exact pair. A name is
    left out if it has several such partners, or shares one with another name.
    """
    missing = group_by_form(name for name in names if name not in present)
    if not missing:
        return {}
    candidates = group_by_form(name for name in present if name not in names)
    matches = {}
    for form, spellings in missing.items():
        partners = candidates.get(form, ())
        if len(spellings) == len(partners) == 1:
            matches[spellings[0]] = partners[0]
    return matches


def match_paths(paths: Iterable[str], root: str) -> dict[str, str]:
    """Match paths below `root` that do not exist with those that do and differ in form alone."""
    names_by_folder: dict[str, set[str]] = {}
    for path in paths:
        if not path.isascii() and not os.path.isabs(path):
            names_by_folder.setdefault(os.path.dirname(path), set()).add(os.path.basename(path))
    matches = {}
    for folder, names in names_by_folder.items():
        place = _existing_place(folder, root)
        renamed = match_forms(names, _list_names(os.path.join(root, place)))
        for name in names:
            old, new = os.path.join(folder, name), os.path.join(place, renamed.get(name, name))
            if old != new:
                matches[old] = new
    return matches


def rename_all(data: Any, names: Mapping[str, str]) -> Any:
    """Return JSON data with each text that is a key of `names` replaced, wherever it is."""
    if isinstance(data, dict):
        return {names.get(key, key): rename_all(value, names) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [rename_all(value, names) for value in data]
    return names.get(data, data) if isinstance(data, str) else data


def _existing_place(folder: str, root: str) -> str:
    """Return the path of a folder below `root`, each part as it is spelled there."""
    place = ""
    for part in filter(None, folder.split(os.sep)):
        above = os.path.join(root, place)
        if not part.isascii() and not os.path.isdir(os.path.join(above, part)):
            part = match_forms({part}, _list_names(above)).get(part, part)
        place = os.path.join(place, part)
    return place


def _list_names(folder: str) -> set[str]:
    try:
        return set(os.listdir(folder))
    except OSError:
        return set()


def join_places(
    places_by_dataset: Mapping[str, Collection[str]], known: Collection[str]
) -> dict[str, str]:
    """Return, for each place that datasets spell in several forms, the spelling to use.

    That is one of the `known` ones if there is one, or the first. A dataset in which two places
    differ in form alone keeps them apart, and so do all others.
    """
    spellings = dict.fromkeys(place for places in places_by_dataset.values() for place in places)
    known_forms = group_by_form(known)
    joined = {}
    for form, group in group_by_form(spellings).items():
        counts = [len(set(group) & set(places)) for places in places_by_dataset.values()]
        several_known = len(known_forms.get(form, ())) > 1
        if max(counts) == 1 and not several_known:
            wanted = known_forms.get(form, group)[0]
            joined.update({place: wanted for place in group if place != wanted})
    return joined
