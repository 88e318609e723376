"""The captions of a source of a merge that do not come along as sidecars of their images."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass

from common import atomic_files
from common.topics import Topic
from merging import manifest
from merging.manifest import ManifestLine
from sidecars import caption_table, captions

TEXT_ENDING = ".txt"


@dataclass(frozen=True)
class Caption:
    """A caption that is not empty."""

    path: str
    line: str  # its text, with single spaces
    image: str = ""  # in a table of captions: the name of the image
    text: str = ""  # in such a table

    @property
    def source(self) -> str:
        """What the manifest calls it."""
        return f"{self.path}#{self.image}" if self.image else self.path

    @property
    def ending(self) -> str:
        return TEXT_ENDING if self.image else os.path.splitext(self.path)[1].lower()

    @property
    def digest(self) -> str:
        if self.image:
            return atomic_files.bytes_digest(self.text.encode())
        return atomic_files.file_digest(self.path)


def list_captions(
    source: Topic, lines: Iterable[ManifestLine]
) -> list[tuple[ManifestLine, Caption]]:
    """Return the source's images whose caption is no sidecar that comes along, with the caption.

    Those are images that were dropped for a copy or for the same bytes, and all that have theirs
    in a table.
    """
    actions = {manifest.DUPLICATE, manifest.IDENTICAL}
    if caption_table.read_table(source).texts:
        actions.update(manifest.IN_TARGET)
    wanted = {}
    for line in lines:
        is_placed = line.action in actions and (line.target or line.kept)
        if is_placed and os.path.dirname(line.source) == source.path:
            wanted[os.path.basename(line.source)] = line
    if not wanted:
        return []
    names, _ = captions.match_captions(source, source.image_names())
    texts = caption_table.read_texts(source, names)
    found = []
    for name, line in wanted.items():
        caption = None
        if name in texts:
            path, text = source.path_of(caption_table.FILE_NAME), texts[name]
            caption = Caption(path, " ".join(text.split()), name, text)
        elif name in names and line.action in (manifest.DUPLICATE, manifest.IDENTICAL):
            caption = read_caption(source.path_of(names[name]))
        if caption:
            found.append((line, caption))
    return found


def read_caption(path: str) -> Caption | None:
    """Read a caption; None if it is empty, too large or cannot be read."""
    try:
        content = captions.read_caption(path, captions.MAX_CAPTION_BYTES + 1)
    except OSError:
        return None
    text = captions.decode_caption(content)
    if text is None:  # of another encoding: its bytes stay as they are
        text = content.decode("utf-8", "surrogateescape")
    line = " ".join(text.split())
    if not line or len(content) > captions.MAX_CAPTION_BYTES:
        return None
    return Caption(path, line)
