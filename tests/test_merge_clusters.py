"""merge_clusters.py: what is joined, dropped, renamed, copied along and refused."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from result_files import write_copies, write_scores, write_variants

import merge_clusters
from common import atomic_files, cache, cli, json_files, topic_scores
from common.cache import Provenance
from common.target_folder import TargetFolder
from common.topics import Topic
from merging import manifest

TIME = 1_700_000_000_123_456_789
MODEL = {"model": "tiny", "head": "tiny", "precision": "fp32"}
AT = Path("C/S/T")  # where most tests put their images


def write(path: Path, content: bytes | str = b"", when: int = TIME) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    os.utime(path, ns=(when, when))
    return path


def topic(folder: Path) -> Topic:
    parts = folder.parts[-4:]
    return Topic(str(folder), *parts, image_count=0)


def add_records(
    folder: Path,
    scores: Mapping[str, float] | None = None,
    matches=None,
    made_by=MODEL,
    pixels=None,
    variants=None,
):
    """Write the files into a topic that the scorer and the search for duplicates make."""
    there = topic(folder)
    stamps = there.image_stamps()
    extents = {name: (stamp, ((pixels or {}).get(name, 8), 8)) for name, stamp in stamps.items()}
    made = {}
    if scores is not None:
        write_scores(there, scores)
        made["scores"] = Provenance(
            made_by, {name: stamps[name] for name in scores if name in stamps}
        )
    if matches is not None:
        write_copies(there, {name: set(matches.get(name, ())) for name in [*stamps, *matches]})
        made["duplicates"] = Provenance({"method": "phash", "threshold": 10}, stamps)
    if variants is not None:
        write_variants(there, variants)
        made["variants"] = Provenance({"method": "phash"}, stamps)
    cache.update_cache(there, extents, **made)


def files(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder with its content, and every folder."""
    return {
        os.path.relpath(path, folder): path.read_bytes() if path.is_file() else b"folder"
        for path in sorted(folder.rglob("*"))
    }


def files_with_stamps(folder: Path) -> dict[str, tuple[bytes, int, int]]:
    """Return the same with times and permissions: equal only if nothing was touched."""
    return {
        name: (content, (folder / name).lstat().st_mtime_ns, (folder / name).lstat().st_mode)
        for name, content in files(folder).items()
    }


def manifest_lines(target: Path) -> list[dict]:
    return [
        json.loads(line) for line in (target / "merge_manifest.jsonl").read_bytes().splitlines()
    ]


@pytest.fixture
def merge(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., dict]:
    """Run a merge into `full`. Returns its JSON, with stderr as `talk`, and the exit status."""

    def run(*args: object, to: str = "full") -> dict:
        capsys.readouterr()
        status = cli.run_script(
            merge_clusters.main, [*map(str, args), "--output", str(tmp_path / to), "--json"]
        )
        said = capsys.readouterr()
        return {**(json.loads(said.out) if said.out else {}), "talk": said.err, "status": status}

    return run


def nonzero_counts(result: dict) -> dict[str, int]:
    names = (
        "found",
        "copied",
        "already_there",
        "duplicates",
        "variants",
        "identical",
        "unreadable",
        "renamed",
        "sidecars",
    )
    return {name: result[name] for name in names if result[name]}


# What is joined, dropped and renamed


def test_clusters_of_several_datasets_are_joined(tmp_path: Path, merge) -> None:
    for name in ("A/C/S/T/a.jpg", "A/C/S/U/a.jpg", "B/C/S/T/b.jpg", "B/D/S/T/a.jpg"):
        write(tmp_path / name, name)
    result = merge(tmp_path / "A", tmp_path / "B")
    assert nonzero_counts(result) == {"found": 4, "copied": 4}
    images = {
        name: content for name, content in files(tmp_path / "full").items() if name.endswith(".jpg")
    }
    assert images == {
        "C/S/T/a.jpg": b"A/C/S/T/a.jpg",
        "C/S/T/b.jpg": b"B/C/S/T/b.jpg",
        "C/S/U/a.jpg": b"A/C/S/U/a.jpg",
        "D/S/T/a.jpg": b"B/D/S/T/a.jpg",
    }
    assert [(line["source"], line["target"]) for line in manifest_lines(tmp_path / "full")] == [
        (str(tmp_path / "A/C/S/T/a.jpg"), "C/S/T/a.jpg"),
        (str(tmp_path / "B/C/S/T/b.jpg"), "C/S/T/b.jpg"),
        (str(tmp_path / "A/C/S/U/a.jpg"), "C/S/U/a.jpg"),
        (str(tmp_path / "B/D/S/T/a.jpg"), "D/S/T/a.jpg"),
    ]


def test_in_a_chain_of_copies_each_dropped_image_has_a_kept_direct_match(
    tmp_path: Path, merge
) -> None:
    folder = tmp_path / "A" / AT
    for name in ("a.jpg", "b.jpg", "c.jpg", "d.jpg"):
        write(folder / name, name)
    chain = {"a.jpg": ["b.jpg"], "b.jpg": ["a.jpg", "c.jpg"], "c.jpg": ["b.jpg"], "d.jpg": []}
    add_records(folder, matches=chain, pixels={"a.jpg": 30, "b.jpg": 20, "c.jpg": 10, "d.jpg": 1})
    result = merge(tmp_path / "A")
    assert nonzero_counts(result) == {"found": 4, "copied": 3, "duplicates": 1}
    assert [
        (os.path.basename(line["source"]), line["kept"], line["reason"])
        for line in manifest_lines(tmp_path / "full")
    ] == [
        ("a.jpg", None, ""),
        ("b.jpg", "C/S/T/a.jpg", "a copy of a.jpg, which stays: 1.5x the pixels"),
        ("c.jpg", None, ""),
        ("d.jpg", None, ""),
    ]
    assert nonzero_counts(merge(tmp_path / "A", "--keep-duplicates", to="all")) == {
        "found": 4,
        "copied": 4,
    }


VARIANTS = {
    "a.jpg": {"b.jpg": "cropped"},
    "b.jpg": {"c.jpg": "mirrored", "d.jpg": "doubtful"},
    "x.jpg": {"b.jpg": "turned"},
}


def test_variants_are_kept_unless_their_kind_is_given(tmp_path: Path, merge) -> None:
    folder = tmp_path / "A" / AT
    for name in ("a.jpg", "b.jpg", "c.jpg", "d.jpg", "x.jpg", "y.jpg"):
        write(folder / name, name)
    sizes = {name: 90 - ord(name[0]) + 97 for name in os.listdir(folder)}
    add_records(folder, matches={"x.jpg": ["y.jpg"]}, variants=VARIANTS, pixels=sizes)
    write(folder / "x.jpg", "changed")
    assert nonzero_counts(merge(tmp_path / "A", to="all")) == {"found": 6, "copied": 6}
    result = merge(tmp_path / "A", "--drop-variants", "mirrored,cropped,turned")
    assert nonzero_counts(result) == {"found": 6, "copied": 5, "variants": 1}
    assert (
        "variants_T.json: no longer fits its folder (run find_duplicates.py --variants again)"
        in result["talk"]
    )
    told = {
        os.path.basename(line["source"]): (line["action"], line["kept"], line["reason"])
        for line in manifest_lines(tmp_path / "full")
    }
    assert told == {
        **dict.fromkeys(
            ("a.jpg", "c.jpg", "d.jpg", "x.jpg", "y.jpg"), ("copied", None, "")
        ),  # c only matches b
        "b.jpg": (
            "variant",
            "C/S/T/a.jpg",
            "a variant of a.jpg (cropped), which stays: more pixels",
        ),
    }


def test_copies_and_dropped_variants_are_decided_in_one_walk(tmp_path: Path, merge) -> None:
    """c is a copy of b, but b is dropped as a variant of a: c matches no kept image and is kept."""
    folder = tmp_path / "A" / AT
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        write(folder / name, name)
    sizes = {"a.jpg": 30, "b.jpg": 20, "c.jpg": 10}
    add_records(
        folder, matches={"b.jpg": ["c.jpg"]}, variants={"a.jpg": {"b.jpg": "cropped"}}, pixels=sizes
    )
    for options, stay in (
        ((), "ab"),
        (("--drop-variants", "cropped"), "ac"),
        (("--drop-variants", "cropped", "--keep-duplicates"), "ac"),
        (("--drop-variants", "mirrored", "--keep-duplicates"), "abc"),
    ):
        assert merge(tmp_path / "A", *options, to=f"full{len(options)}{stay}")["status"] == 0
        there = sorted(
            path.name for path in (tmp_path / f"full{len(options)}{stay}" / AT).glob("*.jpg")
        )
        assert there == [f"{letter}.jpg" for letter in stay], options


@pytest.mark.parametrize(
    ("kinds", "said"),
    [("doubtful", "doubtful pairs never drop an image"), ("turned,copy", "'copy' is no kind")],
)
def test_doubtful_and_unknown_kinds_are_refused(
    tmp_path: Path, capsys, kinds: str, said: str
) -> None:
    write(tmp_path / "A" / AT / "a.jpg")
    with pytest.raises(SystemExit, match="2"):
        merge_clusters.main(
            [str(tmp_path / "A"), "--output", str(tmp_path / "full"), "--drop-variants", kinds]
        )
    assert said in capsys.readouterr().err and not (tmp_path / "full").exists()


def test_summary_counts_dropped_variants(tmp_path: Path, capsys) -> None:
    folder = tmp_path / "A" / AT
    write(folder / "a.jpg", "a"), write(folder / "b.jpg", "b")
    add_records(folder, matches={}, variants={"a.jpg": {"b.jpg": "turned"}})
    merge_clusters.main(
        [str(tmp_path / "A"), "--output", str(tmp_path / "full"), "--drop-variants", "turned"]
    )
    assert (
        capsys.readouterr().out.splitlines()[4]
        == "🔀 1 variant dropped, because of --drop-variants"
    )


def test_copy_with_best_resolution_times_score_is_kept(tmp_path: Path, merge) -> None:
    folder = tmp_path / "A" / AT
    write(folder / "large.jpg", "large"), write(folder / "fine.jpg", "fine")
    add_records(
        folder,
        {"large.jpg": 2, "fine.jpg": 9},
        {"large.jpg": ["fine.jpg"]},
        pixels={"large.jpg": 20, "fine.jpg": 10},
    )
    merge(tmp_path / "A")
    assert sorted(path.name for path in (tmp_path / "full").rglob("*.jpg")) == ["fine.jpg"]


def test_images_that_are_new_or_changed_since_the_search_are_kept(tmp_path: Path, merge) -> None:
    folder = tmp_path / "A" / AT
    for name in ("a.jpg", "b.jpg", "c.jpg", "gone.jpg"):
        write(folder / name, name)
    add_records(
        folder,
        matches={"a.jpg": ["b.jpg", "gone.jpg"], "b.jpg": ["c.jpg"]},
        pixels={"gone.jpg": 99},
    )
    (folder / "gone.jpg").unlink()
    write(folder / "b.jpg", "changed")
    write(folder / "new.jpg", "new")
    result = merge(tmp_path / "A")
    assert nonzero_counts(result) == {"found": 4, "copied": 4}
    assert "1 not in it (new.jpg); 1 changed since (b.jpg); 1 gone (gone.jpg)" in result["talk"]


def test_other_bytes_at_the_same_path_are_kept_under_a_new_name(tmp_path: Path, merge) -> None:
    for number, dataset in enumerate(("A", "DataSet_2", "else/DataSet_2", "D")):
        write(tmp_path / dataset / AT / "photo.jpg", str(number % 3))  # D has the bytes of A
    result = merge(*(tmp_path / name for name in ("A", "DataSet_2", "else/DataSet_2", "D")))
    assert nonzero_counts(result) == {"found": 4, "copied": 3, "identical": 1, "renamed": 2}
    images = {path.name: path.read_text() for path in (tmp_path / "full").rglob("*.jpg")}
    assert images == {"photo.jpg": "0", "photo__DataSet_2.jpg": "1", "photo__DataSet_2_2.jpg": "2"}


def test_identical_image_is_recognized_under_its_new_name(tmp_path: Path, merge) -> None:
    for dataset, content in (("A", "1"), ("B", "2"), ("E", "2")):
        write(tmp_path / dataset / AT / "photo.jpg", content)
    assert nonzero_counts(merge(*(tmp_path / name for name in "ABE"))) == {
        "found": 3,
        "copied": 2,
        "identical": 1,
        "renamed": 1,
    }


def test_names_that_differ_only_by_case_stay_separate(tmp_path: Path, merge) -> None:
    for name in ("a.jpg", "A.jpg", "A.JPG", "é.jpg", "e\u0301.jpg"):
        write(tmp_path / "DS" / AT / name, name)
    assert nonzero_counts(merge(tmp_path / "DS")) == {"found": 5, "copied": 5, "renamed": 3}
    names = [path.name for path in (tmp_path / "full" / AT).iterdir()]
    assert len({name.casefold() for name in names}) == 5
    assert sorted(names) == sorted(
        ["A.JPG", "A__DS.jpg", "a__DS_2.jpg", "e\u0301.jpg", "é__DS.jpg"]
    )


def test_new_name_that_is_too_long_is_cut_at_the_end_of_its_stem(tmp_path: Path, merge) -> None:
    long = "é" * 125 + "a.jpg"  # 255 bytes
    for dataset in ("A", "B"):
        write(tmp_path / dataset / AT / long, dataset)
        write(tmp_path / dataset / AT / (long[:-4] + ".txt"), f"caption of {dataset}")
    assert nonzero_counts(merge(tmp_path / "A", tmp_path / "B"))["renamed"] == 1
    there = {path.name: path.read_text() for path in (tmp_path / "full" / AT).iterdir()}
    assert there == {
        long: "A",
        long[:-4] + ".txt": "caption of A",
        "é" * 124 + "__B.jpg": "B",
        "é" * 124 + "__B.txt": "caption of B",
    }


@pytest.mark.parametrize(
    "name",
    [
        "with space.jpg",
        "'q\".jpg",
        "new\nline.jpg",
        "-rf.jpg",
        "梟.jpg",
        "caf\udce9.jpg",
        "a%s{}.jpg",
        "a.b.c.jpg",
    ],
)
def test_any_name_survives(tmp_path: Path, merge, name: str) -> None:
    for dataset in ("A", "B"):
        write(tmp_path / dataset / AT / name, dataset)
    assert nonzero_counts(merge(tmp_path / "A", tmp_path / "B")) == {
        "found": 2,
        "copied": 2,
        "renamed": 1,
    }
    stem, extension = os.path.splitext(name)
    assert (tmp_path / "full" / AT / name).read_text() == "A"
    assert (tmp_path / "full" / AT / f"{stem}__B{extension}").read_text() == "B"
    assert [line["source"] for line in manifest_lines(tmp_path / "full")] == [
        str(tmp_path / d / AT / name) for d in "AB"
    ]


# Captions and other files


def test_captions_follow_their_image_to_its_new_name(tmp_path: Path, merge) -> None:
    for dataset in ("A", "B"):
        for suffix in (".jpg", ".txt", ".caption", ".json", ".jpg.json", ".npz"):
            write(tmp_path / dataset / AT / f"photo{suffix}", dataset + suffix)
    result = merge(tmp_path / "A", tmp_path / "B")
    assert nonzero_counts(result) == {"found": 2, "copied": 2, "renamed": 1, "sidecars": 10}
    there = {path.name: path.read_text() for path in (tmp_path / "full" / AT).iterdir()}
    suffixes = (".jpg", ".txt", ".caption", ".json", ".jpg.json", ".npz")
    assert there == {f"photo{s}": f"A{s}" for s in suffixes} | {
        f"photo__B{s}": f"B{s}" for s in suffixes
    }


def test_caption_never_ends_up_beside_another_image(tmp_path: Path, merge) -> None:
    write(tmp_path / "A" / AT / "photo.jpg", "1")
    write(tmp_path / "B" / AT / "photo.png", "2"), write(tmp_path / "B" / AT / "photo.txt", "of B")
    write(tmp_path / "E" / AT / "photo.gif", "3")
    assert nonzero_counts(merge(*(tmp_path / name for name in "ABE"))) == {
        "found": 3,
        "copied": 3,
        "renamed": 1,
        "sidecars": 1,
    }
    there = {path.name for path in (tmp_path / "full" / AT).iterdir()}
    assert there == {"photo.jpg", "photo__B.png", "photo__B.txt", "photo.gif"}


def test_two_images_of_one_stem_keep_their_shared_caption(tmp_path: Path, merge) -> None:
    write(tmp_path / "A" / AT / "photo.jpg", "A")
    for suffix in (".jpg", ".png", ".txt"):
        write(tmp_path / "B" / AT / f"photo{suffix}", "B" + suffix)
    merge(tmp_path / "A", tmp_path / "B")
    there = {path.name: path.read_text() for path in (tmp_path / "full" / AT).iterdir()}
    assert there == {"photo.jpg": "A"} | {f"photo__B{s}": f"B{s}" for s in (".jpg", ".png", ".txt")}


def test_identical_images_keep_the_first_caption_and_the_other_is_reported(
    tmp_path: Path, merge
) -> None:
    for dataset in ("A", "B", "E"):
        write(tmp_path / dataset / AT / "photo.jpg", "same")
        write(tmp_path / dataset / AT / "photo.txt", dataset)
    write(tmp_path / "E" / AT / "photo.json", "only E has this")
    result = merge(*(tmp_path / name for name in "ABE"))
    assert nonzero_counts(result) == {"found": 3, "copied": 1, "identical": 2, "sidecars": 2}
    there = {path.name: path.read_text() for path in (tmp_path / "full" / AT).iterdir()}
    assert there == {"photo.jpg": "same", "photo.txt": "A", "photo.json": "only E has this"}
    assert result["left_behind"] == [
        {
            "path": str(tmp_path / name / AT / "photo.txt"),
            "reason": "differs from photo.txt, which is kept",
        }
        for name in "BE"
    ]


def test_files_without_an_image_are_reported_not_copied(tmp_path: Path, merge) -> None:
    folder = tmp_path / "A" / AT
    for name in (
        "a.jpg",
        "notes.md",
        "duplicates_T.jpg",
        "aesthetic_data.jpg",
        ".DS_Store",
        "b.jpg",
        "b.txt",
    ):
        write(folder / name, name)
    add_records(folder, {"a.jpg": 5}, {"a.jpg": ["b.jpg"]}, pixels={"a.jpg": 50})
    shutil.copy(folder.parent / "duplicates_T.json", folder / "duplicates_T.json")
    os.mkfifo(folder / "a.txt")
    result = merge(tmp_path / "A")
    assert {(os.path.basename(left["path"]), left["reason"]) for left in result["left_behind"]} == {
        ("notes.md", "goes with no image"),
        (".DS_Store", "goes with no image"),
        ("a.txt", "cannot be read"),
    }
    assert {path.name for path in (tmp_path / "full" / AT).iterdir()} == {
        *("a.jpg", "duplicates_T.jpg", "aesthetic_data.jpg", "aesthetic_data.json", ".cache"),
        "a.txt",  # the caption of b.jpg
    }


# Scores, sizes and their provenance


def test_scores_provenance_and_sizes_are_merged_under_the_new_names(tmp_path: Path, merge) -> None:
    for dataset in ("A", "B"):
        write(tmp_path / dataset / AT / "photo.jpg", dataset)
        write(tmp_path / dataset / AT / "same.jpg", "same", when=TIME + len(dataset) + ord(dataset))
    add_records(tmp_path / "A" / AT, {"photo.jpg": 5.5})
    add_records(
        tmp_path / "B" / AT,
        {"photo.jpg": 6.5, "same.jpg": 7.5},
        made_by={**MODEL, "precision": "bf16"},
    )
    merge(tmp_path / "A", tmp_path / "B")
    there = topic(tmp_path / "full" / AT)
    assert topic_scores.read_scores(there) == {
        "photo.jpg": 5.5,
        "photo__B.jpg": 6.5,
        "same.jpg": 7.5,
    }
    known = cache.load_cache(there)
    digest = atomic_files.file_digest(json_files.scores_path(there))
    assert known.scores == Provenance(
        {**MODEL, "precision": "bf16+fp32"}, there.image_stamps(), digest
    )
    assert all(known.extent(name, stamp) == (8, 8) for name, stamp in there.image_stamps().items())


def test_scores_of_different_models_need_mixed_scores(tmp_path: Path, merge) -> None:
    for dataset, path in (("A", AT), ("B", Path("C/S/U"))):
        write(tmp_path / dataset / path / "a.jpg", dataset)
        add_records(
            tmp_path / dataset / path,
            {"a.jpg": 5},
            made_by={"model": f"model of {dataset}", "head": "h"},
        )
    result = merge(tmp_path / "A", tmp_path / "B")
    assert (
        result["status"] == 2
        and "--mixed-scores" in result["talk"]
        and result["talk"].count("\n") == 1
    )
    assert not (tmp_path / "full").exists()
    assert nonzero_counts(merge(tmp_path / "A", tmp_path / "B", "--mixed-scores")) == {
        "found": 2,
        "copied": 2,
    }


def test_provenance_of_mixed_scores_lists_the_models(tmp_path: Path, merge) -> None:
    for dataset in ("A", "B"):
        write(tmp_path / dataset / AT / f"{dataset}.jpg", dataset)
        add_records(
            tmp_path / dataset / AT, {f"{dataset}.jpg": 5}, made_by={"model": f"model {dataset}"}
        )
    assert merge(tmp_path / "A", tmp_path / "B")["status"] == 2
    merge(tmp_path / "A", tmp_path / "B", "--mixed-scores")
    made = cache.load_cache(topic(tmp_path / "full" / AT)).scores
    assert made and made.made_by["model"] == "several models (model A; model B)"
    before = files_with_stamps(tmp_path / "full")
    merge(tmp_path / "A", tmp_path / "B", "--mixed-scores")
    assert files_with_stamps(tmp_path / "full") == before


def test_outdated_score_is_still_outdated_after_the_merge(tmp_path: Path, merge) -> None:
    path = write(tmp_path / "A" / AT / "a.jpg", "a")
    add_records(tmp_path / "A" / AT, {"a.jpg": 5})
    write(path, "other bytes", when=TIME + 1)
    merge(tmp_path / "A")
    there = topic(tmp_path / "full" / AT)
    made = cache.load_cache(there).scores
    assert made and made.images["a.jpg"] == (1, TIME) != there.image_stamps()["a.jpg"]


def test_scores_made_in_the_target_are_kept(tmp_path: Path, merge) -> None:
    write(tmp_path / "A" / AT / "a.jpg", "a")
    add_records(tmp_path / "A" / AT, {"a.jpg": 5})
    merge(tmp_path / "A")
    add_records(tmp_path / "full" / AT, {"a.jpg": 9}, made_by={"model": "another"})
    before = files_with_stamps(tmp_path / "full")
    assert nonzero_counts(merge(tmp_path / "A")) == {"found": 1, "already_there": 1}
    assert files_with_stamps(tmp_path / "full") == before


# Copies and links, times and permissions


def test_copies_keep_times_and_permissions(tmp_path: Path, merge) -> None:
    path = write(tmp_path / "A" / AT / "a.jpg", "a")
    path.chmod(0o440)
    merge(tmp_path / "A")
    made = (tmp_path / "full" / AT / "a.jpg").stat()
    assert (made.st_mtime_ns, made.st_mode) == (
        TIME,
        path.stat().st_mode,
    ) and made.st_ino != path.stat().st_ino


@pytest.mark.parametrize("mode", ["hardlink", "symlink"])
def test_only_images_are_linked(tmp_path: Path, merge, mode: str) -> None:
    image, caption = (
        write(tmp_path / "A" / AT / "a.jpg", "12345"),
        write(tmp_path / "A" / AT / "a.txt", "caption"),
    )
    add_records(tmp_path / "A" / AT, {"a.jpg": 5})
    result = merge(tmp_path / "A", "--mode", mode)
    there = tmp_path / "full" / AT
    assert (there / "a.jpg").samefile(image) and (there / "a.jpg").is_symlink() == (
        mode == "symlink"
    )
    assert not (there / "a.txt").samefile(caption) and (there / "a.txt").read_text() == "caption"
    assert (result["bytes_copied"], result["bytes_saved"]) == (7, 5)
    made = cache.load_cache(topic(there)).scores
    assert made and made.images == topic(there).image_stamps()
    before = files_with_stamps(tmp_path / "full")
    assert nonzero_counts(merge(tmp_path / "A", "--mode", mode)) == {"found": 1, "already_there": 1}
    assert files_with_stamps(tmp_path / "full") == before


@pytest.mark.parametrize("mode", ["copy", "hardlink", "symlink"])
def test_symlinked_images_and_topics_are_followed(tmp_path: Path, merge, mode: str) -> None:
    behind = write(tmp_path / "else/real.bin", "pixels")
    (tmp_path / "A" / AT).mkdir(parents=True)
    (tmp_path / "A" / AT / "a.jpg").symlink_to(behind)
    (tmp_path / "A" / AT / "dangling.jpg").symlink_to("nowhere")
    write(tmp_path / "else/U/b.jpg", "b")
    (tmp_path / "A/C/S/U").symlink_to(tmp_path / "else/U")
    assert nonzero_counts(merge(tmp_path / "A", "--mode", mode)) == {"found": 2, "copied": 2}
    there = tmp_path / "full" / AT / "a.jpg"
    assert there.read_text() == "pixels" and (tmp_path / "full/C/S/U/b.jpg").read_text() == "b"
    assert there.is_symlink() == (mode == "symlink") and there.samefile(behind) == (mode != "copy")


# Merging again, and into an existing target


def test_dataset_added_later_keeps_earlier_names_and_images(tmp_path: Path, merge) -> None:
    for dataset in ("A", "B", "E"):
        write(tmp_path / dataset / AT / "photo.jpg", dataset)
    write(tmp_path / "B" / AT / "0.jpg", "from B")
    merge(tmp_path / "B")
    first, images = manifest_lines(tmp_path / "full"), files(tmp_path / "full" / AT)
    assert nonzero_counts(merge(tmp_path / "A")) == {"found": 1, "copied": 1, "renamed": 1}
    assert nonzero_counts(merge(tmp_path / "E", tmp_path / "A", tmp_path / "B")) == {
        "found": 4,
        "copied": 1,
        "renamed": 1,
        "already_there": 3,
    }
    assert (
        manifest_lines(tmp_path / "full")[:2] == first
        and len(manifest_lines(tmp_path / "full")) == 4
    )
    there = files(tmp_path / "full" / AT)
    assert there == images | {"photo__A.jpg": b"A", "photo__E.jpg": b"E"}


def test_source_changed_after_the_merge_is_merged_beside_the_earlier_copy(
    tmp_path: Path, merge
) -> None:
    path = write(tmp_path / "A" / AT / "photo.jpg", "old")
    merge(tmp_path / "A")
    write(path, "newer", when=TIME + 1)
    assert nonzero_counts(merge(tmp_path / "A")) == {"found": 1, "copied": 1, "renamed": 1}
    assert {p.name: p.read_text() for p in (tmp_path / "full" / AT).iterdir()} == {
        "photo.jpg": "old",
        "photo__A.jpg": "newer",
    }
    assert [(line["action"], line["target"]) for line in manifest_lines(tmp_path / "full")] == [
        ("superseded", "C/S/T/photo.jpg"),
        ("renamed", "C/S/T/photo__A.jpg"),
    ]
    before = files_with_stamps(tmp_path / "full")
    assert nonzero_counts(merge(tmp_path / "A")) == {"found": 1, "already_there": 1}
    assert files_with_stamps(tmp_path / "full") == before


def test_source_with_a_new_time_and_the_same_bytes_is_the_same_image(tmp_path: Path, merge) -> None:
    path = write(tmp_path / "A" / AT / "photo.jpg", "same")
    merge(tmp_path / "A")
    os.utime(path, ns=(TIME, TIME + 5))
    assert nonzero_counts(merge(tmp_path / "A")) == {"found": 1, "already_there": 1}


def test_image_edited_in_the_target_is_kept_and_reported(tmp_path: Path, merge) -> None:
    write(tmp_path / "A" / AT / "photo.jpg", "as it was")
    merge(tmp_path / "A")
    edited = write(tmp_path / "full" / AT / "photo.jpg", "cropped", when=TIME + 9)
    result = merge(tmp_path / "A")
    assert nonzero_counts(result) == {"found": 1, "already_there": 1} and result["edited"] == [
        str(edited)
    ]
    assert edited.read_text() == "cropped"


def test_copies_found_after_the_merge_stay_in_the_target(tmp_path: Path, merge) -> None:
    folder = tmp_path / "A" / AT
    write(folder / "a.jpg", "a"), write(folder / "b.jpg", "b")
    merge(tmp_path / "A")
    add_records(folder, matches={"a.jpg": ["b.jpg"]})
    assert nonzero_counts(merge(tmp_path / "A")) == {"found": 2, "already_there": 2}


def test_dry_run_lists_what_the_run_then_does_and_writes_nothing(tmp_path: Path, merge) -> None:
    for dataset in ("A", "B"):
        (
            write(tmp_path / dataset / AT / "photo.jpg", dataset),
            write(tmp_path / dataset / AT / "photo.txt", dataset),
        )
        (
            write(tmp_path / dataset / AT / "same.jpg", "same"),
            write(tmp_path / dataset / AT / "small.jpg", "same"),
        )
    add_records(tmp_path / "A" / AT, matches={"same.jpg": ["small.jpg"]})
    before = files_with_stamps(tmp_path)
    dry = merge(tmp_path / "A", tmp_path / "B", "--dry-run")
    assert files_with_stamps(tmp_path) == before and dry["dry_run"]
    done = merge(tmp_path / "A", tmp_path / "B")
    actions = dry.pop("actions")
    unlike = {"dry_run", "bytes_free"}
    assert {k: v for k, v in dry.items() if k not in unlike} == {
        k: v for k, v in done.items() if k not in unlike
    }
    copied = {
        action["target"]: Path(action["source"]).read_bytes()
        for action in actions
        if action["action"] == "copy"
    }
    there = files(tmp_path / "full")
    assert copied == {name: there[name] for name in there if name.endswith((".jpg", ".txt"))}
    assert {
        (a["source"], a["action"]) for a in actions if a["action"] in ("duplicate", "identical")
    } == {
        (line["source"], line["action"])
        for line in manifest_lines(tmp_path / "full")
        if not line["target"]
    }


def test_dry_run_prints_a_line_per_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "A" / AT / "new\nline.jpg", "x"), write(tmp_path / "A" / AT / "notes.md", "x")
    cli.run_script(
        merge_clusters.main,
        [str(tmp_path / "A"), "--output", str(tmp_path / "full"), "--dry-run", "-v"],
    )
    out = capsys.readouterr().out.splitlines()
    assert out[0] == f"copy       {tmp_path}/A/C/S/T/new\\nline.jpg → C/S/T/new\\nline.jpg"
    assert out[1] == f"skip       {tmp_path}/A/C/S/T/notes.md (goes with no image)"
    assert out[3].startswith("📦 Would merge 1 dataset into")


def test_dry_run_lists_what_is_not_plainly_copied(tmp_path: Path, capsys) -> None:
    for dataset in "AB":
        write(tmp_path / dataset / AT / "a.jpg", dataset)
        write(tmp_path / dataset / AT / f"only {dataset}.jpg", dataset)
    paths = [str(tmp_path / "A"), str(tmp_path / "B"), "--output", str(tmp_path / "full")]
    cli.run_script(merge_clusters.main, [*paths, "--dry-run"])
    out = capsys.readouterr().out.splitlines()
    assert out[0].startswith(f"copy       {tmp_path}/B/C/S/T/a.jpg → C/S/T/a__B.jpg")
    assert out[1] == "3 files more copied as they are (-v lists all)"
    assert any("1 image would be renamed" in line for line in out)


# Refused before anything is written


def damaged_scores(tmp: Path) -> list[str]:
    write(tmp / "A" / AT / "aesthetic_data.json", "{")
    return []


def damaged_duplicates(tmp: Path) -> list[str]:
    write(tmp / "A/C/S/duplicates_T.json", '{"a.jpg": 3}')
    return []


def damaged_manifest(tmp: Path) -> list[str]:
    write(tmp / "full/merge_manifest.jsonl", '{"source": "x"}\n')
    return []


def foreign_target(tmp: Path) -> list[str]:
    write(tmp / "full/precious.txt", "x")
    return []


def target_is_a_file(tmp: Path) -> list[str]:
    write(tmp / "full", "x")
    return []


def target_in_source(tmp: Path) -> list[str]:
    return ["--output", str(tmp / "A/full")]


def target_is_source(tmp: Path) -> list[str]:
    (tmp / "alias").symlink_to(tmp / "A")
    return ["--output", str(tmp / "alias")]


def source_in_target(tmp: Path) -> list[str]:
    return ["--output", str(tmp)]


def source_in_target_by_link(tmp: Path) -> list[str]:
    write(tmp / "full/D/C/S/U/b.jpg", "x")
    (tmp / "A/C/S/U").symlink_to(tmp / "full/D/C/S/U")
    return []


def folder_without_images(tmp: Path) -> list[str]:
    write(tmp / "B/C/notes.txt", "x")
    return [str(tmp / "B")]


def no_folder(tmp: Path) -> list[str]:
    return [str(tmp / "typo")]


@pytest.mark.parametrize(
    ("arrange", "said"),
    [
        (damaged_scores, "aesthetic_data.json: damaged"),
        (damaged_duplicates, "duplicates_T.json: damaged"),
        (damaged_manifest, "line 1 is not a whole one"),
        (foreign_target, "not empty, and no merge made it"),
        (target_is_a_file, "not a folder"),
        (target_in_source, "one contains the other"),
        (target_is_source, "one contains the other"),
        (source_in_target, "one contains the other"),
        (source_in_target_by_link, "one contains the other"),
        (folder_without_images, "not a dataset"),
        (no_folder, "no such folder"),
    ],
)
def test_refused_before_anything_is_written(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arrange: Callable[[Path], list[str]],
    said: str,
) -> None:
    write(tmp_path / "A" / AT / "a.jpg", "x")
    more = arrange(tmp_path)
    before = files_with_stamps(tmp_path)
    status = cli.run_script(
        merge_clusters.main, ["--output", str(tmp_path / "full"), str(tmp_path / "A"), *more]
    )
    error = capsys.readouterr().err.splitlines()[-1]
    assert status == 2 and said in error and files_with_stamps(tmp_path) == before


def test_too_little_free_space_is_refused_before_anything_is_written(tmp_path: Path, merge) -> None:
    path = write(tmp_path / "A" / AT / "a.jpg")
    os.truncate(path, shutil.disk_usage(tmp_path).total)  # a sparse file
    result = merge(tmp_path / "A")
    assert result["status"] == 2 and "needed" in result["talk"] and not (tmp_path / "full").exists()
    assert nonzero_counts(merge(tmp_path / "A", "--mode", "hardlink")) == {"found": 1, "copied": 1}


def test_source_that_changes_between_plan_and_copy_is_refused(
    tmp_path: Path, merge, monkeypatch
) -> None:
    path = write(tmp_path / "A" / AT / "a.jpg", "seen by the plan")
    apply = merge_clusters.merge.apply_merge
    monkeypatch.setattr(
        merge_clusters.merge,
        "apply_merge",
        lambda *args: (write(path, "not", TIME + 1), apply(*args)),
    )
    result = merge(tmp_path / "A")
    assert result["status"] == 2 and "changed while it was copied" in result["talk"]
    assert sorted(files(tmp_path / "full")) == ["C", "C/S", "C/S/T", "merge_manifest.jsonl"]
    monkeypatch.undo()
    assert nonzero_counts(merge(tmp_path / "A")) == {"found": 1, "copied": 1}


def test_file_that_appears_in_the_target_meanwhile_is_not_overwritten(
    tmp_path: Path, merge, monkeypatch
) -> None:
    write(tmp_path / "A" / AT / "a.jpg", "a")
    mine = tmp_path / "full" / AT / "a.jpg"
    apply = merge_clusters.merge.apply_merge
    monkeypatch.setattr(
        merge_clusters.merge, "apply_merge", lambda *args: (write(mine, "mine"), apply(*args))
    )
    result = merge(tmp_path / "A")
    assert (
        result["status"] == 2
        and "created it during this run" in result["talk"]
        and mine.read_text() == "mine"
    )


def test_second_merge_into_the_same_target_is_refused(tmp_path: Path, merge) -> None:
    write(tmp_path / "A" / AT / "a.jpg", "a")
    with TargetFolder(str(tmp_path / "full"), "--output") as folder, folder.lock():
        result = merge(tmp_path / "A")
    assert result["status"] == 2 and "another run is writing to it" in result["talk"]


# Permissions


@pytest.fixture
def public_folder() -> Iterator[Path]:
    """A folder that any user may enter and write to."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o777)
    yield folder
    shutil.rmtree(folder)


def merge_as_nobody(said: Path, *args: object) -> int:
    """Run a merge without root's powers, in a child process. Its output goes to `said`."""
    child = os.fork()
    if child == 0:
        status = 99
        try:
            if os.geteuid() == 0:
                os.setresgid(65534, 65534, 65534)
                os.setresuid(65534, 65534, 65534)
            with open(said, "w") as sys.stdout, open(said, "a") as sys.stderr:
                status = cli.run_script(merge_clusters.main, [*map(str, args), "--json"])
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_image_without_permission_is_reported_and_merged_later(public_folder: Path) -> None:
    for name in ("a.jpg", "b.jpg", "secret.jpg", "secret2.jpg"):
        write(public_folder / "A" / AT / name, name)
    add_records(
        public_folder / "A" / AT, matches={"secret.jpg": ["b.jpg"]}, pixels={"secret.jpg": 99}
    )
    for name in ("secret.jpg", "secret2.jpg"):
        (public_folder / "A" / AT / name).chmod(0)
    args = (public_folder / "A", "--output", public_folder / "full")
    assert merge_as_nobody(public_folder / "said", *args) == 0
    assert merge_as_nobody(public_folder / "said", *args, "--strict") == 1
    assert "secret.jpg: permission denied" in (public_folder / "said").read_text()
    assert [
        (line["action"], line["target"]) for line in manifest_lines(public_folder / "full")
    ] == [
        ("copied", "C/S/T/a.jpg"),
        ("copied", "C/S/T/b.jpg"),
        ("unreadable", None),
        ("unreadable", None),
    ]
    for name in ("secret.jpg", "secret2.jpg"):
        (public_folder / "A" / AT / name).chmod(0o444)
    assert merge_as_nobody(public_folder / "said", *args) == 0
    assert (public_folder / "full" / AT / "secret2.jpg").read_text() == "secret2.jpg"
    lines = manifest_lines(public_folder / "full")
    reasons = {os.path.basename(line["source"]): line["reason"] for line in lines}
    assert reasons["secret.jpg"] == "a copy of b.jpg, which stays: it is in the target already"


def test_read_only_target_is_refused(public_folder: Path) -> None:
    write(public_folder / "A" / AT / "a.jpg", "a")
    (public_folder / "locked").mkdir(mode=0o555)
    assert (
        merge_as_nobody(
            public_folder / "said", public_folder / "A", "--output", public_folder / "locked/full"
        )
        == 2
    )
    assert "locked: not writable" in (public_folder / "said").read_text()
    other = manifest.ManifestLine(
        "/B/C/S/T/b.jpg", (1, 1), manifest.UNREADABLE, reason="permission denied"
    )
    write(public_folder / "full/merge_manifest.jsonl", other.to_json())
    (public_folder / "full" / AT).mkdir(parents=True, mode=0o555)
    (public_folder / "full").chmod(0o777)
    assert (
        merge_as_nobody(
            public_folder / "said", public_folder / "A", "--output", public_folder / "full"
        )
        == 2
    )
    assert "check the permissions of both" in (public_folder / "said").read_text()


def test_topics_that_differ_only_by_case_stay_separate_if_the_file_system_allows(
    tmp_path: Path, merge
) -> None:
    for name in ("C/S/a/x.jpg", "C/S/A/x.jpg"):
        write(tmp_path / "DS" / name, name)
    assert nonzero_counts(merge(tmp_path / "DS")) == {"found": 2, "copied": 2}
    assert (tmp_path / "full/C/S/a/x.jpg").read_text() == "C/S/a/x.jpg"
    assert not merge_clusters.merge._ignores_case(str(tmp_path))


def test_files_in_no_topic_are_named_a_line_a_folder(tmp_path: Path, merge, capsys) -> None:
    for name in ("C/S/T/a.jpg", "C/S/U/b.jpg"):
        write(tmp_path / "A" / name, name)
    for name in ("LICENSE", "labels/train/a.txt", "labels/train/b.txt", "C/S/notes.md"):
        write(tmp_path / "A" / name, "text")
    write(tmp_path / "A/decisions.json", "{}")
    write(tmp_path / "A/misplaced/x.jpg", "image")
    write(tmp_path / "A/misplaced/x.txt", "its caption")
    result = merge(tmp_path / "A", "--include", "C/S/T")
    assert result["status"] == 0, result["talk"]
    assert {left["path"]: left["reason"] for left in result["left_behind"]} == {
        str(tmp_path / "A"): "1 file in no topic: LICENSE",
        str(tmp_path / "A/C/S"): "1 file in no topic: notes.md",
        str(tmp_path / "A/labels"): "2 files in no topic: train/a.txt, train/b.txt",
    }
    assert merge(tmp_path / "A/C/S/T", "--dry-run", to="other")["left_behind"] == []


def test_a_merge_says_what_was_never_searched_and_what_is_still_in(
    tmp_path: Path, merge, capsys
) -> None:
    for dataset in "AB":
        write(tmp_path / dataset / AT / f"{dataset}.jpg", dataset)
    assert merge(tmp_path / "A", tmp_path / "B", to="plain")["not_searched"] == 2
    add_records(tmp_path / "A" / AT, matches={})
    add_records(tmp_path / "B" / AT, matches={})

    def last_lines(*datasets: str) -> list[str]:
        target = tmp_path / f"full {len(datasets)}"
        arguments = [str(tmp_path / dataset) for dataset in datasets]
        capsys.readouterr()
        assert cli.run_script(merge_clusters.main, [*arguments, "--output", str(target)]) == 0
        return capsys.readouterr().out.splitlines()[-2:]

    note, step = last_lines("A", "B")
    assert "copies across datasets are still in" in note
    assert "next: " in step and "find_duplicates.py" in step
    note, step = last_lines("A")
    assert "still in" not in note and "next: " in step
    assert merge(tmp_path / "A", tmp_path / "B")["not_searched"] == 0
