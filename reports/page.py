"""Write a result as one self-contained HTML page: no network, no other file, small enough to mail.

Knows Jinja2 and thumbnails, and nothing of datasets or scores. Every name on a page is escaped. As
a second defence, a Content-Security-Policy allows only the page's own script and embedded images.
"""

from __future__ import annotations

import base64
import hashlib
import io
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote

import jinja2
from markupsafe import Markup

from common import atomic_files, terminal
from common.cli import MAX_PIXELS, available_cores
from common.reporter import Reporter
from common.topics import MAX_LEVELS, Topic
from imaging import images

TEMPLATES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "templates")
MAX_PAGE_BYTES = 4_900_000
MIN_THUMBNAIL_BYTES = 3_000_000  # of a page, reserved for thumbnails if there is much text
MAX_ROWS = 20_000  # of a list at first; halved until the text leaves room for thumbnails
THUMBNAIL_BOX_PX = (240, 160)  # twice what a phone shows
WEBP_QUALITY = 66  # about 5 kB per thumbnail
THUMBNAILS_PER_CORE = 8  # made at a time

Context = Mapping[str, Any]


def write_page(
    path: str,
    template: str,
    context: Callable[[int], Context],
    wanted: Sequence[str],
    reporter: Reporter,
    max_pixels: int = MAX_PIXELS,
    scripts: Sequence[str] = ("controls.js", "page.js"),
    max_bytes: int | None = None,
) -> None:
    """Fill `template` with `context(max_rows)` and write it to `path`.

    No list in the context may be longer than `max_rows`. `wanted` are image paths, in the order in
    which they get thumbnails while there is room. The template finds the thumbnails by path in
    `thumbnails`, and how many are missing in `left_out`.
    """

    def render(max_rows: int, thumbnails: Mapping[str, str], left_out: int) -> bytes:
        content = context(max_rows)
        return render_page(template, content, thumbnails, left_out, scripts, page_folder)

    page_folder = os.path.dirname(os.path.abspath(path))
    max_bytes = max_bytes or MAX_PAGE_BYTES
    max_rows = MAX_ROWS
    max_text_bytes = max_bytes - (MIN_THUMBNAIL_BYTES if wanted else 0)
    while max_rows > 1 and len(render(max_rows, {}, 0)) > max_text_bytes:
        max_rows //= 2
    frames = dict.fromkeys(wanted, "data:")  # everything but the thumbnails themselves
    text_bytes = len(render(max_rows, frames, 0))
    thumbnails = make_thumbnails(wanted, max_bytes - text_bytes, max_pixels, reporter)
    left_out = len(set(wanted) - thumbnails.keys())
    content = render(max_rows, thumbnails, left_out)
    with atomic_files.atomic_write(path) as file:
        file.write(content)


def render_page(
    template: str,
    context: Context,
    thumbnails: Mapping[str, str],
    left_out: int,
    scripts: Sequence[str] = ("controls.js", "page.js"),
    page_folder: str = "",
) -> bytes:
    """Return the page as it is written, with the style and scripts of templates/ inside.

    `page_folder` is where it will be: its links to images start there.
    """
    loader = jinja2.FileSystemLoader(TEMPLATES)
    environment = jinja2.Environment(
        loader=loader,
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_escape_controls,
    )
    environment.filters |= {
        "share": terminal.format_percent,
        "size": terminal.format_bytes,
        "plural": terminal.plural,
        "number": terminal.thousands,
        "name": _last_part,
        "url": lambda path: image_url(path, page_folder),
    }
    source = "".join(loader.get_source(environment, script)[0] for script in scripts)
    # The page's policy runs a script with this digest and no other.
    digest = base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()
    text = environment.get_template(template).render(
        **context,
        thumbnails=thumbnails,
        left_out=left_out,
        script=Markup(source),
        script_hash=f"sha256-{digest}",
    )
    return text.encode()


def _escape_controls(value: object) -> object:
    """Escape control characters and bytes that are not UTF-8, as in a terminal."""
    if isinstance(value, str) and not hasattr(value, "__html__"):
        return terminal.escape(value)
    return value


def script_path(name: str) -> str:
    """Return the path of a script of this project, for the commands on a page."""
    return os.path.join(os.path.dirname(os.path.dirname(TEMPLATES)), name)


def level_option(topics: Sequence[Topic]) -> str:
    """Return the option, with a space before it, that the topics' datasets need; often empty."""
    levels = topics[0].levels
    return f" --levels {levels}" if levels < MAX_LEVELS else ""


def image_url(path: str, page_folder: str) -> str:
    """Return a relative URL if the image is below the page, because both may move together."""
    relative = os.path.relpath(path, page_folder)
    if relative.partition(os.sep)[0] == os.pardir:
        return f"file://{quote(os.fsencode(path))}"
    return quote(os.fsencode(relative))


def _last_part(label: str) -> str:
    return label.rpartition("/")[2] or label


def make_thumbnails(
    wanted: Sequence[str],
    max_bytes: int,
    max_pixels: int,
    reporter: Reporter,
    box: tuple[int, int] = THUMBNAIL_BOX_PX,
) -> dict[str, str]:
    """Return data URIs by image path, in the order wanted, until they exceed `max_bytes`.

    The URI of an unreadable image is ''. `box` is the largest width and height, pixels.
    """
    thumbnails: dict[str, str] = {}
    batch_size = THUMBNAILS_PER_CORE * available_cores()
    bytes_left = max_bytes

    def thumbnail(path: str) -> str:
        return thumbnails.get(path) or _make_thumbnail(path, max_pixels, box)

    with (
        reporter.progress(len(wanted), unit="thumbnail") as progress,
        ThreadPoolExecutor(available_cores()) as pool,
    ):
        for start in range(0, len(wanted), batch_size):
            paths = wanted[start : start + batch_size]
            batch = dict(zip(paths, pool.map(thumbnail, paths), strict=True))
            for path in paths:
                bytes_left -= len(batch[path])
                if bytes_left < 0:
                    return thumbnails
                thumbnails[path] = batch[path]
                progress.update()
    return thumbnails


def _make_thumbnail(path: str, max_pixels: int, box: tuple[int, int]) -> str:
    try:
        with images.decode_errors_as_unreadable(path):
            image, _ = images.open_image(path, max_pixels, draft=2 * max(box))
            image.thumbnail(box)
    except images.Unreadable:
        return ""
    file = io.BytesIO()
    image.save(file, "WEBP", quality=WEBP_QUALITY)
    return f"data:image/webp;base64,{base64.b64encode(file.getvalue()).decode()}"
