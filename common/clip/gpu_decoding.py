"""Decodes JPEGs on the GPU: worker processes only read them, and everything else is decoded there.

nvJPEG, through torchvision, decodes batches of baseline JPEGs. Progressive ones are left to the
workers, because nvJPEG takes 80 times longer for them; so is whatever is not a plain JPEG. nvJPEG
fills a cut file with grey without an error, so only files with an end marker are sent there.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from common.cache import Extent
from common.clip import preprocessing
from common.clip.preprocessing import Fit
from imaging import image_identity, images
from imaging.image_identity import Look

if TYPE_CHECKING:
    import torch

USUAL_JPEG_BYTES = 1 << 20  # of a photo, to tell whether shared memory is enough
JPEGS_PER_BATCH = 128  # decoded at once: more gains 15 % at most
CHUNKS_AHEAD = 64  # decoded, waiting for the model

# An image's extent and the digest of its bytes, or why it is unreadable.
Outcome = tuple[Extent, Look | None] | str
Decoded = tuple[Any, list[Outcome]]  # pixels of the readable images, an outcome per path


@dataclass(frozen=True)
class ReadJpeg:
    """A JPEG within the bytes of a chunk."""

    path: str
    start: int
    stop: int
    orientation: int
    extent: Extent
    look: Look | None


@dataclass(frozen=True)
class ReadChunk:
    """What a worker sends: few tensors, since each takes a file descriptor."""

    content: Any  # the bytes of all JPEGs; a tensor, or an array if shared memory is scarce
    fitted: Any  # pixels of the images that the worker decoded
    entries: Sequence[ReadJpeg | Outcome]  # per path: a JPEG, a decoded image, or a reason


class JpegReader:
    """The DataLoader's dataset: reads plain JPEGs, decodes other images. Its indices are paths."""

    shares_memory = True  # else a chunk goes to the parent through a pipe

    def __init__(self, fit: Fit, max_pixels: int) -> None:
        self.fit = fit
        self._max_pixels = max_pixels

    def __getitems__(self, paths: list[str]) -> ReadChunk:
        import torch

        content = bytearray()
        fitted = []
        entries: list[ReadJpeg | Outcome] = []
        for path in paths:
            before = image_identity.look_before(path)
            try:
                jpeg = self._read_for_gpu(path)
                if jpeg is None:
                    pixels, extent = self.decode(path)
                    fitted.append(pixels)
                    entries.append((extent, image_identity.look_after(path, before)))
                    continue
            except images.Unreadable as error:
                entries.append(str(error))
                continue
            start = len(content)
            content += jpeg.content
            extent = (jpeg.width, jpeg.height)
            look = image_identity.look_after(path, before)
            entries.append(ReadJpeg(path, start, len(content), jpeg.orientation, extent, look))
        empty = torch.empty(0, dtype=torch.uint8)
        read = torch.frombuffer(content, dtype=torch.uint8) if content else empty
        stacked = torch.stack(fitted) if fitted else empty
        if self.shares_memory:
            return ReadChunk(read, stacked, entries)
        return ReadChunk(read.numpy(), stacked.numpy(), entries)

    def decode(self, path: str) -> tuple[torch.Tensor, Extent]:
        """Decode and fit an image on the CPU. Raises Unreadable."""
        with images.decode_errors_as_unreadable(path):
            image, extent = images.open_image(path, self._max_pixels)
            return preprocessing.fit_image(image, self.fit), extent

    def _read_for_gpu(self, path: str) -> images.PlainJpeg | None:
        jpeg = images.read_plain_jpeg(path, self._max_pixels)
        if jpeg is None or jpeg.is_progressive:
            return None
        return jpeg if self.fit.can_shrink(jpeg.height, jpeg.width) else None


def decode_chunks(
    chunks: Iterator[ReadChunk], reader: JpegReader, device: torch.device
) -> Iterator[Decoded]:
    """Decode chunks on the device, in order, in a thread beside the model."""
    waiting: queue.Queue[Decoded | BaseException | None] = queue.Queue(CHUNKS_AHEAD)
    is_stopped = threading.Event()

    def enqueue(item: Decoded | BaseException | None) -> None:
        while not is_stopped.is_set():
            with contextlib.suppress(queue.Full):
                waiting.put(item, timeout=0.1)
                return

    def work() -> None:
        try:
            for decoded in _decode_on_stream(chunks, reader, device):
                enqueue(decoded)
                if is_stopped.is_set():
                    return
            enqueue(None)
        except BaseException as error:
            enqueue(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        while (item := waiting.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        is_stopped.set()
        thread.join()


def _decode_on_stream(
    chunks: Iterable[ReadChunk], reader: JpegReader, device: torch.device
) -> Iterator[Decoded]:
    """Decode on a stream of its own, so that the model goes on meanwhile."""
    import torch

    if device.type != "cuda":
        yield from _decode_in_batches(chunks, reader, device)
        return
    stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    with torch.cuda.stream(stream):
        for pixels, outcomes in _decode_in_batches(chunks, reader, device):
            stream.synchronize()
            yield pixels, outcomes


def _decode_in_batches(
    chunks: Iterable[ReadChunk], reader: JpegReader, device: torch.device
) -> Iterator[Decoded]:
    """Collect chunks until they hold enough JPEGs for a batch, decode it, yield the chunks."""
    collected: list[ReadChunk] = []
    count = 0
    for chunk in chunks:
        collected.append(chunk)
        count += sum(isinstance(entry, ReadJpeg) for entry in chunk.entries)
        if count >= JPEGS_PER_BATCH:
            yield from _decode_batch(collected, reader, device)
            collected = []
            count = 0
    yield from _decode_batch(collected, reader, device)


def _decode_batch(
    chunks: Sequence[ReadChunk], reader: JpegReader, device: torch.device
) -> Iterator[Decoded]:
    import torch

    contents = []
    for chunk in chunks:
        jpegs = [entry for entry in chunk.entries if isinstance(entry, ReadJpeg)]
        content = torch.as_tensor(chunk.content)
        contents += [content[jpeg.start : jpeg.stop] for jpeg in jpegs]
    decoded = iter(decode_jpegs(contents, device))
    for chunk in chunks:
        yield _assemble(chunk, decoded, reader, device)


def _assemble(
    chunk: ReadChunk,
    decoded: Iterator[torch.Tensor | None],
    reader: JpegReader,
    device: torch.device,
) -> Decoded:
    """Put the images of a chunk in order: fitted pixels on the device, and outcomes."""
    import torch

    pixels = []
    outcomes: list[Outcome] = []
    on_cpu = iter(torch.as_tensor(chunk.fitted).to(device))
    for entry in chunk.entries:
        if isinstance(entry, str):
            outcomes.append(entry)
            continue
        if not isinstance(entry, ReadJpeg):
            pixels.append(next(on_cpu))
            outcomes.append(entry)
            continue
        image = next(decoded)
        try:
            if image is None:
                fitted, extent = reader.decode(entry.path)
                pixels.append(fitted.to(device))
                outcomes.append((extent, entry.look))
                continue
        except images.Unreadable as error:
            outcomes.append(str(error))
            continue
        upright = preprocessing.turn_upright(image, entry.orientation)
        pixels.append(preprocessing.fit_pixels(upright, reader.fit))
        outcomes.append((entry.extent, entry.look))
    if not pixels:
        return torch.empty(0, dtype=torch.uint8), outcomes
    return torch.stack(pixels), outcomes


def decode_jpegs(
    contents: Sequence[torch.Tensor], device: torch.device
) -> list[torch.Tensor | None]:
    """Decode JPEGs to uint8 (3, height, width) on the device; None for each that is refused.

    One refused JPEG makes torchvision refuse a whole list, so the list is halved until it is found.
    """
    from torchvision.io import ImageReadMode, decode_jpeg

    if not contents:
        return []
    try:
        if device.type != "cuda":
            return [decode_jpeg(content, ImageReadMode.RGB) for content in contents]
        return list(decode_jpeg(list(contents), ImageReadMode.RGB, device=device))
    except RuntimeError as error:
        if "out of memory" in str(error):
            raise
    if len(contents) == 1:
        return [None]
    half = len(contents) // 2
    return [*decode_jpegs(contents[:half], device), *decode_jpegs(contents[half:], device)]
