"""A CLIP model at work: images decoded in parallel by torch's DataLoader, and batches through the image tower.

Knows paths and pixels; which images are wanted, and where vectors go, is the business of common/clip/embed.py.
"""

from __future__ import annotations

import argparse
import signal
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from common import images, signals
from common.cache import Extent
from common.clip import encoder
from common.clip.model import DRAFT_DECODE, Model
from common.errors import UserError, decoder_died_error
from common.reporter import Reporter

if TYPE_CHECKING:
    import torch

CHUNK_IMAGES = 8  # images a worker sends at once: a slow one holds up few others, and shared memory stays small
CHUNKS_AHEAD = 2  # chunks waiting per worker: enough to hide one slow file
MIN_WAITING_IMAGES = 64  # images waiting in all, at least: during a forward pass on the CPU nobody takes any, and decoding goes on
MAX_ASPECT_RATIO = 64  # a picture this many times longer than wide is cut to that before it is enlarged to the input's height


Part = tuple[
    Any, int, int
]  # pixels as `decoded` gave them, and the rows of them that are meant: from, and up to


class PendingVectors(Protocol):
    """Vectors on their way."""

    def result(self) -> Any:
        """Float32 array of shape (n, dim), rows of unit length; a row with NaN is an image the model failed on."""


class Engine:
    """A model ready to be loaded: its shape and weights file are known, its weights wait for the first image."""

    chunk = CHUNK_IMAGES
    depth = 1  # batches under way beside the one that is being made up, so that the device never waits for us
    where = ""  # to be shown with the progress: the machines, if there are more

    def __init__(self, model: Model, args: argparse.Namespace, talk: Reporter) -> None:
        """Find the device and the weights, downloading them if need be. Raises UserError."""
        self.model = model
        self.tower = encoder.load_tower_shape(model)
        self.device = encoder.resolve_device(args.device)
        self._file = encoder.find_weights_file(model)
        self._precision: str = args.precision
        self._workers: int = args.workers
        self._max_pixels: int = args.max_pixels
        self._talk = talk
        self.batch = (
            encoder.BATCH_SIZES.get(self.device.type, 32)
            if args.batch_size == "auto"
            else args.batch_size
        )
        self._encoder: encoder.Encoder | None = None

    @property
    def encoder(self) -> encoder.Encoder:
        if self._encoder is None:
            self._encoder = encoder.Encoder(
                self.model, self.tower, self._file, self.device, self._precision
            )
            self._talk.say(
                f"🧠 {self.model.name} ({self.model.weights}) in {self._encoder.precision} on {self.device}"
            )
        return self._encoder

    @property
    def precision(self) -> str:
        """The arithmetic of the vectors that have come."""
        return self.encoder.precision

    def decoded(self, chunks: Iterable[list[str]]) -> Iterator[tuple[Any, list[Extent | str]]]:
        """For each chunk of paths the pixels of the readable images, and for each path its extent or a reason.

        Pixels are uint8 of shape (n, height, width, 3), resized and cropped as the model wants them; to whoever takes
        them they are something to cut into parts for `encode`. Order is kept.
        """
        from torch.utils.data import DataLoader

        loader: Any = DataLoader(
            self._decoder,  # type: ignore[arg-type]
            batch_sampler=chunks,
            num_workers=self._workers,
            collate_fn=_identity,
            worker_init_fn=_init_worker,
            prefetch_factor=max(CHUNKS_AHEAD, MIN_WAITING_IMAGES // (CHUNK_IMAGES * self._workers))
            if self._workers
            else None,
            pin_memory=self.device.type == "cuda",
        )
        try:
            decoded = iter(loader)
            signal.signal(
                signal.SIGCHLD, signal.SIG_DFL
            )  # torch would raise anywhere at all when a process has died
            yield from decoded
        except RuntimeError as error:
            if "DataLoader worker" not in str(error):
                raise
            raise decoder_died_error() from None

    @property
    def _decoder(self) -> _Decoder:
        return _Decoder(
            self.tower.fit,
            2 * self.tower.size if self.model.decode == DRAFT_DECODE else None,
            self._max_pixels,
        )

    def encode(self, parts: Sequence[Part]) -> Sequence[PendingVectors]:
        """Start the forward pass of a batch, in halves and with smaller ones from then on where memory runs out."""
        import torch

        cut = [pixels[start:stop] for pixels, start, stop in parts]
        try:
            return [self.encoder.start(cut)]
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
        self._talk.warn(f"out of memory: going on with batches of {self.batch}")
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        return [*self.encode([(pixels, 0, half)]), *self.encode([(pixels, half, len(pixels))])]


def _is_out_of_memory(error: RuntimeError) -> bool:
    return "out of memory" in str(error) or "can't allocate memory" in str(error)


class _Decoder:
    """The DataLoader's dataset: takes paths for indices, so that nobody needs a list of all images."""

    def __init__(self, fit: Any, draft: int | None, max_pixels: int) -> None:
        self._fit, self._draft, self._max_pixels = fit, draft, max_pixels

    def __getitems__(self, paths: list[str]) -> tuple[torch.Tensor, list[Extent | str]]:
        import numpy as np
        import torch

        pixels = []
        outcomes: list[Extent | str] = []
        for path in paths:
            try:
                with images.decode_errors_as_unreadable(path):
                    image, extent = images.open_image(path, self._max_pixels, self._draft)
                    pixels.append(np.asarray(self._fit(_check_aspect_ratio(image))))
            except images.Unreadable as error:
                outcomes.append(str(error))
                continue
            outcomes.append(extent)
        return torch.from_numpy(np.stack(pixels)) if pixels else torch.empty(
            0, dtype=torch.uint8
        ), outcomes


def _check_aspect_ratio(image: Any) -> Any:
    """The middle of a picture of extreme shape: enlarging all of 4000x2 to a height of 224 would take 300 MB."""
    width, height = image.size
    limit = MAX_ASPECT_RATIO * min(width, height)
    if max(width, height) <= limit:
        return image
    left, top = max(0, (width - limit) // 2), max(0, (height - limit) // 2)
    return image.crop((left, top, min(width, left + limit), min(height, top + limit)))


def _identity(decoded: Any) -> Any:
    return decoded


def _init_worker(_worker: int) -> None:
    signals.become_worker()
