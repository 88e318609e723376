"""split_data.py --export: loaders open the export, it follows the split, and survives a kill."""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest
from conftest import ROOT, draw_image, run_script
from PIL import Image
from test_merge_clusters import TIME, files, files_with_stamps

import merge_clusters
import split_data
from common import cli

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_DATASETS_DISABLE_PROGRESS_BARS"] = "1"

HOSTILE = [
    "new\nline.png",
    'it\'s "q".png',
    "-rf.png",
    "夕焼け.png",
    "back\\slash.png",
    " space .png",
    "a.b.c.png",
]
HOSTILE += ["梟" * 83 + "ab.png"]  # 255 bytes


def make_scored_topic(
    folder: Path, *names: str, captions: dict[str, str | bytes] | None = None
) -> Path:
    """Make a topic of scored images, best first, with these captions."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        path = folder / name
        draw_image(len(str(folder)) * 7919 + hash_of(str(folder) + name), (24, 16)).save(
            path, "PNG"
        )
        os.utime(path, ns=(TIME, TIME))
    for name, said in (captions or {}).items():
        (folder / name).write_bytes(said if isinstance(said, bytes) else said.encode())
        os.utime(folder / name, ns=(TIME, TIME))
    scores = {name: round(9 - place / 10, 4) for place, name in enumerate(names)}
    (folder / "aesthetic_data.json").write_text(json.dumps(scores))
    return folder


def hash_of(name: str) -> int:
    return sum(place * byte for place, byte in enumerate(os.fsencode(name), 1))


def run_split(*args: object, status: int = 0) -> dict:
    """Run a split that must end with `status`. Returns its JSON, with stderr as `talk`."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        assert cli.run_script(split_data.main, [*map(str, args), "--json"]) == status, (
            err.getvalue()
        )
    return {**(json.loads(out.getvalue()) if out.getvalue() else {}), "talk": err.getvalue()}


@pytest.fixture
def export(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Export into tmp_path/ready. Returns the JSON."""
    monkeypatch.chdir(tmp_path)

    def made(*args: object, status: int = 0) -> dict:
        return run_split(*args, "--export", "ready", status=status)

    return made


def load_export(folder: Path, scratch: Path) -> dict[str, list[dict]]:
    """Load an export with Hugging Face datasets: rows by split, with the bytes of each image."""
    import datasets

    opened = datasets.load_dataset(
        "imagefolder", data_dir=str(folder), cache_dir=str(scratch / "cache")
    )
    found = {}
    for split, rows in opened.items():
        assert all(row["image"].size[0] > 0 for row in rows)  # decodes
        plain = rows.cast_column("image", datasets.Image(decode=False))
        found[split] = [{**row, "bytes": Path(row["image"]["path"]).read_bytes()} for row in plain]
    return found


def caption_of(image: Path) -> str:
    """Return the caption of an image, found as a person would find it."""
    for path in (
        f"{image}.txt",
        f"{image.with_suffix('')}.txt",
        f"{image.with_suffix('')}.caption",
    ):
        with contextlib.suppress(OSError):  # a name may be too long for such a file
            return Path(path).read_bytes().decode("utf-8-sig", "replace").strip()
    return ""


def check_loads(folder: Path, scratch: Path) -> dict[str, list[dict]]:
    """Check that the real loader sees the images of both lists with their captions."""
    found = load_export(folder, scratch)
    for split, name in (("train", "train"), ("validation", "valid")):
        chosen = [
            Path(path) for path in json.loads((folder.parent / f"{name}_set.json").read_text())
        ]
        chosen = [
            path for path in chosen if path.as_posix().isprintable() or "\udce9" not in str(path)
        ]
        rows = found.pop(split, [])
        assert [row["name"] for row in rows] == [path.name for path in chosen]
        assert [row["bytes"] for row in rows] == [path.read_bytes() for path in chosen]
        assert [row["text"].strip() for row in rows] == [caption_of(path) for path in chosen]
        assert [row["topic"].strip() for row in rows] == [path.parent.name for path in chosen]
        assert [row["dataset"] for row in rows] == [path.parts[-5] for path in chosen]
        scores = [
            json.loads((path.parent / "aesthetic_data.json").read_text())[path.name]
            for path in chosen
        ]
        assert [row["score"] for row in rows] == scores
    assert found == {}
    check_kohya(folder)
    check_diffusers(folder, scratch)
    return load_export(folder, scratch)


def check_diffusers(folder: Path, scratch: Path) -> None:
    """Open the export as the example scripts of diffusers open --train_data_dir."""
    import datasets

    pattern = {"train": str(folder / "train" / "**")}
    opened = datasets.load_dataset(
        "imagefolder", data_files=pattern, cache_dir=str(scratch / "diffusers")
    )
    told = [json.loads(row)["text"] for row in lines(folder / "train/metadata.jsonl")]
    assert opened["train"]["text"][:] == told and opened["train"][0]["image"].size[0] > 0


def check_kohya(folder: Path) -> None:
    """Read the config as sd-scripts do: each folder by itself, a caption of the same stem."""
    config = tomllib.loads((folder / "kohya.toml").read_text("utf-8"))
    assert config["general"] == {"caption_extension": ".txt"}
    validating = [dataset.get("validation_split", 0.0) for dataset in config.get("datasets", ())]
    for name, share in (("train", 0.0), ("valid", 1.0)):
        rows = [
            row
            for row in map(json.loads, lines(folder / name / "metadata.jsonl"))
            if is_read(row["file_name"])
        ]
        assert validating.count(share) == bool(rows)
        told = {str(folder / name / row["file_name"]): row["text"].strip() for row in rows}
        assert len(told) == len(rows)
        seen: dict[str, str] = {}
        for dataset in (config["datasets"][i] for i, at in enumerate(validating) if at == share):
            for subset in dataset["subsets"]:
                there = sorted(os.listdir(subset["image_dir"]))
                images = [name for name in there if is_read(name)]
                assert images and len(
                    {os.path.splitext(name)[0].casefold() for name in images}
                ) == len(images)
                for image in images:
                    path = os.path.join(subset["image_dir"], image)
                    caption = Path(os.path.splitext(path)[0] + ".txt")
                    assert path not in seen
                    assert (
                        not caption.exists() or caption.stat().st_size
                    )  # at an empty one they stop
                    seen[path] = (
                        caption.read_bytes().decode("utf-8-sig", "replace").strip()
                        if caption.exists()
                        else ""
                    )
        assert seen == told


def is_read(name: str) -> bool:
    return os.path.splitext(name)[1] in (
        ".png",
        ".jpg",
        ".jpeg",
        ".webp",
        ".bmp",
        ".PNG",
        ".JPG",
        ".JPEG",
    )


def lines(path: Path) -> list[str]:
    return path.read_text("utf-8").split("\n")[:-1] if path.exists() else []


def places(folder: Path) -> set[str]:
    """Return the files of an export in both sets."""
    return {
        name for name, made in files(folder).items() if name.count("/") == 4 and made != b"folder"
    }


# What the loaders read


def test_hostile_names_load_with_their_captions(export, tmp_path: Path) -> None:
    said = {f"{os.path.splitext(name)[0]}.txt": f"caption of\n {name}" for name in HOSTILE[::2]}
    make_scored_topic(tmp_path / "DS/Ani\nmals/S'\"/夜景 -x", *HOSTILE, captions=said)
    data = export("DS", "--train", 5, "--valid", 3)
    assert data["export"] == {
        "folder": str(tmp_path / "ready"),
        "images": 8,
        "captions": 4,
        "put": 12,
        "removed": 0,
        "edited": [],
        "left_out": [],
    }
    check_loads(tmp_path / "ready", tmp_path)


def test_a_merged_dataset_with_hostile_names_loads(export, tmp_path: Path) -> None:
    for dataset in ("A", "B"):
        said = {
            f"{os.path.splitext(name)[0]}.caption": f"{dataset} {name}" for name in HOSTILE[:-1]
        }
        make_scored_topic(tmp_path / dataset / "C/S/T", *HOSTILE, captions=said)
    sources = [str(tmp_path / "A"), str(tmp_path / "B")]
    assert (
        cli.run_script(
            merge_clusters.main, [*sources, "--output", "full", "--quiet", "--mixed-scores"]
        )
        == 0
    )
    export("full", "--train", 12, "--valid", 4)
    found = check_loads(tmp_path / "ready", tmp_path)
    assert [len(rows) for rows in found.values()] == [12, 4]


def test_folders_named_like_splits_do_not_mislead_the_loader(export, tmp_path: Path) -> None:
    names = ["train", "test_1", "my-val", "eval 2", "training.evaluation", "validation", "x.dev"]
    names += ["Train", "contest", "__t"]
    for name in names:
        make_scored_topic(tmp_path / "DS/C/S" / name, "a.png", "b.png", captions={"b.txt": name})
        make_scored_topic(tmp_path / "DS/dev/valid" / name, "a.png", "b.png")
    export("DS", "--train", 1, "--valid", 1)
    found = check_loads(tmp_path / "ready", tmp_path)
    assert {split: len(rows) for split, rows in found.items()} == {"train": 20, "validation": 20}
    assert {row["topic"] for row in found["train"]} == set(names)
    folders = {path.name for path in (tmp_path / "ready/train/C/S").iterdir()}
    assert {"Train", "contest"} <= folders and len(folders) == len(
        names
    )  # only where they have to are names changed


def test_names_that_look_like_dates_stay_text(export, tmp_path: Path) -> None:
    """If one split has only dates and the other has not, their columns must still agree."""
    make_scored_topic(
        tmp_path / "DS/C/S/2024-01-05", "a.png", "b.png", captions={"b.txt": "2024-01-05 10:00:00"}
    )
    make_scored_topic(tmp_path / "DS/C/S/Owls", "a.png", captions={"a.txt": "an owl"})
    export("DS", "--train", 1, "--valid", 1)
    found = check_loads(tmp_path / "ready", tmp_path)
    assert [row["topic"] for row in found["validation"]] == ["2024-01-05 "]


def test_the_sample_dataset_loads(export, tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, ROOT / "demo/make_dataset.py", tmp_path], check=True, capture_output=True
    )
    for folder in {path.parent for path in tmp_path.glob("DataSet_*/*/*/*/*")}:
        readable = {}
        for path in folder.iterdir():
            with contextlib.suppress(OSError), Image.open(path) as image:
                image.load()
                readable[path.name] = 5 + hash_of(path.name) % 100 / 50
        (folder / "aesthetic_data.json").write_text(json.dumps(readable))
    export("DataSet_1", "DataSet_2", "--train", 3, "--valid", 1)
    found = check_loads(tmp_path / "ready", tmp_path)
    assert len(found["train"]) > 50 and len(found["validation"]) > 5


def test_without_validation_images_there_is_one_split(export, tmp_path: Path) -> None:
    make_scored_topic(tmp_path / "DS/C/S/T", "a.png")
    export("DS")
    assert (
        check_loads(tmp_path / "ready", tmp_path).keys() == {"train"}
        and not (tmp_path / "ready/valid").exists()
    )


def test_names_that_are_not_utf8_are_left_out_and_reported(export, tmp_path: Path) -> None:
    make_scored_topic(tmp_path / "DS/C/S/T", "a.png", "caf\udce9.png", "b.png")
    make_scored_topic(tmp_path / "DS/C/\udce9/T", "a.png")
    data = export("DS", "--train", 2, "--valid", 1)
    assert data["export"]["images"] == 2
    assert data["export"]["left_out"] == [
        str(tmp_path / p) for p in ("DS/C/S/T/caf\udce9.png", "DS/C/\udce9/T/a.png")
    ]
    assert (data["train"], data["valid"]) == (3, 1)
    check_loads(tmp_path / "ready", tmp_path)


# Names and captions


def test_most_specific_caption_is_exported(export, tmp_path: Path) -> None:
    captions = {
        "a.txt": "a",
        "a.caption": "not this",
        "b.png.txt": "b",
        "b.txt": "nor this",
        "c.caption": "c",
        "d.TXT": "d",
        "e.txt": b"\xef\xbb\xbfe\n",
        "f.txt": b"caf\xe9",
        "g.txt": b"",
        "h.json": "{}",
        "alone.txt": "no image",
    }
    make_scored_topic(
        tmp_path / "DS/C/S/T", *(f"{letter}.png" for letter in "abcdefgh"), captions=captions
    )
    data = export("DS", "--train", 8)
    rows = {
        row["name"]: row["text"]
        for row in map(json.loads, lines(tmp_path / "ready/train/metadata.jsonl"))
    }
    assert rows == {
        f"{letter}.png": text
        for letter, text in zip("abcdefgh", [*"abcde", "caf\ufffd", "", ""], strict=True)
    }
    assert data["export"]["captions"] == 6
    check_kohya(tmp_path / "ready")
    copied = tmp_path / "ready/train/C/S/T"
    assert (copied / "f.txt").read_bytes() == b"caf\xe9" and (copied / "b.txt").read_bytes() == b"b"
    assert not (copied / "b.txt").samefile(tmp_path / "DS/C/S/T/b.png.txt")


def test_jpegs_get_a_suffix_that_sd_scripts_read(export, tmp_path: Path) -> None:
    """A folder without an image that sd-scripts read is no subset of the config."""
    make_scored_topic(tmp_path / "DS/C/S/T", "a.jfif", "b.gif", "a.JPE", "c.PNG")
    make_scored_topic(tmp_path / "DS/C/S/U", "a.gif", "b.tif")
    export("DS", "--train", 3, "--valid", 1)
    found = check_loads(tmp_path / "ready", tmp_path)
    below = [json.loads(row)["file_name"] for row in lines(tmp_path / "ready/train/metadata.jsonl")]
    assert below == ["C/S/T/a__DS.jpg", "C/S/T/b.gif", "C/S/T/a.jpg", "C/S/U/a.gif", "C/S/U/b.tif"]
    assert [row["name"] for row in found["validation"]] == ["c.PNG"]
    assert "/U" not in (tmp_path / "ready/kohya.toml").read_text()


def test_images_of_one_name_get_places_of_their_own(export, tmp_path: Path) -> None:
    make_scored_topic(
        tmp_path / "one/DS/C/S/T",
        "a.png",
        "a.jpg",
        "A.PNG",
        "a.b.png",
        captions={"a.jpg.txt": "jpg", "a.txt": "a"},
    )
    make_scored_topic(tmp_path / "two/DS/C/S/T", "a.png", "b.png", captions={"a.txt": "another a"})
    make_scored_topic(tmp_path / "two/DS/C/S/t", "a.png")
    make_scored_topic(tmp_path / "two/DS/C/s/T", "a.png")
    make_scored_topic(tmp_path / "two/DS/metadata.jsonl/s/T", "a.png")
    data = export("one/DS", "two/DS")
    assert data["export"]["images"] == 9
    check_loads(tmp_path / "ready", tmp_path)
    there = places(tmp_path / "ready")
    assert len({place.casefold() for place in there}) == len(there)
    said = [json.loads(row)["text"] for row in lines(tmp_path / "ready/train/metadata.jsonl")]
    assert sorted(said) == ["", "", "", "", "", "", "a", "another a", "jpg"]


def test_folder_names_of_255_bytes_that_must_change(export, tmp_path: Path) -> None:
    names = ["x" * 250 + "-test", "x" * 249 + "--test", "-train" * 42]
    for name in names:
        make_scored_topic(tmp_path / "DS" / name / name / "T", "a.png", "b.png")
    export("DS", "--train", 1, "--valid", 1)
    assert len(check_loads(tmp_path / "ready", tmp_path)["train"]) == 3


# The folder follows the split


@pytest.mark.parametrize("mode", ["hardlink", "symlink", "copy"])
def test_second_run_does_nothing_and_a_new_split_is_followed(
    export, tmp_path: Path, mode: str
) -> None:
    captions = {"a.txt": "a", "c.txt": "c"}
    folder = make_scored_topic(
        tmp_path / "DS/C/S/T", *(f"{n}.png" for n in "abcdef"), captions=captions
    )
    make_scored_topic(tmp_path / "DS/C/S/U", "a.png")
    export("DS", "--mode", mode, "--train", 2, "--valid", 1)
    image = tmp_path / "ready/train/C/S/T/a.png"
    assert (image.is_symlink(), os.path.samefile(image, folder / "a.png")) == (
        mode == "symlink",
        mode != "copy",
    )
    before = files_with_stamps(tmp_path / "ready")
    assert export("DS", "--mode", mode, "--train", 2, "--valid", 1)["export"]["put"] == 0
    assert files_with_stamps(tmp_path / "ready") == before
    before_pruning = places(tmp_path / "ready")
    data = export("DS/C/S/T", "--mode", mode, "--train", 1, "--valid", 2)
    from_u = {place for place in before_pruning if "/C/S/U/" in place}
    assert from_u <= places(tmp_path / "ready")  # its source was not seen
    assert data["export"]["kept"] == dict.fromkeys(from_u, "its source was not seen")
    data = export("DS/C/S/T", "--mode", mode, "--train", 1, "--valid", 2, "--prune")
    assert data["export"]["edited"] == [] and data["export"]["removed"] > 0
    assert places(tmp_path / "ready") == {
        f"{role}/C/S/T/{name}"
        for role, name in (
            ("train", "a.png"),
            ("train", "a.txt"),
            ("valid", "b.png"),
            ("valid", "c.png"),
            ("valid", "c.txt"),
        )
    }
    assert not (tmp_path / "ready/train/C/S/U").exists()
    check_loads(tmp_path / "ready", tmp_path)
    other = {"hardlink": "copy", "symlink": "hardlink", "copy": "symlink"}[mode]
    export("DS/C/S/T", "--mode", other, "--train", 1, "--valid", 2)
    assert (image.is_symlink(), os.path.samefile(image, folder / "a.png")) == (
        other == "symlink",
        other != "copy",
    )


def test_changed_source_is_exported_again(export, tmp_path: Path) -> None:
    for mode in ("hardlink", "symlink", "copy"):
        folder = make_scored_topic(
            tmp_path / "DS/C/S" / mode, "a.png", "b.png", captions={"a.txt": "old"}
        )
        export(folder, "--mode", mode, "--train", 2)
        Image.new("RGB", (30, 30)).save(folder / "a.png")  # in place
        (folder / "b.png").unlink()
        Image.new("RGB", (20, 20)).save(folder / "b.png")
        (folder / "a.txt").write_text("new caption")
        assert export(folder, "--mode", mode, "--train", 2)["export"]["edited"] == []
        check_loads(tmp_path / "ready", tmp_path)
        subprocess.run(["rm", "-r", tmp_path / "ready"], check=True)


def test_edited_files_are_kept_and_reported(export, tmp_path: Path) -> None:
    make_scored_topic(
        tmp_path / "DS/C/S/T",
        "a.png",
        "b.png",
        "c.png",
        captions={"a.txt": "a", "b.txt": "b", "c.txt": "c"},
    )
    export("DS", "--mode", "copy", "--train", 2, "--valid", 1)
    ready = tmp_path / "ready"
    for place in ("train/C/S/T/a.txt", "train/C/S/T/b.txt", "kohya.toml", "valid/C/S/T/c.png"):
        (ready / place).write_bytes((ready / place).read_bytes() + b"# mine")
    (ready / "train/C/S/T/notes.txt").write_text("mine too")
    (ready / "train/C/S/T/c.txt").write_text("in the way")
    kept = {
        name: made
        for name, made in files(ready).items()
        if made.endswith((b"# mine", b"mine too", b"in the way"))
    }
    for _ in range(2):
        # c.png is in a folder of validation images, and in no table
        data = export("DS", "--mode", "copy", "--train", 1, "--valid", 0, status=2)
        assert "valid/C/S/T/c.png: not in valid/metadata.jsonl" in data["talk"]
        assert data["export"]["edited"] == [
            "kohya.toml",
            "train/C/S/T/a.txt",
            "train/C/S/T/b.txt",
            "valid/C/S/T/c.png",
        ]
        assert kept.items() <= files(ready).items()
    data = export("DS", "--mode", "copy", "--train", 3, "--valid", 0, status=2)
    assert "valid/C/S/T/c.png: one image in both sets" in data["talk"]
    assert "train/C/S/T/c.txt" in data["export"]["edited"]
    assert kept.items() <= files(ready).items()
    assert {"train/C/S/T/a.png", "train/C/S/T/b.png", "train/C/S/T/c.png"} <= places(ready)


def foreign_folder(root: Path) -> list[object]:
    (root / "ready").mkdir()
    (root / "ready/diary.txt").write_text("dear diary")
    return []


def damaged_manifest(root: Path) -> list[object]:
    (root / "ready").mkdir()
    (root / "ready/export_manifest.jsonl").write_text("[]\n")
    return []


@pytest.mark.parametrize(
    ("arrange", "said"),
    [
        (foreign_folder, "not empty, and no export made it"),
        (damaged_manifest, "not the manifest of an export"),
        (
            lambda root: ["--export", root / "DS/C/ready"],
            "one contains the other); give --export another place",
        ),
        (lambda root: ["--export", root], "one contains the other"),
        (lambda root: ["--export", root / "DS/C/S/T"], "one contains the other"),
        (lambda root: ["--export", root / "a*b"], "loaders cannot open"),
        (lambda root: ["--export", root / "a[1]"], "loaders cannot open"),
        (lambda root: ["--export", root / "caf\udce9"], "loaders cannot open"),
        (lambda root: ["--export", root / "file"], "give --export another place"),
        (lambda root: ["--export", "/dev/shm/no_such_export"], "use --mode copy or symlink"),
    ],
)
def test_refused_before_anything_is_written(tmp_path: Path, export, arrange, said: str) -> None:
    make_scored_topic(tmp_path / "DS/C/S/T", "a.png")
    (tmp_path / "file").write_text("not a folder")
    if "symlink" in said and os.stat("/dev/shm").st_dev == os.stat(tmp_path).st_dev:
        pytest.skip("one file system")
    extra = arrange(tmp_path)
    before = files_with_stamps(tmp_path)
    data = export("DS", *extra, status=2) if not extra else run_split("DS", *extra, status=2)
    assert said in data["talk"].splitlines()[-1]
    assert files_with_stamps(tmp_path) == before


def test_refused_folder_names_are_those_that_the_loader_cannot_open(export, tmp_path: Path) -> None:
    make_scored_topic(tmp_path / "DS/C/S/T", "a.png", "b.png")
    export("DS", "--train", 1, "--valid", 1)
    for name in (
        "a[1]",
        "a::b",
        "caf\udce9",
    ):  # `*` and `?` open, but with every folder that they stand for
        (tmp_path / "ready").rename(tmp_path / name)
        with pytest.raises(Exception):  # noqa: B017 - the loader's own, of several kinds
            load_export(tmp_path / name, tmp_path)
        (tmp_path / name).rename(tmp_path / "ready")


# Interrupted at any moment


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("killed")
    rng = random.Random(3)
    for place in ("C/S/T", "C/S/U", "D/S/train"):
        names = [f"{number:02}.png" for number in range(40)]
        folder = make_scored_topic(
            root / "DS" / place,
            *names,
            captions={f"{n:02}.txt": f"{place} {n}" for n in range(0, 40, 2)},
        )
        for name in names:
            (folder / name).write_bytes((folder / name).read_bytes() + rng.randbytes(30_000))
            os.utime(folder / name, ns=(TIME, TIME))
    return root / "DS"


def content_with_times(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Return every file of an export with its time, without its own path in the contents.

    The manifest has no time, and no line about the config, whose content depends on that path.
    """
    found = {}
    for name, made in files(folder).items():
        if name == "export_manifest.jsonl":
            found[name] = (
                b"".join(line for line in made.splitlines(True) if b"kohya.toml" not in line),
                0,
            )
        elif (folder / name).is_file():
            found[name] = (
                made.replace(os.fsencode(folder), b"HERE"),
                (folder / name).stat().st_mtime_ns,
            )
        else:
            found[name] = made, 0
    return found


@pytest.mark.parametrize("mode", ["copy", "hardlink"])
def test_rerun_after_a_kill_gives_the_same_export(dataset: Path, tmp_path: Path, mode: str) -> None:
    kill_often(dataset, tmp_path, mode, 3)


@pytest.mark.soak
@pytest.mark.parametrize("mode", ["copy", "hardlink", "symlink"])
def test_rerun_after_very_many_kills_gives_the_same_export(
    dataset: Path, tmp_path: Path, mode: str
) -> None:
    kill_often(dataset, tmp_path, mode, 40)


def kill_often(dataset: Path, root: Path, mode: str, times: int) -> None:
    """Kill and repeat a first export, and then a change from one split to another."""
    rng, before = random.Random(), files_with_stamps(dataset)
    first = [dataset, "--mode", mode, "--train", "20", "--valid", "10"]
    second = [dataset, "--mode", mode, "--train", "8", "--valid", "25"]
    expected = []
    for number, options in enumerate((first, second)):
        run_split(*options, "--output-dir", root, "--export", root / f"whole{number}")
        expected.append(content_with_times(root / f"whole{number}"))
    early = 0
    for number in range(times):
        folder = root / f"ready{number}"
        for options, whole in zip((first, second), expected, strict=True):
            command = [
                sys.executable,
                ROOT / "split_data.py",
                *options,
                "--output-dir",
                root,
                "--export",
                folder,
            ]
            changing = folder.exists()
            running = subprocess.Popen(
                [*map(str, command)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            while running.poll() is None and not (folder / ".merge_unfinished").exists():
                time.sleep(0.0005)
            time.sleep(rng.expovariate(1 / 0.01))
            running.send_signal(signal.SIGKILL)
            running.wait()
            there = {
                name: made
                for name, made in content_with_times(folder).items()
                if ".merge_unfinished" not in name
            }
            early += there != whole
            if not changing:
                placed = {name: made for name, made in there.items() if "manifest" not in name}
                assert placed.items() <= whole.items(), "something half done stands at a place"
            run_split(*options, "--output-dir", root, "--export", folder)
            assert content_with_times(folder) == whole
    assert early, "no kill came before the end"
    assert files_with_stamps(dataset) == before


def test_two_exports_at_once_do_not_mix(dataset: Path, tmp_path: Path) -> None:
    command = [
        ROOT / "split_data.py",
        dataset,
        "--output-dir",
        tmp_path,
        "--export",
        tmp_path / "ready",
        "--quiet",
    ]
    quiet = {"stderr": subprocess.PIPE, "stdout": subprocess.DEVNULL, "text": True}
    both = [
        subprocess.Popen([sys.executable, *map(str, [*command, "--train", n])], **quiet)
        for n in (20, 30)
    ]
    said = [running.communicate()[1] for running in both]
    assert all(
        running.returncode == 0 or "run" in text for running, text in zip(both, said, strict=True)
    ), said
    run_split(dataset, "--output-dir", tmp_path, "--export", tmp_path / "ready", "--train", 20)
    run_split(dataset, "--output-dir", tmp_path, "--export", tmp_path / "alone", "--train", 20)
    assert content_with_times(tmp_path / "ready") == content_with_times(tmp_path / "alone")


def test_summary_names_the_folder_and_edited_files(export, tmp_path: Path) -> None:
    make_scored_topic(tmp_path / "DS/C/S/T", "a.png", captions={"a.txt": "a"})
    export("DS")
    (tmp_path / "ready/kohya.toml").write_text("mine")
    ran = run_script("split_data.py", "DS", "--export", "ready", cwd=tmp_path)
    assert ran.stdout.splitlines()[-3:] == [
        f"🚚 {tmp_path}/ready: 1 image, 1 caption",
        "✏️  Left as they are there, edited or not from an export: 1",
        "   kohya.toml",
    ]


def test_captions_are_exported_in_utf8_with_newlines_and_without_a_mark(tmp_path, export):
    contents = {
        "a.txt": "\ufeffan owl\r\nat night\r\n".encode(),
        "b.txt": "フクロウ".encode("utf-16"),
        "c.txt": b"a plain owl\n",
        "d.txt": b"eine Eule im M\xe4rz",
    }
    topic = make_scored_topic(tmp_path / "DS/C/S/T", "a.png", "b.png", "c.png", "d.png")
    for name, content in contents.items():
        (topic / name).write_bytes(content)
    data = export(tmp_path / "DS", "--train", 4, "--valid", 0)["export"]
    assert data["captions"] == 4 and data["odd_captions"] == [str(topic / "d.txt")]
    place = tmp_path / "ready/train/C/S/T"
    assert (place / "a.txt").read_bytes() == b"an owl\nat night\n"
    assert (place / "b.txt").read_text("utf-8") == "フクロウ"
    assert (place / "c.txt").read_bytes() == contents["c.txt"]
    assert (place / "d.txt").read_bytes() == contents["d.txt"]
    rows = (tmp_path / "ready/train/metadata.jsonl").read_text("utf-8").splitlines()
    texts = {row["name"]: row["text"] for row in map(json.loads, rows)}
    assert texts["a.png"] == "an owl\nat night" and texts["b.png"] == "フクロウ"
    assert export(tmp_path / "DS", "--train", 4, "--valid", 0)["export"]["put"] == 0
    (place / "a.txt").write_text("my own words")
    edited = export(tmp_path / "DS", "--train", 4, "--valid", 0)["export"]["edited"]
    assert edited == ["train/C/S/T/a.txt"]
    (topic / "b.png").unlink()
    (topic / "b.txt").unlink()
    export(tmp_path / "DS", "--train", 4, "--valid", 0, "--prune")
    assert not (place / "b.txt").exists()
