#!/usr/bin/env python3
"""Measures what one image takes: bytes of memory a pixel, as the growth of a process's peak, for
kinds of file that
cost more than a plain JPEG does.

    opened     the opener that all scripts share
    hashed     what find_duplicates.py does with an image first
    scored     what aesthetic_scorer.py does with it before the model

Each figure comes from a process of its own, that has met a small file of the kind before.

examples:
  benchmarks/memory.py                       24 megapixels, half a gigabyte each
  benchmarks/memory.py --megapixels 196 --only "float TIFF, turned"
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from common.cli import MAX_PIXELS  # noqa: E402
from duplicates import hash_rows  # noqa: E402
from imaging import exif, images  # noqa: E402

ORIENTATION, TURNED = 0x0112, 6
TILE = 512  # pixels a side, of a tiled TIFF
SMALL = 1024  # pixels a side of the file that a process meets first
ADAM7 = (
    (0, 0, 8, 8),
    (0, 4, 8, 8),
    (4, 0, 8, 4),
    (0, 2, 4, 4),
    (2, 0, 4, 2),
    (0, 1, 2, 2),
    (1, 0, 2, 1),
)
WAYS = ("opened", "hashed", "scored")


def main() -> None:
    args = parse_args()
    if args.measure:
        print(growth(*args.measure))
        return
    side = round((args.megapixels * 1e6) ** 0.5 / TILE) * TILE
    print(
        f"{'bytes a pixel, ' + format(side * side / 1e6, '.0f') + ' megapixels':36}"
        + "".join(f"{w:>9}" for w in WAYS)
    )
    with tempfile.TemporaryDirectory() as folder:
        for kind in [args.only] if args.only else KINDS:
            small, large = Path(folder, "small"), Path(folder, "large")
            KINDS[kind](small, SMALL)
            KINDS[kind](large, side)
            found = [measured(small, large, way) for way in WAYS]
            print(
                f"{kind:36}" + "".join(f"{grown / side / side:9.1f}" for grown in found), flush=True
            )


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--megapixels", type=float, default=24, help="default: %(default)s")
    parser.add_argument(
        "--only", choices=KINDS, metavar="KIND", help="one kind: " + "; ".join(KINDS)
    )
    parser.add_argument("--measure", nargs=3, help=argparse.SUPPRESS)
    return parser.parse_args()


def measured(small: Path, large: Path, way: str) -> int:
    command = [sys.executable, __file__, "--measure", str(small), str(large), way]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def growth(small: str, large: str, way: str) -> int:
    """Bytes by which the peak rises above what the process had before, when it meets the large
    file.
    """
    meet = meeting(way)
    meet(small)
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
    before = status("VmRSS")
    meet(large)
    return status("VmHWM") - before


def meeting(way: str) -> Callable[[str], object]:
    if way == "opened":
        return images.open_image
    if way == "hashed":
        return lambda path: good(hash_rows.read_hash_rows([path], MAX_PIXELS)[1].values())
    from torchvision.transforms import CenterCrop, Compose, InterpolationMode, Resize

    from common.clip.engine import ChunkDecoder

    decoder = ChunkDecoder(
        Compose([Resize(224, InterpolationMode.BICUBIC), CenterCrop(224)]), None, MAX_PIXELS
    )
    return lambda path: good(
        said for said in decoder.__getitems__([path])[1] if isinstance(said, str)
    )


def good(reasons: Iterable[str]) -> None:
    for reason in reasons:
        raise SystemExit(reason)


def status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name + ":"))


def plain(side: int) -> Image.Image:
    """A picture with a slope and some grain: neither flat nor slow to pack."""
    slope = Image.linear_gradient("L").resize((side, side))
    return Image.merge("RGB", (slope, slope.transpose(Image.Transpose.ROTATE_90), slope))


def turned() -> Image.Exif:
    exif = Image.Exif()
    exif[ORIENTATION] = TURNED
    return exif


def saved(kind: str, mode: str = "RGB", **options: object) -> Callable[[Path, int], None]:
    def save(path: Path, side: int) -> None:
        plain(side).convert(mode).save(path, kind, **options)

    return save


def float_tiff(path: Path, side: int) -> None:
    values = np.asarray(Image.linear_gradient("L").resize((side, side)), dtype=np.float32)
    Image.fromarray(values).save(path, "TIFF", exif=turned())


def deep_png(path: Path, side: int) -> None:
    values = np.asarray(Image.linear_gradient("L").resize((side, side)), dtype=np.uint16) * 257
    Image.fromarray(values).save(path, "PNG", compress_level=1)


def interlaced_png(path: Path, side: int) -> None:
    """Adam7, which Pillow reads and does not write: seven passes of ever more pixels, no
    filters.
    """
    pixels = np.asarray(plain(side))
    packer = zlib.compressobj(1)
    packed = b""
    for top, left, down, across in ADAM7:
        for row in pixels[top::down, left::across]:
            packed += packer.compress(b"\0" + row.tobytes())
    header = side.to_bytes(4) + side.to_bytes(4) + bytes([8, 2, 0, 0, 1])
    parts = (b"IHDR", header), (b"IDAT", packed + packer.flush()), (b"IEND", b"")
    path.write_bytes(exif.PNG_SIGNATURE + b"".join(map(chunk, *zip(*parts, strict=True))))


def chunk(name: bytes, content: bytes) -> bytes:
    return len(content).to_bytes(4) + name + content + zlib.crc32(name + content).to_bytes(4)


def tiled_tiff(path: Path, side: int) -> None:
    """Tiles packed with zlib: libtiff decodes them.

    Pillow reads such files and does not write them.
    """
    packed = list(tiles(np.asarray(plain(side))))
    starts = np.cumsum([8, *map(len, packed)])
    end, count = int(starts[-1]), len(packed)
    tags = {256: side, 257: side, 258: 8, 259: 8, 262: 2, 277: 3, 322: TILE, 323: TILE}
    lists = end + 2 + 12 * (len(tags) + 2) + 4
    entries = [(tag, 1, value) for tag, value in tags.items()]
    entries += [(324, count, lists), (325, count, lists + 4 * count)]
    with open(path, "wb") as file:
        file.write(
            b"II*\0"
            + end.to_bytes(4, "little")
            + b"".join(packed)
            + len(entries).to_bytes(2, "little")
        )
        for tag, number, value in entries:
            file.write(
                b"".join(
                    n.to_bytes(size, "little")
                    for n, size in ((tag, 2), (4, 2), (number, 4), (value, 4))
                )
            )
        file.write(
            bytes(4)
            + starts[:-1].astype("<u4").tobytes()
            + np.array([*map(len, packed)], "<u4").tobytes()
        )


def tiles(pixels: np.ndarray) -> Iterator[bytes]:
    for top in range(0, len(pixels), TILE):
        for left in range(0, pixels.shape[1], TILE):
            yield zlib.compress(pixels[top : top + TILE, left : left + TILE].tobytes(), 1)


KINDS: dict[str, Callable[[Path, int], None]] = {
    "JPEG": saved("JPEG"),
    "JPEG, turned": saved("JPEG", exif=turned()),
    "JPEG, progressive": saved("JPEG", progressive=True),
    "JPEG, CMYK, turned": saved("JPEG", "CMYK", exif=turned()),
    "PNG, transparent, turned": saved("PNG", "RGBA", exif=turned(), compress_level=1),
    "PNG, interlaced": interlaced_png,
    "PNG, 16-bit grey": deep_png,
    "TIFF, tiled": tiled_tiff,
    "TIFF, turned": saved("TIFF", exif=turned()),
    "float TIFF, turned": float_tiff,
    "WebP, turned": saved("WEBP", exif=turned(), quality=50, method=0),
    "WebP, lossless, transparent, turned": saved(
        "WEBP", "RGBA", exif=turned(), lossless=True, quality=0, method=0
    ),
}


if __name__ == "__main__":
    main()
