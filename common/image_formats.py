"""The image formats that the suite reads, one row each, and which other files a dataset has.

To add a format, add its row to KNOWN_FORMATS. Which files count as images, how they are opened, and
whether a name fits its content all follow from the table. Opens no file and does not load Pillow.

No output of a script may replace a file of a dataset: an image, a caption, or a record of ours.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Collection, Iterable
from dataclasses import dataclass

USUAL_BYTES_PER_PIXEL = 13  # of memory at the peak of decoding; most formats take 4 to 8


@dataclass(frozen=True)
class ImageFormat:
    """One format: its name, the endings of its files, and what Pillow needs to open them."""

    name: str  # Pillow's name of the format, and of its decoder
    endings: tuple[str, ...]  # of file names, lower case
    more_decoders: tuple[str, ...] = ()  # Pillow's decoders that open such files, too
    aliases: tuple[str, ...] = ()  # other names that Pillow gives to such content
    may_be_animated: bool = False
    bytes_per_pixel: int = USUAL_BYTES_PER_PIXEL  # of memory at the peak of decoding
    package: str = ""  # Pillow plugin; without it the format is not read
    register_function: str = ""  # in that package: makes Pillow use it

    @property
    def is_available(self) -> bool:
        return not self.package or importlib.util.find_spec(self.package) is not None


KNOWN_FORMATS = (
    # The second image in an MPO file is a preview: such a file is a JPEG, and not animated.
    ImageFormat("JPEG", (".jpg", ".jpeg", ".jpe", ".jfif"), aliases=("MPO",)),
    ImageFormat("PNG", (".png",), may_be_animated=True),
    ImageFormat("WEBP", (".webp",), may_be_animated=True, bytes_per_pixel=18),
    # A DIB is a bitmap without its file header.
    ImageFormat("BMP", (".bmp",), more_decoders=("DIB",), aliases=("DIB",)),
    ImageFormat("GIF", (".gif",), may_be_animated=True),
    ImageFormat("TIFF", (".tif", ".tiff"), may_be_animated=True),
    ImageFormat("AVIF", (".avif",), may_be_animated=True),
    ImageFormat(
        "HEIF",
        (".heic", ".heif"),
        package="pillow_heif",
        register_function="register_heif_opener",
    ),
)
FORMATS = tuple(row for row in KNOWN_FORMATS if row.is_available)
ENDINGS = tuple(ending for row in FORMATS for ending in row.endings)
# Pillow may use no other decoders: it would run Ghostscript on a PostScript file named .jpg.
DECODERS = tuple(decoder for row in FORMATS for decoder in (row.name, *row.more_decoders))

_BY_CONTENT = {name: row for row in FORMATS for name in (row.name, *row.aliases)}
# The usual spellings of endings are found without changing their case.
_USUAL_ENDINGS = frozenset(ENDINGS) | frozenset(map(str.upper, ENDINGS))

_AS_USUAL = "save {} as JPEG or PNG"
# Files that hold images and are not read, with what to do.
UNREAD_ENDINGS = {
    **dict.fromkeys((".heic", ".heif"), "pip install pillow-heif"),
    **dict.fromkeys((".jxl", ".jp2", ".j2k", ".psd", ".svg", ".tga", ".exr", ".hdr"), _AS_USUAL),
    **dict.fromkeys((".cr2", ".cr3", ".nef", ".arw", ".dng", ".raf", ".orf", ".rw2"), _AS_USUAL),
}
IMAGE_SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG\r\n", b"GIF8", b"II*\0", b"MM\0*")
SIGNATURE_BYTES = 12

CAPTION_SUFFIXES = (".txt", ".caption")  # if an image has both, the first one counts
RECORD_NAMES = {
    "aesthetic_data.json",
    "decisions.json",
    "duplicates_across.json",
    "merge_manifest.jsonl",
    "export_manifest.jsonl",
}
# Beside the image with exactly the stem before it: its sidecars, and no images.
MASK_ENDINGS = ("-masklabel.png", "_mask.png", "-condlabel.png")


def is_image_name(name: str) -> bool:
    """Tell whether a file of that name counts as an image; hidden files do not."""
    ending = name[name.rfind(".") :]
    is_known = ending in _USUAL_ENDINGS or ending.lower() in _USUAL_ENDINGS
    return is_known and name[0] != "." and not name.startswith("~$")


def unread_kind(name: str) -> str:
    """Return the ending of a file that holds an image, but of a format that is not read; or ""."""
    if name.startswith((".", "~$")):
        return ""
    ending = name[name.rfind(".") :].lower()
    return ending if ending in UNREAD_ENDINGS and ending not in _USUAL_ENDINGS else ""


def starts_like_image(start: bytes) -> bool:
    """Tell whether a file that starts like this is an image, whatever its name."""
    is_riff = start.startswith(b"RIFF") and start[8:12] == b"WEBP"
    return is_riff or start.startswith(IMAGE_SIGNATURES)


def format_of_content(pillow_name: str) -> ImageFormat:
    """Return the format of content that Pillow calls `pillow_name`, such as JPEG for MPO."""
    return _BY_CONTENT.get(pillow_name) or ImageFormat(pillow_name, ())


def dataset_file_kind(path: str) -> str:
    """Return what the file at `path`, or where a link there leads, is; empty if none of these.

    Judged by its name: an image, a record of these scripts, or a caption beside its image.
    """
    for candidate in dict.fromkeys((os.path.abspath(path), os.path.realpath(path))):
        folder, name = os.path.split(candidate)
        if is_image_name(name):
            return "an image"
        if _is_record(folder, name):
            return "a record of these scripts"
        if _is_caption(folder, name):
            return "the caption of an image"
    return ""


def _is_record(folder: str, name: str) -> bool:
    if name in RECORD_NAMES:
        return True
    if os.path.basename(folder) == ".cache":
        return name == "images.json" or name.endswith(".npz")
    kind, _, rest = name.partition("_")
    topic = rest.removesuffix(".json")
    is_named_so = kind in ("duplicates", "variants") and topic != rest
    return is_named_so and bool(topic) and os.path.isdir(os.path.join(folder, topic))


def _is_caption(folder: str, name: str) -> bool:
    """Tell whether a file is there, with an image of its stem beside it."""
    stem, suffix = os.path.splitext(name)
    if suffix.lower() not in CAPTION_SUFFIXES or not os.path.lexists(os.path.join(folder, name)):
        return False
    try:
        names = os.listdir(folder)
    except OSError:
        return False
    return any(
        is_image_name(other) and stem in (other, *os.path.splitext(other)) for other in names
    )


def masked_stem(name: str) -> str:
    """Return the stem of the image that a file of that name would be a mask of; else empty."""
    lower_name = name.lower()
    if lower_name.endswith(MASK_ENDINGS):
        for ending in MASK_ENDINGS:
            if lower_name.endswith(ending):
                return name[: -len(ending)]
    return ""


def find_masks(names: Iterable[str]) -> set[str]:
    """Return those of a folder's names that are masks of an image there, which is no mask."""
    names = list(names)
    candidates = [name for name in names if masked_stem(name) and is_image_name(name)]
    found: set[str] = set()
    if not candidates:
        return found
    others = set(names).difference(candidates)
    stems = {os.path.splitext(name)[0] for name in others if is_image_name(name)}
    for name in sorted(candidates, key=len):  # that of `x_mask` comes after the mask of `x`
        if masked_stem(name) in stems:
            found.add(name)
        else:
            stems.add(os.path.splitext(name)[0])
    return found


def drop_masks(names: Iterable[str], images: Collection[str]) -> list[str]:
    """Return the names that would be no masks beside these images, in their order."""
    names = list(names)
    if not any(map(masked_stem, names)):
        return names
    stems = {os.path.splitext(image)[0] for image in images}
    return [name for name in names if masked_stem(name) not in stems]
