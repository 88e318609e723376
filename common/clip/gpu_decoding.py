"""Decodes JPEGs on the GPU: worker processes read and check them, and decode all other images.

nvJPEG, through torchvision, decodes batches of baseline JPEGs. Progressive ones are left to the
workers, because nvJPEG takes 80 times longer for them; so is whatever is not a plain JPEG. nvJPEG
makes up the missing pixels of a cut file without an error, so workers send only complete ones.

A batch is decoded while the model is at work on the one before. Decoding in a thread of its own was
no faster: the two share the GPU.
"""

from __future__ import annotations

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
CHUNK_IMAGES = 32  # per message of a worker: a message costs the parent more than reading does
JPEGS_PER_BATCH = 256  # decoded before the model gets them
PIXEL_BYTES_PER_CALL = 1 << 30  # of JPEGs that are decoded at once, full size

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

    @property
    def pixel_bytes(self) -> int:
        """Bytes of its RGB pixels."""
        return 3 * self.extent[0] * self.extent[1]


@dataclass(frozen=True)
class ReadChunk:
    """What a worker sends: few tensors, since each takes a file descriptor."""

    content: Any  # the bytes of all JPEGs; a tensor, or an array if shared memory is scarce
    fitted: Any  # pixels of the images that the worker decoded
    entries: Sequence[ReadJpeg | Outcome]  # per path: a JPEG, a decoded image, or a reason

    @property
    def jpegs(self) -> list[ReadJpeg]:
        """Those that the device decodes, in order."""
        return [entry for entry in self.entries if isinstance(entry, ReadJpeg)]


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
    chunks: Iterable[ReadChunk], reader: JpegReader, device: torch.device
) -> Iterator[Decoded]:
    """Decode chunks on the device, in order: enough of them for a batch at a time."""
    collected: list[ReadChunk] = []
    count = 0
    for chunk in chunks:
        collected.append(chunk)
        count += len(chunk.jpegs)
        if count >= JPEGS_PER_BATCH:
            yield from _decode_batch(collected, reader, device)
            collected = []
            count = 0
    yield from _decode_batch(collected, reader, device)


def _decode_batch(
    chunks: Sequence[ReadChunk], reader: JpegReader, device: torch.device
) -> Iterator[Decoded]:
    fitted = _fit_jpegs(chunks, reader.fit, device)
    for chunk in chunks:
        yield _assemble(chunk, fitted, reader, device)


def _fit_jpegs(
    chunks: Sequence[ReadChunk], fit: Fit, device: torch.device
) -> Iterator[torch.Tensor | None]:
    """Decode the JPEGs of some chunks, in order, and fit them; None for each that is refused."""
    import torch

    waiting: list[ReadJpeg] = []
    contents: list[torch.Tensor] = []
    waiting_bytes = 0
    for chunk in chunks:
        content = torch.as_tensor(chunk.content)
        for jpeg in chunk.jpegs:
            if waiting and waiting_bytes + jpeg.pixel_bytes > PIXEL_BYTES_PER_CALL:
                yield from _fit_call(waiting, contents, fit, device)
                waiting, contents, waiting_bytes = [], [], 0
            waiting.append(jpeg)
            contents.append(content[jpeg.start : jpeg.stop])
            waiting_bytes += jpeg.pixel_bytes
    yield from _fit_call(waiting, contents, fit, device)


def _fit_call(
    jpegs: Sequence[ReadJpeg], contents: Sequence[torch.Tensor], fit: Fit, device: torch.device
) -> list[torch.Tensor | None]:
    decoded = decode_jpegs(contents, device)
    upright = [
        preprocessing.turn_upright(image, jpeg.orientation)
        for jpeg, image in zip(jpegs, decoded, strict=True)
        if image is not None
    ]
    fitted = iter(preprocessing.fit_batch(upright, fit) if upright else ())
    return [None if image is None else next(fitted) for image in decoded]


def _assemble(
    chunk: ReadChunk,
    fitted: Iterator[torch.Tensor | None],
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
        image = next(fitted)
        try:
            if image is None:
                image = reader.decode(entry.path)[0].to(device)
        except images.Unreadable as error:
            outcomes.append(str(error))
            continue
        pixels.append(image)
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
