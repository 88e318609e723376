"""Scenes drawn from random numbers alone: no photo and no other file is read.

A scene is a float32 array (CANVAS, CANVAS, 3), roughly 0..1. It holds what photos hold and quality
is judged by: edges at every scale, fine texture, smooth ground. Shapes that hide one another, their
sizes by a power law ("dead leaves"), share the statistics of natural pictures (Lee, Mumford and
Huang, "Occlusion models for natural images", 2001); networks learn to see from them (Baradad et
al., "Learning to see by looking at noise", 2021).

Every function takes a generator: the same generator state draws the same scene.
"""

import math

import numpy as np
from PIL import Image, ImageDraw
from textures import (
    CANVAS,
    COLUMNS,
    ROWS,
    backdrop,
    coloured,
    log_uniform,
    palette,
    texture,
    textured,
)


def scene(rng: np.random.Generator) -> np.ndarray:
    subjects = (leaves, textured, hairs, waves, writing, backdrop)
    return subjects[rng.choice(len(subjects), p=(0.50, 0.12, 0.12, 0.08, 0.08, 0.10))](rng)


def leaves(rng: np.random.Generator) -> np.ndarray:
    """Shapes that hide one another, each with its own colour, shading and texture."""
    if rng.random() < 0.45:
        count, smallest, largest = (
            log_uniform(rng, 150, 1800),
            rng.choice([4, 8, 20]),
            rng.uniform(80, 320),
        )
        slope = rng.choice([2.0, 2.5, 3.0])
    else:
        count, smallest, largest = (
            log_uniform(rng, 4, 150),
            rng.uniform(10, 60),
            rng.uniform(90, 350),
        )
        slope = rng.choice([1.5, 2.0])
    owners, centres, radii = scatter(rng, int(count), smallest, largest, slope)
    image = leaf_colours(rng, len(radii))[owners]
    if rng.random() < 0.8:
        image = image * shading(rng, owners, centres, radii)[..., None]
    if rng.random() < 0.7:
        depth = np.abs(rng.normal(0, rng.uniform(0.03, 0.25), len(radii))).astype(np.float32)
        image = image * (1 + depth[owners] * texture(rng))[..., None]
    if count < 15 or rng.random() < 0.35:
        image = np.where((owners == 0)[..., None], backdrop(rng), image)
    return image


def hairs(rng: np.random.Generator) -> np.ndarray:
    """Fur, grass and wires: thin bent strokes over a backdrop."""
    image = as_picture(backdrop(rng))
    draw, colours = ImageDraw.Draw(image), palette(rng, 6)
    direction, spread = rng.uniform(0, 2 * math.pi), rng.uniform(0.05, 1)
    length, width = rng.uniform(20, 200), rng.uniform(1, 5)
    for _ in range(int(log_uniform(rng, 60, 2500))):
        angles = direction + rng.normal(0, spread) + np.cumsum(rng.normal(0, 0.25, 4))
        steps = np.stack([np.cos(angles), np.sin(angles)], axis=-1) * length / 4
        points = rng.uniform(-30, CANVAS + 30, 2) + np.concatenate(
            [np.zeros((1, 2)), np.cumsum(steps, axis=0)]
        )
        colour = rgb(colours[rng.integers(6)] * rng.uniform(0.5, 1.4))
        draw.line(
            points.ravel().tolist(), fill=colour, width=max(1, int(width * rng.uniform(0.5, 1.5)))
        )
    return as_scene(image)


def waves(rng: np.random.Generator) -> np.ndarray:
    """Bent stripes and grids: fabric, fences, facades."""
    angle, frequency = rng.uniform(0, math.pi), log_uniform(rng, 3, 70)
    along = math.cos(angle) * COLUMNS + math.sin(angle) * ROWS
    across = math.cos(angle) * ROWS - math.sin(angle) * COLUMNS
    bend = np.float32(rng.uniform(0, 0.3)) * texture(rng)
    wave = np.sin(2 * math.pi * (frequency * along + bend))
    if rng.random() < 0.5:
        wave = wave * np.sin(2 * math.pi * frequency * rng.uniform(0.3, 1.5) * across)
    if rng.random() < 0.5:
        wave = np.tanh(6 * wave)
    return coloured(rng, 1.8 * wave + np.float32(rng.uniform(0, 0.4)) * texture(rng))


def writing(rng: np.random.Generator) -> np.ndarray:
    """Lines of strokes and arcs that look like script from a distance: signs, pages, labels."""
    ground = (
        backdrop(rng)
        if rng.random() < 0.5
        else np.broadcast_to(palette(rng, 1), (CANVAS, CANVAS, 3))
    )
    image = as_picture(ground)
    draw = ImageDraw.Draw(image)
    for _ in range(rng.integers(1, 5)):
        ink, height = rgb(palette(rng, 1)[0]), rng.uniform(8, 50)
        left, extent, top = (
            rng.uniform(0, 0.6 * CANVAS),
            rng.uniform(100, 600),
            rng.uniform(0, CANVAS),
        )
        for line in range(rng.integers(1, 14)):
            write_line(rng, draw, left, top + 1.6 * height * line, extent, height, ink)
    return as_scene(image)


def write_line(
    rng, draw: ImageDraw.ImageDraw, left: float, top: float, extent: float, height: float, ink
) -> None:
    """One row of strokes from (left, top), extent pixels wide or up to the canvas's border."""
    x, width = left, max(1, int(height * rng.uniform(0.08, 0.16)))
    while x < min(left + extent, CANVAS):
        if rng.random() < 0.7:
            points = rng.uniform(
                (x, top), (x + 0.6 * height, top + height), (rng.integers(2, 5), 2)
            )
            draw.line(points.ravel().tolist(), fill=ink, width=width)
        else:
            box = (x, top, x + 0.6 * height, top + height)
            draw.arc(box, rng.uniform(0, 180), rng.uniform(200, 360), fill=ink, width=width)
        x += height * (0.75 if rng.random() < 0.85 else 1.3)


def scatter(rng: np.random.Generator, count: int, smallest: float, largest: float, slope: float):
    """Shapes thrown on the canvas, later ones on top.

    Returns the number of the shape that owns each pixel (CANVAS, CANVAS), 0 where none fell, and
    for each number the centre (n, 2) and the radius (n,) in pixels. Radii follow the density r **
    -slope.
    """
    power = 1 - slope
    low, high = smallest**power, largest**power
    radii = (low + rng.random(count) * (high - low)) ** (1 / power)
    if rng.random() < 0.3:
        radii = np.sort(radii)[::-1]
    centres = rng.uniform(-20, CANVAS + 20, (count, 2))
    kinds = rng.choice(
        ["ellipse", "box", "polygon", "star", "blob", "line"], size=rng.integers(1, 4)
    )
    direction, spread = rng.uniform(0, 2 * math.pi), rng.choice([0.1, 0.5, 3.2])
    owners = Image.new("I", (CANVAS, CANVAS), 0)
    draw = ImageDraw.Draw(owners)
    for number, (centre, radius) in enumerate(zip(centres, radii, strict=True), start=1):
        kind = rng.choice(kinds)
        if kind == "ellipse":
            reach = np.array([radius, radius * rng.uniform(0.4, 1)])
            draw.ellipse((*(centre - reach), *(centre + reach)), fill=number)
        elif kind == "line":
            path = centre + np.cumsum(rng.normal(0, 0.6 * radius, (rng.integers(2, 6), 2)), axis=0)
            width = max(1, int(radius * rng.uniform(0.03, 0.15)))
            draw.line(path.ravel().tolist(), fill=number, width=width, joint="curve")
        else:
            corners = centre + radius * rotated(
                outline(rng, kind), direction + rng.normal(0, spread)
            )
            draw.polygon(corners.ravel().tolist(), fill=number)
    middle = np.full((1, 2), CANVAS / 2)
    return np.asarray(owners), np.concatenate([middle, centres]), np.concatenate([[CANVAS], radii])


def outline(rng: np.random.Generator, kind: str) -> np.ndarray:
    """Corners (n, 2) of a shape of radius 1 around the origin."""
    if kind == "box":
        height = rng.uniform(0.15, 1)
        return np.array([[-1, -height], [1, -height], [1, height], [-1, height]])
    if kind == "polygon":
        angles, reach = np.sort(rng.uniform(0, 2 * math.pi, rng.integers(3, 7))), 1.0
    elif kind == "star":
        corners = 2 * rng.integers(4, 8)
        angles, reach = (
            np.arange(corners) * 2 * math.pi / corners,
            np.where(np.arange(corners) % 2, 0.45, 1.0),
        )
    else:
        angles = np.arange(18) * 2 * math.pi / 18
        reach = 1 + 0.35 * np.convolve(
            np.resize(rng.normal(size=18), 20), (0.3, 0.4, 0.3), mode="valid"
        )
    return np.stack([reach * np.cos(angles), reach * np.sin(angles)], axis=-1)


def rotated(points: np.ndarray, angle: float) -> np.ndarray:
    cosine, sine = math.cos(angle), math.sin(angle)
    return points @ np.array([[cosine, sine], [-sine, cosine]])


def leaf_colours(rng: np.random.Generator, count: int) -> np.ndarray:
    if rng.random() < 0.5:
        return palette(rng, count)
    few = palette(rng, rng.integers(3, 8))
    return few[rng.integers(len(few), size=count)] + rng.normal(0, 0.06, (count, 3)).astype(
        np.float32
    )


def shading(
    rng: np.random.Generator, owners: np.ndarray, centres: np.ndarray, radii: np.ndarray
) -> np.ndarray:
    """Brightness factor (CANVAS, CANVAS): each shape lit a little from a side of its own."""
    light = rng.normal(0, rng.uniform(0.02, 0.25), (len(radii), 2))
    per_pixel = (CANVAS * light / radii[:, None]).astype(np.float32)
    offset = -(per_pixel * centres / CANVAS).sum(axis=1).astype(np.float32)
    slope = per_pixel[owners, 0] * COLUMNS + per_pixel[owners, 1] * ROWS + offset[owners]
    return 1 + np.clip(slope, -0.8, 0.8)


def rgb(colour: np.ndarray) -> tuple[int, int, int]:
    return tuple((np.clip(colour, 0, 1) * 255).astype(int).tolist())


def as_picture(scene_array: np.ndarray) -> Image.Image:
    return Image.fromarray((np.clip(scene_array, 0, 1) * 255).astype(np.uint8))


def as_scene(image: Image.Image) -> np.ndarray:
    return np.asarray(image, dtype=np.float32) / 255
