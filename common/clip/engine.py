"""A CLIP model at work: DataLoader decodes images in parallel, batches go through the tower.

Knows paths and pixels only. Which images are wanted, and where vectors go, is up to
common/clip/embed.py.
"""

from __future__ import annotations

import argparse
import errno
import os
import signal
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from common import signals
from common.cache import Extent
from common.clip import encoder, gpu_decoding, preprocessing, weights, worker_limits
from common.clip.model import DRAFT_DECODE, GPU_DECODE, Model
from common.clip.preprocessing import Fit
from common.clip.tower_shape import load_tower_shape
from common.errors import UserError, decoder_died_error
from common.reporter import Reporter
from imaging import image_identity, images
from imaging.image_identity import Look

if TYPE_CHECKING:
    import torch

CHUNK_IMAGES = 8  # per message of a worker: a slow image holds up few others
CHUNKS_IN_PARENT = 8  # that batches under way may hold in shared memory
CHUNKS_AHEAD = 2  # waiting per worker: enough to hide one slow file
MIN_WAITING_IMAGES = 64  # in all, so that decoding goes on during a forward pass on the CPU

Part = tuple[Any, int, int]  # pixels as `decode_chunks` gave them, and which rows: from, up to

# What came of an image: its extent and the digest of its bytes, or why it is unreadable.
Outcome = tuple[Extent, Look | None] | str


class PendingVectors(Protocol):
    """Vectors on their way."""

    def result(self) -> Any:
        """Float32 array of shape (n, dim), rows of unit length.

        A row with NaN is an image that the model failed on.
        """


class Engine:
    """A model whose shape and weights file are known; its weights load with the first batch."""

    chunk = CHUNK_IMAGES
    depth = 1  # batches under way besides the one being filled, so that the device never waits
    where = ""  # shown with the progress: the machines, if there are more

    def __init__(self, model: Model, args: argparse.Namespace, reporter: Reporter) -> None:
        """Find the device and the weights; download them if need be. Raises UserError."""
        self.model = model
        self.shape = load_tower_shape(model)
        self.device = encoder.resolve_device(args.device)
        if model.decode == GPU_DECODE:
            if self.device.type != "cuda":
                raise UserError("--decode gpu: needs an NVIDIA GPU and --device cuda; leave it out")
            self.chunk = gpu_decoding.CHUNK_IMAGES
        self._file = weights.find_weights_file(model, for_scores=hasattr(args, "head"))
        self._precision: str = args.precision
        self._workers: int = args.workers
        self._max_pixels: int = args.max_pixels
        self._reporter = reporter
        self.batch: int = args.batch_size
        if args.batch_size == "auto":
            self.batch = encoder.BATCH_SIZES.get(self.device.type, encoder.BATCH_SIZES["cpu"])
        self._encoder: encoder.Encoder | None = None

    @property
    def encoder(self) -> encoder.Encoder:
        if self._encoder is None:
            self._encoder = encoder.Encoder(
                self.model, self.shape, self._file, self.device, self._precision
            )
            self._reporter.say(
                f"🧠 {self.model.name} ({self.model.weights}) in {self._encoder.precision} "
                f"on {self.device}"
            )
        return self._encoder

    @property
    def precision(self) -> str:
        """The arithmetic of the vectors that have arrived."""
        return self.encoder.precision

    def decode_chunks(self, chunks: Iterable[list[str]]) -> Iterator[tuple[Any, list[Outcome]]]:
        """Decode chunks of paths in parallel, in order.

        Yields, for each chunk, the pixels of its readable images and an outcome for each path.
        Pixels are uint8 of shape (n, height, width, 3), resized and cropped as the model wants
        them; callers only cut them into parts for `encode`.
        """
        if self.model.decode == GPU_DECODE:
            reader = gpu_decoding.JpegReader(self.shape.fit, self._max_pixels)
            read = self._start_workers(reader, chunks, gpu_decoding.USUAL_JPEG_BYTES)
            yield from gpu_decoding.decode_chunks(read, reader, self.device)
            return
        import torch

        decoder = self._make_decoder()
        for pixels, outcomes in self._start_workers(decoder, chunks, 3 * self.shape.size**2):
            yield torch.as_tensor(pixels), outcomes

    def _start_workers(
        self, dataset: Any, chunks: Iterable[list[str]], bytes_per_image: int
    ) -> Iterator[Any]:
        """Start the worker processes; what `dataset` makes of each chunk of paths, in order.

        Call it in the main thread; the result may be used in another one.
        """
        from torch.utils.data import DataLoader

        prefetch = None
        if self._workers:
            worker_limits.check_locks()  # torch would print a traceback of its own
            waiting = MIN_WAITING_IMAGES // (self.chunk * self._workers)
            prefetch = max(CHUNKS_AHEAD, waiting)
        waiting_chunks = self._workers * (prefetch or 0) + CHUNKS_IN_PARENT
        needed_bytes = waiting_chunks * self.chunk * bytes_per_image
        dataset.shares_memory = worker_limits.free_shared_memory_bytes() > 2 * needed_bytes
        loader: Any = DataLoader(
            dataset,
            batch_sampler=chunks,
            num_workers=self._workers,
            collate_fn=_identity,
            worker_init_fn=_init_worker,
            prefetch_factor=prefetch,
            pin_memory=self.device.type == "cuda" and self.model.decode != GPU_DECODE,
        )
        try:
            decoded = iter(loader)
        except (OSError, RuntimeError) as error:
            raise worker_limits.worker_start_error(error) from None
        # By torch's handler a dead process would raise anywhere in our code.
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        return _with_our_errors(decoded)

    def _make_decoder(self) -> ChunkDecoder:
        draft_side = 2 * self.shape.size if self.model.decode == DRAFT_DECODE else None
        return ChunkDecoder(self.shape.fit, draft_side, self._max_pixels)

    def encode(self, parts: Sequence[Part]) -> Sequence[PendingVectors]:
        """Start the forward pass of a batch.

        If memory runs out, the batch is split in halves and later batches are smaller.
        """
        import torch

        cut = [pixels[start:stop] for pixels, start, stop in parts]
        try:
            return [self.encoder.start_batch(cut)]
        except RuntimeError as error:
            if not _is_out_of_memory(error):
                raise
        pixels = torch.cat(cut)
        if len(pixels) == 1:
            raise UserError(
                f"--device {self.device}: not enough memory for a single image; try --device cpu"
            )
        half = len(pixels) // 2
        self.batch = min(self.batch, half)
        self._reporter.warn(f"out of memory: going on with batches of {self.batch}")
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        first = self.encode([(pixels, 0, half)])
        second = self.encode([(pixels, half, len(pixels))])
        return [*first, *second]


def _is_out_of_memory(error: RuntimeError) -> bool:
    return "out of memory" in str(error) or "can't allocate memory" in str(error)


def _with_our_errors(decoded: Iterator[Any]) -> Iterator[Any]:
    try:
        yield from decoded
    except RuntimeError as error:
        if "Too many open files" in str(error):
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE)) from None
        if "DataLoader worker" not in str(error):
            raise
        raise decoder_died_error() from None


class ChunkDecoder:
    """The DataLoader's dataset. Its indices are paths, so nobody needs a list of all images."""

    shares_memory = True  # else pixels are arrays, and go to the parent through a pipe

    def __init__(self, fit: Fit, draft_side: int | None, max_pixels: int) -> None:
        self._fit = fit
        self._draft_side = draft_side
        self._max_pixels = max_pixels

    def __getitems__(self, paths: list[str]) -> tuple[Any, list[Outcome]]:
        import torch

        pixels = []
        outcomes: list[Outcome] = []
        for path in paths:
            content, before = image_identity.read_small_jpeg(path)
            try:
                with images.decode_errors_as_unreadable(path):
                    fitted, extent = self._decode(path, content)
            except images.Unreadable as error:
                outcomes.append(str(error))
                continue
            pixels.append(fitted)
            outcomes.append((extent, image_identity.look_after(path, before, content)))
        stacked = torch.stack(pixels) if pixels else torch.empty(0, dtype=torch.uint8)
        return stacked if self.shares_memory else stacked.numpy(), outcomes

    def _decode(self, path: str, content: bytes | None) -> tuple[torch.Tensor, Extent]:
        """The fitted pixels of an image, and its width and height. Raises Unreadable."""
        image, extent = images.open_image(path, self._max_pixels, self._draft_side, content=content)
        if self._draft_side:
            return preprocessing.fit_image(image, self._fit, min_shrinking=1.0), extent
        return preprocessing.fit_image(image, self._fit), extent


def _identity(decoded: Any) -> Any:
    return decoded


def _init_worker(_worker: int) -> None:
    signals.become_worker()
