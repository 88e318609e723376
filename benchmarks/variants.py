#!/usr/bin/env python3
"""Measure find_duplicates.py --variants on your photos: recall, wrong pairs and time.

    benchmarks/variants.py --photos FOLDER                 28 kinds of copies and variants of 100
    benchmarks/variants.py --only lookalikes               similar drawings that are all different
    benchmarks/variants.py --photos FOLDER --only speed    5,000 photos of 0.2 megapixels, cut out

Compares with imagehash at 10 bits in the same run, on the same files, and with imagededup if it is
installed (pip install -r benchmarks/requirements.txt). --only speed also compares with fastdup,
which needs an environment of its own:

    python3 -m venv fastdup && fastdup/bin/pip install fastdup    then --fastdup fastdup/bin/python

Times are wall time: use a quiet machine.
"""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import json
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import imagehash
import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageOps

ROOT = Path(__file__).resolve().parent.parent
PARTS = ("kinds", "lookalikes", "speed")
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
# Makes a version of an image; the second image is for a collage.
Make = Callable[[Image.Image, Image.Image], Image.Image]
Matches = dict[str, dict[str, str]]  # image to image to kind, both ways


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--photos", nargs="+", default=[], metavar="FOLDER", help="your photos, at any depth"
    )
    parser.add_argument(
        "--originals", type=int, default=100, help="how many of them (default: %(default)s)"
    )
    parser.add_argument(
        "--count", type=int, default=5000, help="photos of the speed test (default: %(default)s)"
    )
    parser.add_argument(
        "--seed", type=int, default=100, help="which of them (default: %(default)s)"
    )
    parser.add_argument("--fastdup", metavar="PYTHON", help="a Python that has fastdup")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    args = parser.parse_args()
    paths = sorted(
        p for source in args.photos for p in Path(source).rglob("*") if p.suffix.lower() in SUFFIXES
    )
    random.Random(args.seed).shuffle(paths)
    with tempfile.TemporaryDirectory() as folder:
        if "lookalikes" in args.only:
            measure_lookalikes(Path(folder) / "Alike", args.seed)
        if "kinds" in args.only and paths:
            measure_kinds(Path(folder) / "Kinds", paths, args.originals)
        if "speed" in args.only and paths:
            measure_speed(Path(folder) / "Speed", paths, args.count, args.fastdup)


def crop_edges(share: float) -> Make:
    def crop(image: Image.Image, _: Image.Image) -> Image.Image:
        width, height = image.size
        return image.crop(
            (
                int(width * share),
                int(height * share),
                int(width * (1 - share)),
                int(height * (1 - share)),
            )
        )

    return crop


def add_frame(across: float, down: float, colour: str) -> Make:
    return lambda image, _: ImageOps.expand(
        image, (int(image.width * across), int(image.height * down)), colour
    )


def add_caption(image: Image.Image, _: Image.Image) -> Image.Image:
    below = ImageOps.expand(image, (0, 0, 0, image.height // 5), "white")
    size = max(10, image.height // 11)
    ImageDraw.Draw(below).text(
        (image.width * 0.05, image.height * 1.04), "that feeling on Monday", "black", font_size=size
    )
    return below


def add_overlay(image: Image.Image, _: Image.Image) -> Image.Image:
    whole = image.copy()
    size, edge = max(12, image.height // 8), max(1, image.height // 100)
    for place, words in ((0.03, "NOBODY ASKED"), (0.83, "STILL A COPY")):
        middle = (image.width / 2, image.height * place)
        ImageDraw.Draw(whole).text(
            middle,
            words,
            "white",
            font_size=size,
            anchor="ma",
            stroke_width=edge,
            stroke_fill="black",
        )
    return whole


def add_mark(image: Image.Image, _: Image.Image) -> Image.Image:
    whole = image.copy()
    place = (image.width * 0.64, image.height * 0.9)
    ImageDraw.Draw(whole).text(
        place, "(c) somebody", "white", font_size=max(12, image.height // 20)
    )
    return whole


def make_screenshot(image: Image.Image, _: Image.Image) -> Image.Image:
    screen = Image.new("RGB", (int(image.width * 1.2), int(image.height * 1.5)), (248, 248, 250))
    draw = ImageDraw.Draw(screen)
    draw.rectangle((0, 0, screen.width, image.height // 10), fill=(30, 60, 120))
    draw.text(
        (10, image.height // 50), "10:24   Pictures", "white", font_size=max(9, image.height // 20)
    )
    screen.paste(image, (image.width // 10, image.height // 5))
    return screen


def make_collage(image: Image.Image, other: Image.Image) -> Image.Image:
    both = Image.new("RGB", (2 * image.width, image.height))
    both.paste(image, (0, 0))
    both.paste(ImageOps.fit(other, image.size), (image.width, 0))
    return both


def shrink_to(side: int) -> Make:
    def shrunk(image: Image.Image, _: Image.Image) -> Image.Image:
        small = image.copy()
        small.thumbnail((side, side), Image.Resampling.LANCZOS)
        return small

    return shrunk


def add_noise(image: Image.Image, _: Image.Image) -> Image.Image:
    noise = np.random.default_rng(0).normal(0, 15, (image.height, image.width, 3))
    return Image.fromarray((np.asarray(image) + noise).clip(0, 255).astype(np.uint8))


def shift_hue(degrees: int) -> Make:
    def shifted(image: Image.Image, _: Image.Image) -> Image.Image:
        channels = image.convert("HSV").split()
        turned = channels[0].point([(level + degrees * 256 // 360) % 256 for level in range(256)])
        return Image.merge("HSV", (turned, *channels[1:])).convert("RGB")

    return shifted


COPIES: dict[str, Make] = {
    "half size": lambda image, _: image.resize(
        (image.width // 2, image.height // 2), Image.Resampling.LANCZOS
    ),
    "64 pixels": shrink_to(64),
    "squeezed": lambda image, _: image.resize(
        (image.width * 3 // 4, image.height), Image.Resampling.LANCZOS
    ),
    "blurred": lambda image, _: image.filter(ImageFilter.GaussianBlur(2)),
    "sharpened": lambda image, _: ImageEnhance.Sharpness(image).enhance(3),
    "noise": add_noise,
    "brighter": lambda image, _: ImageEnhance.Brightness(image).enhance(1.25),
    "more contrast": lambda image, _: ImageEnhance.Contrast(image).enhance(1.5),
    "less contrast": lambda image, _: ImageEnhance.Contrast(image).enhance(0.6),
    "grey": lambda image, _: ImageOps.grayscale(image).convert("RGB"),
    "hue by 15 degrees": shift_hue(15),
    "32 colours": lambda image, _: image.quantize(32).convert("RGB"),
    "cropped 2 %": crop_edges(0.02),
    "a mark in a corner": add_mark,
}
VARIANTS: dict[str, Make] = {
    "mirrored": lambda image, _: ImageOps.mirror(image),
    "turned by 90": lambda image, _: image.transpose(Image.Transpose.ROTATE_90),
    "turned by 180": lambda image, _: image.transpose(Image.Transpose.ROTATE_180),
    "cropped 8 %": crop_edges(0.08),
    "cropped 15 %": crop_edges(0.15),
    "cropped 22 %": crop_edges(0.22),
    "black bars": add_frame(0, 0.12, "black"),
    "white bars": add_frame(0.12, 0, "white"),
    "framed": add_frame(0.07, 0.07, "black"),
    "captioned": add_caption,
    "text across": add_overlay,
    "hue by 60 degrees": shift_hue(60),
    "a screenshot": make_screenshot,
    "a collage of two": make_collage,
}


def measure_kinds(folder: Path, paths: list[Path], count: int) -> None:
    topic = folder / "Cluster/Sub/Topic"
    topic.mkdir(parents=True)
    originals = list(itertools.islice(distinct_images(paths), count + 1))
    for number, (original, other) in enumerate(itertools.pairwise(originals)):
        original.save(topic / f"{number:04}-original.jpg", quality=92)
        for kind, make in {**COPIES, **VARIANTS}.items():
            make(original, other).save(topic / f"{number:04}-{kind}.jpg", quality=88)
    print(
        f"{len(COPIES)} kinds of copies and {len(VARIANTS)} of variants "
        f"of {len(originals) - 1} images"
    )
    print(f"   {'':28}   copy  variant  doubtful  missed")
    told = run_search(folder)
    answers: dict[str, Counter[str]] = defaultdict(Counter)
    for path in topic.glob("*.jpg"):
        number, kind = path.stem.split("-")
        if kind != "original":
            said = told.get(path.name, {}).get(f"{number}-original.jpg", "")
            answers[kind]["variant" if said not in ("", "copy", "doubtful") else said] += 1
    for kind in (*COPIES, *VARIANTS):
        print(
            "   {:28} {:6.3f} {:8.3f} {:9.3f} {:7.3f}".format(kind, *answer_shares(answers[kind]))
        )
    for name, several in (("all copies", COPIES), ("all variants", VARIANTS)):
        together = sum((answers[kind] for kind in several), Counter[str]())
        print("   {:28} {:6.3f} {:8.3f} {:9.3f} {:7.3f}".format(name, *answer_shares(together)))
    for name, found in {"ours": told, **peer_matches(topic)}.items():
        wrong = Counter(
            kind
            for one, others in found.items()
            for other, kind in others.items()
            if not (originals_in(one) & originals_in(other))
        )
        hit = sum(
            f"{name[:4]}-original.jpg" in found.get(name, {})
            for name in (path.name for path in topic.glob("*.jpg"))
        )
        planted = (len(originals) - 1) * (len(COPIES) + len(VARIANTS))
        print(
            f"   {name:28} found {hit / planted:.3f} of all; "
            f"wrong pairs {wrong_pairs_in_words(wrong)}"
        )
    print()


def originals_in(name: str) -> set[int]:
    """The numbers of the originals that an image shows: a collage also shows the next one."""
    number = int(name[:4])
    return {number, number + 1} if "a collage" in name else {number}


def distinct_images(paths: list[Path]) -> Iterator[Image.Image]:
    """Yield images of at most 640 pixels, none similar to an earlier one."""
    seen: list[np.ndarray] = []
    for path in paths:
        try:
            original = Image.open(path).convert("RGB")
        except OSError:
            continue
        original.thumbnail((640, 640), Image.Resampling.LANCZOS)
        small = np.asarray(original.convert("L").resize((32, 32)), float).ravel()
        small = (small - small.mean()) / (np.linalg.norm(small - small.mean()) + 1e-6)
        if min(original.size) >= 64 and all(small @ other <= 0.95 for other in seen):
            seen.append(small)
            yield original


def run_search(dataset: Path, *options: str) -> Matches:
    """The matches that a run with --variants finds in a dataset of one subcluster."""
    command = [
        sys.executable,
        str(ROOT / "find_duplicates.py"),
        str(dataset),
        "--variants",
        "--json",
        "--quiet",
    ]
    subprocess.run([*command, *options], check=True, stdout=subprocess.DEVNULL)
    told: Matches = defaultdict(dict)
    for path in dataset.glob("*/*/duplicates_*.json"):
        for one, others in json.loads(path.read_text()).items():
            told[one].update(dict.fromkeys(others, "copy"))
    for path in dataset.glob("*/*/variants_*.json"):
        for one, kinds_of in json.loads(path.read_text()).items():
            told[one].update(kinds_of)
    return told


def answer_shares(answers: Counter[str]) -> list[float]:
    return [answers[said] / max(1, answers.total()) for said in ("copy", "variant", "doubtful", "")]


def wrong_pairs_in_words(wrong: Counter[str]) -> str:
    """Describe pairs that were counted in both directions."""
    copies, doubtful = wrong["copy"], wrong["doubtful"]
    variants = wrong.total() - copies - doubtful
    return f"{copies // 2} as copy, {variants // 2} as variant, {doubtful // 2} as doubtful"


def peer_matches(topic: Path) -> dict[str, Matches]:
    """The matches of other tools, which have only one kind."""
    names = sorted(path.name for path in topic.iterdir() if path.suffix in SUFFIXES)
    hashes = [imagehash.phash(Image.open(topic / name)) for name in names]
    close: Matches = defaultdict(dict)
    for (i, one), (j, other) in itertools.combinations(enumerate(hashes), 2):
        if one - other <= 10:
            close[names[i]][names[j]] = close[names[j]][names[i]] = "copy"
    found = {"imagehash.phash, 10 bits": close}
    if importlib.util.find_spec("imagededup"):
        from imagededup.methods import PHash

        peer = PHash(verbose=False)
        said = peer.find_duplicates(encoding_map=peer.encode_images(image_dir=str(topic)))
        found["imagededup PHash"] = {
            name: dict.fromkeys(others, "copy") for name, others in said.items()
        }
    return found


def draw_icon(shape: str, letter: str, corner: str = "") -> Image.Image:
    image = Image.new("RGB", (256, 256), "white")
    draw = ImageDraw.Draw(image)
    (draw.ellipse if shape == "disc" else draw.rectangle)((28, 28, 228, 228), fill=(50, 120, 220))
    draw.text((128, 128), letter, "white", font_size=130, anchor="mm")
    if corner:
        draw.ellipse((186, 186, 250, 250), fill=(200, 40, 40))
        draw.text((218, 218), corner, "white", font_size=42, anchor="mm")
    return image


def draw_emblem(letter: str) -> Image.Image:
    image = Image.new("RGB", (640, 360), (40, 40, 40))
    ImageDraw.Draw(image).text((320, 180), letter, (235, 219, 178), font_size=90, anchor="mm")
    return image


def draw_clock(rng: random.Random) -> Image.Image:
    image = Image.new("RGB", (400, 400), (250, 248, 240))
    draw = ImageDraw.Draw(image)
    draw.ellipse((30, 30, 370, 370), outline="black", width=6)
    for length, width in ((80, 9), (130, 5)):
        turn = rng.random() * 2 * np.pi
        draw.line(
            (200, 200, 200 + length * np.sin(turn), 200 - length * np.cos(turn)),
            fill="black",
            width=width,
        )
    return image


def draw_bars(rng: random.Random) -> Image.Image:
    image = Image.new("RGB", (640, 480), "white")
    draw = ImageDraw.Draw(image)
    draw.line((60, 40, 60, 420, 600, 420), fill="black", width=2)
    for column in range(8):
        draw.rectangle(
            (80 + 64 * column, 420 - rng.randint(40, 360), 124 + 64 * column, 419),
            fill=(31, 119, 180),
        )
    return image


def draw_page(rng: random.Random) -> Image.Image:
    image = Image.new("RGB", (620, 800), "white")
    for line in range(32):
        words = " ".join(
            "".join(rng.choices("etaoinshrdlu", k=rng.randint(2, 9))) for _ in range(11)
        )
        ImageDraw.Draw(image).text((50, 50 + 22 * line), words[:70], "black", font_size=15)
    return image


def draw_application(rng: random.Random) -> Image.Image:
    image = Image.new("RGB", (800, 600), "white")
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, 800, 50), fill=(40, 60, 110))
    draw.rectangle((0, 50, 180, 600), fill=(230, 232, 238))
    for place, words in enumerate(("Home", "Inbox", "Sent", "Drafts", "Notes", "Tags")):
        draw.text((20, 70 + 40 * place), words, "black", font_size=16)
    for place in range(rng.randint(6, 10)):
        words = " ".join(
            "".join(rng.choices("etaoinshrdlu", k=rng.randint(2, 9))) for _ in range(8)
        )
        draw.text((200, 70 + 50 * place), words, (30, 30, 30), font_size=15)
    return image


def measure_lookalikes(folder: Path, seed: int) -> None:
    """Images that are all different: every copy or variant is wrong."""
    letters = "ABCDEFGHKLMNPRSTUVXYZ23456789"
    rng = random.Random(seed)
    families: dict[str, list[Image.Image]] = {
        "icons with other letters": [
            draw_icon(shape, letter) for shape in ("disc", "square") for letter in letters
        ],
        "a letter in the corner": [draw_icon("disc", "Q", letter) for letter in letters],
        "emblems on one tone": [draw_emblem(letter) for letter in letters],
        "clocks at other times": [draw_clock(rng) for _ in range(40)],
        "bar charts": [draw_bars(rng) for _ in range(40)],
        "pages of text": [draw_page(rng) for _ in range(40)],
        "one application": [draw_application(rng) for _ in range(40)],
    }
    for name, several in families.items():
        topic = folder / "Alike/Families" / name
        topic.mkdir(parents=True)
        for number, image in enumerate(several):
            image.save(topic / f"{name[:2]}{number:02}.png")
    run_search(folder)
    print(f"{'similar images':28}   pairs   wrong pairs")
    for name in families:
        topic = folder / "Alike/Families" / name
        told: Matches = defaultdict(dict)
        for one, others in json.loads(
            (topic.parent / f"duplicates_{name}.json").read_text()
        ).items():
            told[one].update(dict.fromkeys(others, "copy"))
        for one, kinds_of in json.loads(
            (topic.parent / f"variants_{name}.json").read_text()
        ).items():
            told[one].update(kinds_of)
        count = len(families[name]) * (len(families[name]) - 1) // 2
        for tool, found in {"ours": told, **peer_matches(topic)}.items():
            wrong = Counter(kind for others in found.values() for kind in others.values())
            is_first = tool == "ours"
            title = f"   {name if is_first else '':26} {count if is_first else '':7}"
            print(f"{title}   {tool}: {wrong_pairs_in_words(wrong)}")
    print()


def cut_tiles(paths: list[Path]) -> Iterator[Image.Image]:
    """Yield photos of 0.2 megapixels with nothing in common: pieces of 320x240, enlarged."""
    for path in paths:
        with Image.open(path) as opened:
            whole = opened.convert("RGB")
        for top in range(0, whole.height - 239, 240):
            for left in range(0, whole.width - 319, 320):
                yield whole.crop((left, top, left + 320, top + 240)).resize(
                    (516, 387), Image.Resampling.BICUBIC
                )


def measure_speed(folder: Path, paths: list[Path], count: int, fastdup: str | None) -> None:
    topic = folder / "Cluster/Sub/Topic"
    topic.mkdir(parents=True)
    saved = 0
    for saved, tile in enumerate(itertools.islice(cut_tiles(paths), count), start=1):
        tile.save(topic / f"{saved:05}.jpg", quality=90)
    print(f"{saved:,} photos of 0.2 megapixels           seconds   peak MB")
    script = [sys.executable, str(ROOT / "find_duplicates.py"), str(folder), "--json", "--quiet"]
    print_time("find_duplicates.py", script)
    print_time("the same, --variants", [*script, "--variants"])
    print_time("the same again", [*script, "--variants"])
    loop = "import sys, glob, imagehash; from PIL import Image\n"
    loop += "for p in glob.glob(sys.argv[1] + '/*.jpg'): "
    print_time(
        "imagehash.phash in a loop",
        [sys.executable, "-c", loop + "imagehash.phash(Image.open(p))", str(topic)],
    )
    if importlib.util.find_spec("imagededup"):
        for method in ("PHash", "CNN"):
            code = (
                f"import sys; from imagededup.methods import {method}\nif __name__ == '__main__': "
            )
            code += f"{method}(verbose=False).find_duplicates(image_dir=sys.argv[1])"
            print_time(f"imagededup {method}", [sys.executable, "-c", code, str(topic)])
    if fastdup:
        code = "import sys, fastdup; fastdup.create(sys.argv[2], sys.argv[1])"
        code += ".run(overwrite=True, verbose=False)"
        print_time("fastdup", [fastdup, "-c", code, str(topic), str(folder / "work")])
    print()


def print_time(name: str, command: list[str]) -> None:
    """Run a command; print its time and the peak memory of its processes, sampled every second."""
    started, peak = time.perf_counter(), 0
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None:
        peak = max(peak, process_memory(process.pid))
        time.sleep(1)
    ended = "" if process.returncode == 0 else f"   failed with status {process.returncode}"
    print(
        f"   {name:34} {time.perf_counter() - started:7.1f} {peak / 2**20:9.0f}{ended}", flush=True
    )


def process_memory(pid: int) -> int:
    """Bytes of a process and its children; shared memory counts once (Linux only, else 0)."""
    total = 0
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total = int(line.split()[1]) * 1024
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return total
    return total + sum(process_memory(int(child)) for child in children)


if __name__ == "__main__":
    main()
