"""The close look at two small pictures: one laid on the other as well as can be, then compared cell by cell.

Says what can be seen, in figures; what they mean is decided in duplicates/classification.py. Places are shares of a
picture's width and height, so that an affine map (2, 3) from places in `other` to places in `one` holds at any size.
Imports OpenCV inside its functions: it takes 18 MB, and most runs have nothing to look at.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

Array = np.ndarray[Any, np.dtype[Any]]
Map = Array  # (2, 3) in float64
Size = tuple[int, int]  # width and height

SIDE = 256  # pixels of the longer side on which pictures are compared, or what the smaller one has
CELL = 8  # pixels; colours and plain texture are compared in these
WINDOW = 2 * CELL  # crossed texture is compared in these: lines of text, bars and rules have none
IDENTITY = np.hstack([np.eye(2), np.zeros((2, 1))])
LUMA = np.array([0.299, 0.587, 0.114], np.float32)
MOVES = (
    (0, 0),
    (0, 1),
    (0, 2),
    (1, 0),
    (1, 2),
    (2, 0),
    (2, 1),
    (2, 2),
)  # of a cell by a pixel, down and across

TEXTURED = 4.0  # standard deviation of a cell's luminance from which it has a texture
CROSSED = 3.0  # the same of a window's crossed texture
GRAIN = 1.5  # in a noisy picture a texture counts from this multiple of the 10th percentile of crossed ones on,
GRAIN_MOST = 9.0  # and from this depth in any
AGREES = 0.6  # correlation of a cell or window that shows the same
DIFFERS = 0.5  # correlation below which it does not
BURNT, LOST = (
    250.0,
    0.4,
)  # levels from which a channel may have lost what it showed, and what a miss counts there
OFF = 28.0  # levels by which a cell's colour may miss where the map of colours takes it
HOPELESS = 0.3  # share of agreeing cells below which moving them by a pixel was never seen to help
PLAIN = 12  # windows below which there is little to see in a picture
TONES = 64  # grey levels are counted in so many bins, two neighbours together
OUTLIER = 15.0  # levels of difference at which a pixel's weight in the registration is halved
SIZES = 4  # in which a picture is kept, from one to its half
RIM = 0.06  # share of a picture's side that is looked at around it
FEW = 6  # windows of a quarter that say something of it
CORNER = (0.45, 0.2)  # shares of width and height in which a mark lies
STEP = 0.05  # what one registration step may move or stretch at most


@dataclass(frozen=True)
class Figures:
    """What was seen of two pictures, one of them laid on the other."""

    cells: int  # in the overlap
    fit: float  # where there are few windows: correlation of all cells with a texture, taken together; else 1
    textured: int  # cells with a texture in either picture
    alike: float  # share of them that agree
    windows: int  # with a crossed texture in either picture
    crossed: float  # share of them that agree
    bad: int  # cells that differ in texture or in colour
    torn: int  # of these, in texture
    clash: int  # of these, with a texture in both pictures
    under: float  # share of the windows of the plainer picture that agree
    cluster: int  # most of them in a square of 3 x 3
    blot: float  # share of windows that differ, in the quarter of the overlap where most do
    cornered: bool  # whether all that differs lies in one corner
    tone: float  # share of the commonest grey level, in the picture that has less of it
    colours: float  # cosine of the two pictures' colours around grey; 1 where one of them has none
    raw: float  # levels by which the colours of 95 % of the cells differ at most
    usual: float  # the same of half of the cells
    worst: float  # levels by which the colour of any cell misses where the map of colours takes it
    toned: float  # by which the luminance of 95 % of the cells differs at most
    shift: float  # share of width or height by which an edge of one picture misses that of the other at most
    overlap: tuple[float, float]  # share of the area of each picture that the other covers
    affine: Map


@dataclass(frozen=True)
class Surroundings:
    """What lies around the place that one picture has in another."""

    sides: int  # on which there is something
    seam: float  # how much more neighbours differ across the edge than within it, on the side where least
    textured: float  # share of what lies around that has a texture


def figures(
    one: Sheet, other: Sheet, affine: Map = IDENTITY, side: int = SIDE, rim: int = 0
) -> Figures:
    """What is seen with `one` laid on `other` by `affine`.

    So many cells along the edges as `rim` says are not looked at: a frame begins within them.
    """
    size = _grid(one, other, affine, side)
    left, right = (each.astype(np.float32) for each in (one.laid(size, affine), other.laid(size)))
    kept = _within(size, affine, CELL)
    if rim:
        kept[:rim] = kept[-rim:] = kept[:, :rim] = kept[:, -rim:] = False
    x, y = _luma(left), _luma(right)
    crossed_x, crossed_y = _crossed(x), _crossed(y)
    depths = np.stack([_spread(crossed_x, WINDOW), _spread(crossed_y, WINDOW)])
    grain = GRAIN * np.percentile(depths, 10, axis=(1, 2)).max()
    deep = _within(size, affine, WINDOW) & (depths >= np.clip(grain, CROSSED, GRAIN_MOST))
    windows = deep.any(0)
    crossed = _correlations(crossed_x, crossed_y, WINDOW, windows)
    rough = kept & (
        np.stack([_spread(x, CELL), _spread(y, CELL)]) >= np.clip(grain, TEXTURED, GRAIN_MOST)
    )
    textured = rough.any(0)
    same = _correlations(x, y, CELL, textured)
    a, b = _means(left, CELL), _means(right, CELL)
    missed = _missed(a, b, kept)
    torn = textured & (same < DIFFERS)
    bad = torn | (kept & (missed > OFF))
    raw, toned = np.abs(a - b).max(-1)[kept], np.abs(_luma(a) - _luma(b))[kept]
    return Figures(
        cells=int(kept.sum()),
        fit=_fit(x, y, textured) if windows.sum() < PLAIN and textured.any() else 1.0,
        textured=int(textured.sum()),
        alike=_share(same[textured] >= AGREES),
        windows=int(windows.sum()),
        crossed=_share(crossed[windows] >= AGREES),
        bad=int(bad.sum()),
        torn=int(torn.sum()),
        clash=int((torn & rough.all(0)).sum()),
        under=float((windows & (crossed >= AGREES)).sum() / max(1, deep.sum((1, 2)).min())),
        cluster=_crowd(bad),
        blot=_densest(windows & (crossed < DIFFERS), windows),
        cornered=_cornered(bad | np.kron(windows & (crossed < DIFFERS), np.ones((2, 2), bool))),
        tone=min(_commonest(x), _commonest(y)),
        colours=_same_colours(a[kept], b[kept]),
        raw=float(np.percentile(raw, 95)) if len(raw) else 255.0,
        usual=float(np.median(raw)) if len(raw) else 255.0,
        worst=float(missed[kept].max()) if kept.any() else 255.0,
        toned=float(np.percentile(toned, 95)) if len(toned) else 255.0,
        shift=float(np.abs(_corners(affine) - [[0, 1, 0, 1], [0, 0, 1, 1]]).max()),
        overlap=(covered(inverse(affine)), covered(affine)),
        affine=affine,
    )


def registered(one: Sheet, other: Sheet, affine: Map, side: int, steps: int) -> Map:
    """`affine` bettered on squares of `side` pixels: Gauss-Newton on luminance (Lucas and Kanade 1981).

    A gain and an offset are fitted along, and pixels that differ much count little.
    """
    size = (side, side)
    fixed = _luma(other.laid(size)).ravel().astype(np.float32)
    place = (np.arange(side, dtype=np.float32) + 0.5) / side
    across, down = (each.ravel() for each in np.meshgrid(place, place))
    best = affine
    for _ in range(steps):
        warped = _luma(one.laid(size, best)).astype(np.float32)
        slope_y, slope_x = (slope.ravel() * side for slope in np.gradient(warped))
        inside = _inside(size, best).ravel()
        columns = np.stack(
            [
                *(slope_x * across, slope_x * down, slope_x),
                *(slope_y * across, slope_y * down, slope_y),
                *(warped.ravel(), np.ones_like(across)),
            ]
        )[:, inside]
        target = fixed[inside]
        if len(target) < side:
            return best
        weight = np.ones_like(target)
        for _ in range(2):
            weighed = columns * weight
            normal = (weighed @ columns.T).astype(np.float64)
            normal[range(8), range(8)] += (
                1  # a picture that is black where the other lies says nothing
            )
            normal[range(6), range(6)] += 1e-3 * np.trace(normal[:6, :6]) / 6
            found = np.linalg.solve(normal, weighed @ target)
            weight = 1 / (1 + ((found.astype(np.float32) @ columns - target) / OUTLIER) ** 2)
        step = np.clip((found[:6] / max(found[6], 0.2)).reshape(2, 3), -STEP, STEP)
        best = _after(best, IDENTITY + step)
    return best


def agreement(one: Sheet, other: Sheet, affine: Map, side: int) -> float:
    """Correlation of the luminance of squares of `side` pixels, where `affine` shows something of `one`."""
    size = (side, side)
    seen = _inside(size, affine)
    x, y = (
        _luma(each)[seen].astype(np.float32) for each in (one.laid(size, affine), other.laid(size))
    )
    x, y = x - x.mean(), y - y.mean()
    return float((x * y).sum() / np.sqrt((x * x).sum() * (y * y).sum() + 1e-6))


def zoom(share: float) -> Map:
    """The map that shows the middle `share` of a picture."""
    return np.array([[share, 0, (1 - share) / 2], [0, share, (1 - share) / 2]])


def surroundings(one: Sheet, affine: Map) -> Surroundings:
    """What lies in `one` around the place of the other picture, which `affine` gives."""
    beyond = _after(affine, np.array([[1 + 2 * RIM, 0, -RIM], [0, 1 + 2 * RIM, -RIM]]))
    size = (192, 192)
    luminance, inside = _luma(one.laid(size, beyond).astype(np.float32)), _inside(size, beyond)
    edge, step = round(192 * RIM / (1 + 2 * RIM)), 3
    ratios, present = [], 0
    for turned in range(4):
        picture, there = np.rot90(luminance, turned), np.rot90(inside, turned)
        along = there[edge - step, edge:-edge]
        if along.mean() < 0.5:
            continue
        out, rim, deeper = (
            picture[edge + place, edge:-edge][along] for place in (-step, step, 3 * step)
        )
        ratios.append((np.abs(out - rim).mean() + 1) / (np.abs(rim - deeper).mean() + 2))
        present += 1
    whole = one.pixels[
        : one.pixels.shape[0] // CELL * CELL, : one.pixels.shape[1] // CELL * CELL
    ].astype(np.float32)
    around = _outside((whole.shape[1], whole.shape[0]), inverse(affine))
    spread = _spread(_luma(whole), CELL)
    return Surroundings(
        present, float(min(ratios, default=0.0)), _share(spread[around] >= TEXTURED)
    )


class Sheet:
    """A picture to be laid on another: uint8 RGB (height, width, 3), and what it is at other sizes, kept."""

    def __init__(self, pixels: Array) -> None:
        self.pixels = pixels
        self._sized: dict[Size, Array] = {}

    @property
    def size(self) -> Size:
        height, width = self.pixels.shape[:2]
        return width, height

    def laid(self, size: Size, affine: Map = IDENTITY) -> Array:
        """What `affine` shows of the picture on `size`, uint8; shrunk first, so that no detail turns into noise."""
        import cv2

        if affine is IDENTITY:
            return self._at(size)
        seen = np.linalg.norm(affine[:, :2], axis=1).clip(1e-3)
        wanted = size / 2 ** (np.round(np.log2(seen) * SIZES) / SIZES)
        width, height = np.minimum(wanted, self.size).round().astype(int).clip(1).tolist()
        source = self._at((width, height))
        centres = np.array(
            [[1 / size[0], 0, 0.5 / size[0]], [0, 1 / size[1], 0.5 / size[1]], [0, 0, 1]]
        )
        to_pixels = np.diag([width, height]) @ affine @ centres - [[0, 0, 0.5], [0, 0, 0.5]]
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        return cv2.warpAffine(source, to_pixels, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)

    def _at(self, size: Size) -> Array:
        if size == self.size:
            return self.pixels
        if size not in self._sized:
            self._sized[size] = np.asarray(
                Image.fromarray(self.pixels).resize(size, Image.Resampling.BILINEAR)
            )
        return self._sized[size]


def _grid(one: Sheet, other: Sheet, affine: Map, side: int) -> tuple[int, int]:
    """Width and height in whole windows: the shape of `other`, with no more pixels than either picture shows."""
    width, height = other.size
    shown = np.linalg.norm(affine[:, :2] * np.array(one.size)[:, None], axis=0).max()
    scale = min(side, shown, max(height, width)) / max(height, width)
    return max(1, round(width * scale / WINDOW)) * WINDOW, max(
        1, round(height * scale / WINDOW)
    ) * WINDOW


def _places(size: Size, affine: Map, across: Array, down: Array) -> Array:
    """Where `affine` goes from places given by columns and rows lies in the picture; bool (rows, columns)."""
    places = [
        row[0] * across / size[0] + row[1] * down[:, None] / size[1] + row[2] for row in affine
    ]
    inside: Array = np.logical_and.reduce(
        [(place >= -1e-9) & (place <= 1 + 1e-9) for place in places]
    )
    return inside


def _inside(size: Size, affine: Map) -> Array:
    """Where `affine` shows something of the picture; bool (height, width)."""
    return _places(size, affine, np.arange(size[0]) + 0.5, np.arange(size[1]) + 0.5)


def _within(size: Size, affine: Map, cell: int) -> Array:
    """Cells in which `affine` shows the picture everywhere: all corners do."""
    corner = _places(size, affine, np.arange(0, size[0] + 1, cell), np.arange(0, size[1] + 1, cell))
    return corner[1:, 1:] & corner[1:, :-1] & corner[:-1, 1:] & corner[:-1, :-1]


def _outside(size: Size, affine: Map) -> Array:
    """Cells in which `affine` shows nothing of the picture."""
    inside = _inside(size, affine).reshape(size[1] // CELL, CELL, size[0] // CELL, CELL)
    return np.logical_not(inside.any(axis=(1, 3)))


def _after(affine: Map, step: Map) -> Map:
    whole: Map = affine @ np.vstack([step, [0, 0, 1]])
    return whole


def inverse(affine: Map) -> Map:
    whole: Map = np.linalg.inv(np.vstack([affine, [0, 0, 1]]))[:2]
    return whole


def _corners(affine: Map) -> Array:
    """Where the corners of the unit square go, (2, 4)."""
    corners: Array = affine @ [[0, 1, 0, 1], [0, 0, 1, 1], [1, 1, 1, 1]]
    return corners


def covered(affine: Map) -> float:
    """Share of the unit square that `affine` takes into the unit square."""
    return float(_inside((32, 32), affine).mean())


def _luma(picture: Array) -> Array:
    import cv2

    return cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)


def _means(values: Array, cell: int) -> Array:
    """Of each square of `cell` pixels: (height, width, ...) in float32 to (rows, columns, ...)."""
    import cv2

    return cv2.resize(
        values, (values.shape[1] // cell, values.shape[0] // cell), interpolation=cv2.INTER_AREA
    )


def _spread(values: Array, cell: int) -> Array:
    """The standard deviation of each square of `cell` pixels."""
    mean = _means(values, cell)
    spread: Array = np.sqrt(np.maximum(_means(values * values, cell) - mean * mean, 0))
    return spread


def _crossed(values: Array) -> Array:
    """What is left in each window without the means of its rows and columns: nothing of lines, bars and rules."""
    height, width = values.shape
    windows = values.reshape(height // WINDOW, WINDOW, width // WINDOW, WINDOW)
    rows, columns = windows.mean(3, keepdims=True), windows.mean(1, keepdims=True)
    crossed: Array = windows - rows - columns + rows.mean(1, keepdims=True)
    return crossed.reshape(height, width)


def _correlations(one: Array, other: Array, cell: int, wanted: Array) -> Array:
    """Of each cell, the best where `other` is moved by up to a pixel; that is only tried where it may help."""
    means, spread = _means(one, cell), _spread(one, cell)
    products = _means(one * other, cell) - means * _means(other, cell)
    best: Array = products / np.maximum(spread * _spread(other, cell), 1)
    if not HOPELESS <= _share(best[wanted] >= AGREES) < 1:
        return best
    row, column = np.nonzero(wanted & (best < AGREES))
    still = np.lib.stride_tricks.sliding_window_view(one, (cell, cell))[row * cell, column * cell][
        :, None
    ]
    around = np.lib.stride_tricks.sliding_window_view(np.pad(other, 1, mode="edge"), (cell, cell))
    down, across = (np.array(each) for each in zip(*MOVES, strict=True))
    moved = around[row[:, None] * cell + down, column[:, None] * cell + across]
    mean = moved.mean((2, 3))
    products = np.einsum("kmij,knij->kn", still, moved) / cell**2 - means[row, column, None] * mean
    deviation = np.sqrt(np.maximum(np.einsum("knij,knij->kn", moved, moved) / cell**2 - mean**2, 0))
    found = products / np.maximum(spread[row, column, None] * deviation, 1)
    best[row, column] = np.maximum(best[row, column], found.max(1))
    return best


def _fit(one: Array, other: Array, wanted: Array) -> float:
    """The correlation of all wanted cells together, the best where `other` is moved by up to a pixel."""
    row, column = np.nonzero(np.kron(wanted, np.ones((CELL, CELL), bool)))
    still, around = one[row, column] - one[row, column].mean(), np.pad(other, 1, mode="edge")
    moved = np.stack([around[row + down, column + across] for down, across in ((1, 1), *MOVES)])
    moved -= moved.mean(1, keepdims=True)
    lengths = np.sqrt((still * still).sum() * (moved * moved).sum(1))
    return float((moved @ still / np.maximum(lengths, 1)).max())


def _missed(one: Array, other: Array, kept: Array) -> Array:
    """Levels by which each cell's colour misses where the best map of colours takes it, or the same colour.

    Maps lead from either picture to the other: what one of them has lost in its whitest white is no difference.
    """
    missed: Array = np.abs(one - other).max(-1)
    burnt = (np.stack([one, other]).max(0) >= BURNT).any(-1) & (
        np.stack([one, other]).min(0) < BURNT
    ).any(-1)
    if kept.sum() >= 20:
        rests = (_unexplained(one[kept], other[kept]), _unexplained(other[kept], one[kept]))
        missed[kept] = np.minimum(missed[kept], min(rests, key=np.mean))
    missed[burnt] *= LOST
    return missed


def _unexplained(one: Array, other: Array) -> Array:
    """What the best map of colours from (n, 3) to (n, 3) leaves: linear in them, quadratic in luminance, clipped.

    Outliers count little (least absolute values by reweighting).
    """
    columns = np.column_stack([one / 255, (one @ LUMA / 255) ** 2, np.ones(len(one))]).astype(
        np.float32
    )
    weight: Array = np.ones((len(one), 1), np.float32)
    for _ in range(4):
        weighed = columns * weight
        normal = weighed.T @ columns + 1e-4 * len(one) * np.eye(5)
        found = np.linalg.solve(normal, weighed.T @ other).astype(np.float32)
        rest: Array = np.abs((columns @ found).clip(0, 255) - other).max(1)
        weight = (1 / np.maximum(4, rest))[:, None]
    return rest


def _same_colours(one: Array, other: Array) -> float:
    """Cosine of the colours around grey; 1 where one picture has none to speak of."""
    a, b = one - (one @ LUMA)[:, None], other - (other @ LUMA)[:, None]
    lengths = float((a * a).sum()), float((b * b).sum())
    if min(lengths) < GREY**2 * max(1, len(a)):
        return 1.0
    return float((a * b).sum() / np.sqrt(lengths[0] * lengths[1]))


GREY = (
    6.0  # root of the squared distance from grey, in levels, below which a picture has no colours
)


def _commonest(luminance: Array) -> float:
    counts = np.bincount((luminance.ravel() * (TONES / 256)).astype(int), minlength=TONES + 1)
    return float((counts[1:] + counts[:-1]).max() / luminance.size)


def _crowd(bad: Array) -> int:
    """Most bad cells in a square of 3 x 3."""
    padded = np.pad(bad.astype(np.int32), 1)
    rows = padded[:-2] + padded[1:-1] + padded[2:]
    return int((rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:]).max())


def _densest(differs: Array, windows: Array) -> float:
    """The largest share of windows that differ among those of a rectangle of half the height and half the width."""
    half = (max(1, windows.shape[0] // 2), max(1, windows.shape[1] // 2))
    counts = [
        np.lib.stride_tricks.sliding_window_view(each, half).sum((2, 3))
        for each in (differs, windows)
    ]
    return float((counts[0] / np.maximum(counts[1], FEW)).max())


def _cornered(differs: Array) -> bool:
    """Whether all cells that differ lie in one of the four corners."""
    rows, columns = (np.flatnonzero(differs.any(axis)) for axis in (1, 0))
    if not len(rows):
        return True
    height, width = differs.shape
    vertical = rows[-1] < CORNER[1] * height or rows[0] >= (1 - CORNER[1]) * height - 1
    return bool(
        vertical and (columns[-1] < CORNER[0] * width or columns[0] >= (1 - CORNER[0]) * width - 1)
    )


def _share(found: Array) -> float:
    return float(found.mean()) if found.size else 1.0
