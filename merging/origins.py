"""Where the images of a source came from, if an earlier merge made that source.

Its manifest says so. A plan names images by their paths in the sources given; the manifest that it
writes names the files behind them. So what is read is translated, and what is written back again.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from common import terminal
from common.errors import UserError
from common.name_forms import nfc
from common.topics import Stamp, Topic
from merging import manifest
from merging.manifest import CarriedFile, ManifestLine
from merging.target import sidecar_sources
from merging.transfer import Transfer, TransferMode


class TopicOrigins:
    """The origins of the images that come to one topic of a target."""

    def __init__(self, lines: Iterable[tuple[str, ManifestLine]] = ()) -> None:
        """Take the lines of manifests, each with the folder that its places are below."""
        self._origins: dict[str, ManifestLine] = {}  # by the path in the source
        self._paths: dict[str, str] = {}  # in the source, by origin: images, sidecars
        self._sidecar_origins: dict[str, str] = {}  # by the path in the source
        self._unplaced: list[tuple[str, ManifestLine]] = []  # with the path of their keepers
        self._read: set[tuple[str, Stamp]] = set()  # what lines of the target's manifest name
        for folder, line in lines:
            if line.target:
                self._add_image(os.path.join(folder, line.target), line)
            else:
                kept = os.path.join(folder, line.kept) if line.kept else ""
                self._unplaced.append((kept, line))

    def _add_image(self, path: str, line: ManifestLine) -> None:
        self._origins[path] = line
        self._paths[line.source] = path
        topic = os.path.dirname(path)
        carried = (*line.captions, *line.sidecars_of_copies)
        sidecars = [*sidecar_sources(line), *((each.name, each.source) for each in carried)]
        for name, source in sidecars:
            if name:
                sidecar = os.path.join(topic, name)
                self._sidecar_origins.setdefault(sidecar, source)
                self._paths.setdefault(source, sidecar)

    def origin_of(self, line: ManifestLine) -> str:
        """Return the file behind the image of a line, if its bytes are still those."""
        origin = self._origins.get(line.source)
        if origin is None:
            return line.source
        is_known = origin.stamp == line.stamp or (line.source, line.stamp) in self._read
        return origin.source if is_known else line.source

    def link_to_origins(
        self, transfers: Iterable[Transfer], lines: Iterable[ManifestLine]
    ) -> list[Transfer]:
        """Return the transfers with symlinks that lead to the files themselves."""
        origins = {line.source: self.origin_of(line) for line in lines if self._origins}
        direct = []
        for transfer in transfers:
            is_link = transfer.mode == TransferMode.SYMLINK
            source = origins.get(transfer.source, transfer.source) if is_link else transfer.source
            direct.append(replace(transfer, source=source))
        return direct

    def read_line(self, line: ManifestLine) -> ManifestLine:
        """Return a line of the target's manifest, with paths in the sources."""
        path = self._paths.get(line.source, line.source)
        if path != line.source:
            self._read.add((path, line.stamp))
        return _rename_carried(replace(line, source=path), self._paths)

    def lines_to_write(self, lines: Iterable[ManifestLine]) -> Iterator[ManifestLine]:
        """Yield the lines for the target's manifest, with origins.

        Images that the earlier merge left out follow those that it kept for them.
        """
        lines = list(lines)
        left_out = self._lines_left_out(lines)
        for line in lines:
            written = self._line_to_write(line)
            earlier = left_out.pop(written.source, None)
            yield written if written.target or not earlier else earlier
        yield from left_out.values()

    def _line_to_write(self, line: ManifestLine) -> ManifestLine:
        source = self.origin_of(line)
        written = _rename_carried(replace(line, source=source), self._sidecar_origins)
        is_renamed = line.target and line.target_name != os.path.basename(source)
        if is_renamed and source != line.source and line.action == manifest.COPIED:
            reason = line.reason or self._origins[line.source].reason
            written = replace(written, action=manifest.RENAMED, reason=reason)
        return written

    def _lines_left_out(self, lines: Iterable[ManifestLine]) -> dict[str, ManifestLine]:
        by_path = {line.source: line for line in lines} if self._unplaced else {}
        left_out = {}
        for kept, line in self._unplaced:
            keeper = by_path.get(kept)
            if keeper and keeper.target:
                line = replace(line, kept=keeper.target)
            elif keeper:  # it was left out itself, and so is what it was kept for
                why = (keeper.action, keeper.kept, keeper.reason)
                line = replace(line, action=why[0], kept=why[1], reason=why[2])
            left_out[line.source] = line
        return left_out


def _rename_carried(line: ManifestLine, paths: Mapping[str, str]) -> ManifestLine:
    def rename(carried: Iterable[CarriedFile]) -> tuple[CarriedFile, ...]:
        return tuple(replace(each, source=paths.get(each.source, each.source)) for each in carried)

    return replace(
        line,
        captions=rename(line.captions),
        sidecars_of_copies=rename(line.sidecars_of_copies),
    )


class Origins:
    """The manifests of those sources that an earlier merge made."""

    def __init__(self, topics: Sequence[Topic], warn: Callable[[str], None]) -> None:
        self._given = {topic.path for topic in topics}
        self._manifests: dict[str, dict[str, list[bytes]]] = {}  # by dataset, then by place
        for topic in {topic.dataset_path: topic for topic in topics}.values():
            dataset = topic.dataset_path
            try:
                by_place = manifest.read_manifest(dataset, topic.levels) or {}
            except UserError:
                path = terminal.escape(manifest.manifest_path(dataset))
                warn(f"{path}: not readable; its images count as the originals")
                continue
            for place, lines in by_place.items():
                self._manifests.setdefault(dataset, {}).setdefault(nfc(place), []).extend(lines)

    def of_topics(self, sources: Iterable[Topic]) -> TopicOrigins:
        """Return the origins of these topics' images. A source that is given, too, is no origin."""
        lines = []
        for source in sources:
            dataset = source.dataset_path
            for text in self._manifests.get(dataset, {}).get(nfc(source.place), ()):
                line = manifest.parse_line(text, source.levels)
                is_given = os.path.dirname(line.source) in self._given
                if line.action != manifest.SUPERSEDED and not is_given:
                    lines.append((dataset, line))
        return TopicOrigins(lines)
