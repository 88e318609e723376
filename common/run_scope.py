"""What a run works on: its topics, their images, and what the given folders were taken for.

A pattern of `--include` or `--exclude` is a glob on the path below the dataset, of an image, of its
topic or of a folder above that: `Animals` and `Animals/*` select every topic of that cluster,
`*/Night` every topic called Night, `*_edited.*` the images that are named so.

Nothing is written above a given folder, except into files that a dataset has already.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from common import terminal
from common.errors import UserError
from common.topics import LEVEL_NAMES, MAX_LEVELS, ImageSelection, Topic, matches_any


def select_topics(
    topics: Sequence[Topic], include: Sequence[str], exclude: Sequence[str], meant: str = ""
) -> list[Topic]:
    """Return the topics with images that a pattern of `include` matches, if any, and no `exclude`.

    A topic of which a run takes some images has them as its selection. Raises UserError if a
    pattern matches nothing, or if no image is left. `meant` is the option that may have been meant
    by `--exclude`.
    """
    for option, patterns in (("--include", include), ("--exclude", exclude)):
        for pattern in patterns:
            _check_pattern(option, pattern, topics, meant if option == "--exclude" else "")
    selected = []
    for topic in topics:
        is_excluded = _matches_folder(topic, exclude)
        is_included = not include or _matches_folder(topic, include)
        if not is_excluded and not (is_included and not exclude):
            selection = ImageSelection(() if is_included else tuple(include), tuple(exclude))
            topic = _select_images(topic, selection)
            is_included = is_included or topic.image_count > 0
        if is_included and not is_excluded:
            selected.append(topic)
    if not any(topic.image_count for topic in selected):
        raise UserError("--include and --exclude leave no image; widen or drop a pattern")
    return selected


def _select_images(topic: Topic, selection: ImageSelection) -> Topic:
    """Return the topic with its selection; without one if that has all of its images."""
    image_count = len(replace(topic, selection=selection).image_names())
    if image_count == topic.image_count:
        return topic
    return replace(topic, selection=selection, image_count=image_count)


def _matches_folder(topic: Topic, patterns: Sequence[str]) -> bool:
    """Tell whether a pattern matches the topic's place, or that of a folder above it."""
    place = topic.place
    while place:
        if matches_any(place, patterns):
            return True
        place = os.path.dirname(place)
    return False


def _matches_image(topic: Topic, pattern: str) -> bool:
    return any(
        matches_any(os.path.join(topic.place, name), [pattern]) for name in topic.image_names()
    )


def _check_pattern(option: str, pattern: str, topics: Sequence[Topic], meant: str) -> None:
    name = f"{option} {terminal.escape(pattern)}"
    meant = f"; did you mean {meant}?" if meant else ""
    if os.path.isdir(pattern):
        example = f"{os.path.basename(os.path.abspath(pattern))}/*"
        raise UserError(
            f"{name}: a folder, and no pattern for paths below the dataset, such as '{example}'"
            f"{meant}"
        )
    if any(_matches_folder(topic, [pattern]) or _matches_image(topic, pattern) for topic in topics):
        return
    anywhere = f"*/{pattern}"
    if not meant and any(_matches_image(topic, anywhere) for topic in topics):
        meant = f"; did you mean '{terminal.escape(anywhere)}'?"
    places = terminal.list_few(topic.place for topic in topics)
    raise UserError(f"{name}: matches no image, no topic and no folder above one ({places}){meant}")


def describe_partial_datasets(paths: Sequence[str], topics: Iterable[Topic]) -> Iterator[str]:
    """Yield a line for the given folders that are taken for less than a dataset.

    Folders of one dataset and level share a line.
    """
    folders_by_level: dict[tuple[str, int], list[str]] = {}
    for folder, dataset, level in _partial_folders(paths, topics):
        folders_by_level.setdefault((dataset, level), []).append(folder)
    for (dataset, level), folders in folders_by_level.items():
        names = terminal.list_few(_short_names(folders))
        name = LEVEL_NAMES[level]
        of_dataset = f" of dataset {terminal.escape(dataset)}" if dataset else ""
        if len(folders) == 1:
            line, subject = f"{names}: taken for a {name}{of_dataset}", "if it is a dataset of its"
        else:
            line = f"{names}: taken for {name}s{of_dataset}"
            subject = "if they are datasets of their"
        if level:
            yield f"{line}; {subject} own, add --levels {level}"
        else:
            parents = list(dict.fromkeys(map(os.path.dirname, folders)))
            verb, what = "is the dataset", "that"
            if len(parents) > 1:
                verb, what = "are the datasets", "them"
            given = terminal.list_few(parents)
            yield f"{line}; if {given} {verb}, give {what} with --levels 1"


def _short_names(folders: Sequence[str]) -> list[str]:
    """Return the names of the folders; if two are the same, with the folder above each."""
    names = [os.path.basename(folder) for folder in folders]
    if len(set(names)) < len(names):
        names = [os.path.join(*folder.split(os.sep)[-2:]) for folder in folders]
    return names


def _partial_folders(
    paths: Sequence[str], topics: Iterable[Topic]
) -> Iterator[tuple[str, str, int]]:
    """Yield the given folders that are below their dataset, with its name and their level."""
    given = dict.fromkeys(map(os.path.abspath, paths))
    done = set()
    for topic in topics:
        for level in range(topic.levels):
            folder = topic.folder_above(level)
            if folder in given and folder not in done:
                done.add(folder)
                yield folder, topic.dataset, level


def check_may_write(dataset: str, file_name: str, topics: Iterable[Topic], option: str) -> None:
    """Raise UserError if the dataset is above the given folders and has no such file yet."""
    if os.path.lexists(os.path.join(dataset, file_name)):
        return
    real_path = os.path.realpath(dataset)
    members = [topic for topic in topics if topic.dataset_path == dataset]
    for topic in members:
        for folder in topic.given_folders:
            if os.path.join(real_path, "").startswith(os.path.join(folder, "")):
                return
    folder = _find_given_folder(members[0])
    level = next(
        number for number in range(MAX_LEVELS + 1) if members[0].folder_above(number) == folder
    )
    if level:
        advice = f"add --levels {level} if it is a dataset of its own, or give {dataset}"
    else:
        advice = f"give {os.path.dirname(folder)} with --levels 1, or {dataset}"
    raise UserError(
        f"{option} would write {file_name} into {dataset}, above {folder}, "
        f"which is taken for a {LEVEL_NAMES[level]}; {advice}"
    )


def _find_given_folder(topic: Topic) -> str:
    """Return the given folder that the topic is, or is below; or the topic's."""
    for level in range(topic.levels):
        folder = topic.folder_above(level)
        if os.path.realpath(folder) in topic.given_folders:
            return folder
    return topic.path
