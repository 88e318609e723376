"""Measurements of two small images, one of them laid on the other and compared cell by cell.

What the numbers mean is decided by duplicates/copy_rules.py and variant_rules.py. Two kinds of
detail are compared:

- texture: luminance in cells of 8 x 8 pixels;
- structure: what is left of it in windows of 16 x 16 pixels without the means of their rows and
  columns. Lines of text, bars and frames have none.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from duplicates import cells, colours, geometry
from duplicates.geometry import IDENTITY, Affine, Array, Size
from duplicates.raster import Raster
from duplicates.thresholds import THRESHOLDS, Thresholds

COMPARED_SIDE = 256  # pixels of the longer side, or what the smaller image has
CELL = 8  # pixels
WINDOW = 2 * CELL
NOISE_PERCENTILE = 10  # of the windows' structure: even plain ones of a noisy image have it
NOTHING_COMPARED_LEVELS = 255.0  # of difference, if no cell could be compared


@dataclass(frozen=True)
class Measurements:
    """What two images have in common. Shares are 0 to 1, levels 0 to 255; see the module."""

    compared_cells: int  # in the area that both images cover
    textured_cells: int  # with a texture in either image
    texture_agreement: float  # share of them that agree
    structured_windows: int  # with a structure in either image
    structure_agreement: float  # share of them that agree
    differing_cells: int  # in texture or in colour
    plainer_side_agreement: float  # share of the windows of the image with fewer that agree
    block_differing_cells: int  # in the square of 3 x 3 cells with most
    quadrant_difference: float  # share of differing windows in the quarter with most
    differs_in_one_corner: bool  # whether all differences are in one corner
    flat_tone_share: float  # of the most frequent luminance, in the image that has less of it
    colour_cosine: float  # of the colours around grey; 1 if one image has none
    colour_p95_levels: float  # 95th percentile of the cells' colour differences
    colour_median_levels: float
    colour_residual_levels: float  # of the worst cell, after fitting a map of colours
    luma_p95_levels: float  # 95th percentile of the cells' luminance differences
    edge_shift: float  # share of a side by which an edge is off, at most
    overlap: tuple[float, float]  # share of the area of each image that the other covers
    affine: Affine  # from places in the other image to places in the first

    @property
    def agreement(self) -> float:
        """The smaller of the two shares of texture and structure that agree."""
        return min(self.texture_agreement, self.structure_agreement)


@dataclass(frozen=True)
class _Structure:
    """Windows of two images, compared; masks have one entry per window."""

    present: Array  # in either image
    agrees: Array
    differs: Array
    plainer_windows: int  # in the image that has fewer
    noise_levels: float


@dataclass(frozen=True)
class _Texture:
    """Cells of two images, compared; masks have one entry per cell."""

    present: Array  # in either image
    agrees: Array
    differs: Array


@dataclass(frozen=True)
class _Colour:
    """Mean colours of two images' cells, compared; only of the cells that are kept."""

    p95_levels: float
    median_levels: float
    luma_p95_levels: float
    worst_residual_levels: float
    cosine: float
    differs: Array  # mask, one entry per cell


@dataclass(frozen=True)
class _Comparison:
    """Two images, compared at one size."""

    luma: tuple[Array, Array]
    kept: Array  # mask of the cells that count
    structure: _Structure
    texture: _Texture
    colour: _Colour


def measure(
    one: Raster,
    other: Raster,
    affine: Affine = IDENTITY,
    side: int = COMPARED_SIDE,
    rim_cells: int = 0,
    limits: Thresholds = THRESHOLDS,
) -> Measurements:
    """Measure what is seen with `one` laid on `other` by `affine`, at `side` pixels at most.

    `rim_cells` along each edge are left out: a frame begins within them.
    """
    size = _comparison_size(one, other, affine, side)
    left = one.warp(size, affine).astype(np.float32)
    right = other.warp(size).astype(np.float32)
    left_luma = colours.luma(left)
    right_luma = colours.luma(right)
    kept = geometry.cells_inside(size, affine, CELL)
    if rim_cells:
        kept[:rim_cells] = kept[-rim_cells:] = False
        kept[:, :rim_cells] = kept[:, -rim_cells:] = False
    whole_windows = geometry.cells_inside(size, affine, WINDOW)
    structure = _compare_structure(left_luma, right_luma, whole_windows, limits)
    texture = _compare_texture(left_luma, right_luma, kept, structure.noise_levels, limits)
    colour = _compare_colour(left, right, kept, limits)
    compared = _Comparison((left_luma, right_luma), kept, structure, texture, colour)
    return _summarize(compared, affine, limits)


def _comparison_size(one: Raster, other: Raster, affine: Affine, side: int) -> Size:
    """Return the size to compare at, in whole windows.

    It has the shape of `other`, and no more pixels than either image has of what is shown.
    """
    width, height = other.size
    longer = max(width, height)
    shown = np.linalg.norm(affine[:, :2] * np.array(one.size)[:, None], axis=0).max()
    scale = min(side, shown, longer) / longer
    columns = max(1, round(width * scale / WINDOW))
    rows = max(1, round(height * scale / WINDOW))
    return columns * WINDOW, rows * WINDOW


def _compare_structure(left: Array, right: Array, whole: Array, limits: Thresholds) -> _Structure:
    """Compare the structure of windows; `whole` is a mask of those in both images."""
    left = cells.remove_row_and_column_means(left, WINDOW)
    right = cells.remove_row_and_column_means(right, WINDOW)
    levels = np.stack([cells.cell_deviations(left, WINDOW), cells.cell_deviations(right, WINDOW)])
    noise_levels = limits.noise_ratio * np.percentile(levels, NOISE_PERCENTILE, axis=(1, 2)).max()
    enough = np.clip(noise_levels, limits.min_structure_levels, limits.max_noise_levels)
    structured = whole & (levels >= enough)
    present = structured.any(0)
    correlations = cells.cell_correlations(left, right, WINDOW, present, limits)
    return _Structure(
        present=present,
        agrees=present & (correlations >= limits.min_agreeing_correlation),
        differs=present & (correlations < limits.max_differing_correlation),
        plainer_windows=int(structured.sum((1, 2)).min()),
        noise_levels=noise_levels,
    )


def _compare_texture(
    left: Array, right: Array, kept: Array, noise_levels: float, limits: Thresholds
) -> _Texture:
    """Compare the texture of the cells that are kept."""
    levels = np.stack([cells.cell_deviations(left, CELL), cells.cell_deviations(right, CELL)])
    enough = np.clip(noise_levels, limits.min_texture_levels, limits.max_noise_levels)
    textured = kept & (levels >= enough)
    present = textured.any(0)
    correlations = cells.cell_correlations(left, right, CELL, present, limits)
    return _Texture(
        present=present,
        agrees=present & (correlations >= limits.min_agreeing_correlation),
        differs=present & (correlations < limits.max_differing_correlation),
    )


def _compare_colour(left: Array, right: Array, kept: Array, limits: Thresholds) -> _Colour:
    """Compare the mean colours of the cells that are kept."""
    left = cells.cell_means(left, CELL)
    right = cells.cell_means(right, CELL)
    if not kept.any():
        nothing = NOTHING_COMPARED_LEVELS
        return _Colour(nothing, nothing, nothing, nothing, cosine=1.0, differs=kept)
    levels = np.abs(left - right).max(-1)[kept]
    luma_levels = np.abs(colours.luma(left) - colours.luma(right))[kept]
    residual = colours.colour_residual(left, right, kept, limits)
    return _Colour(
        p95_levels=float(np.percentile(levels, 95)),
        median_levels=float(np.median(levels)),
        luma_p95_levels=float(np.percentile(luma_levels, 95)),
        worst_residual_levels=float(residual[kept].max()),
        cosine=colours.colour_cosine(left[kept], right[kept], limits),
        differs=kept & (residual > limits.max_unexplained_levels),
    )


def _summarize(compared: _Comparison, affine: Affine, limits: Thresholds) -> Measurements:
    structure = compared.structure
    texture = compared.texture
    colour = compared.colour
    differs = texture.differs | colour.differs
    differs_anywhere = differs | np.kron(structure.differs, np.ones((2, 2), bool))
    return Measurements(
        compared_cells=int(compared.kept.sum()),
        textured_cells=int(texture.present.sum()),
        texture_agreement=cells.true_share(texture.agrees[texture.present]),
        structured_windows=int(structure.present.sum()),
        structure_agreement=cells.true_share(structure.agrees[structure.present]),
        differing_cells=int(differs.sum()),
        plainer_side_agreement=float(structure.agrees.sum() / max(1, structure.plainer_windows)),
        block_differing_cells=cells.max_in_3x3(differs),
        quadrant_difference=cells.worst_quadrant_share(
            structure.differs, structure.present, limits
        ),
        differs_in_one_corner=cells.is_in_one_corner(differs_anywhere, limits),
        flat_tone_share=min(map(cells.flat_tone_share, compared.luma)),
        colour_cosine=colour.cosine,
        colour_p95_levels=colour.p95_levels,
        colour_median_levels=colour.median_levels,
        colour_residual_levels=colour.worst_residual_levels,
        luma_p95_levels=colour.luma_p95_levels,
        edge_shift=geometry.edge_shift(affine),
        overlap=_overlap(affine),
        affine=affine,
    )


def _overlap(affine: Affine) -> tuple[float, float]:
    """Return the share of the area of each image that the other one covers."""
    return geometry.overlap_share(geometry.inverse(affine)), geometry.overlap_share(affine)
