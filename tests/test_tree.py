"""Which folders are topics, whatever folder is given and whatever it contains."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
import zoo
from conftest import ROOT

from common import image_formats, tree
from common.errors import UserError

PARTS = ("D", "C", "S", "T")  # names of a dataset, a cluster, a subcluster and a topic


@pytest.fixture
def fill(tmp_path):
    """Make empty files (the walk opens none): fill("D/C/S/T/a.jpg", ...)."""

    def make(*paths: str) -> Path:
        for path in paths:
            file = tmp_path / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(b"")
        return tmp_path

    return make


def find_labels(*paths: Path | str) -> tuple[list[tuple[str, int]], list[str]]:
    """Return labels and counts of the topics, and the warnings."""
    warnings: list[str] = []
    topics = tree.find_topics([str(path) for path in paths], warnings.append)
    return [(topic.label, topic.image_count) for topic in topics], warnings


def error_message(*paths: Path | str) -> str:
    with pytest.raises(UserError) as error:
        find_labels(*paths)
    return str(error.value)


@pytest.mark.parametrize("start", ["D", "D/C", "D/C/S", "D/C/S/T", "D/C/S/T/", "D/../D/./C"])
def test_any_level_will_do(fill, start):
    root = fill("D/C/S/T/a.jpg", "D/C/S/T/b.PNG", "D/C/S/T/notes.txt", "D/C/S/T/.hidden.jpg")
    assert find_labels(root / start) == ([("D/C/S/T", 2)], [])


@pytest.mark.parametrize("start", [".", "..", "../.."])
def test_relative_paths(fill, start, monkeypatch):
    root = fill("D/C/S/T/a.jpg")
    monkeypatch.chdir(root / "D/C/S")
    topic = tree.find_topics([start], print)[0]
    assert (
        topic.parts == PARTS
        and topic.path == str(root / "D/C/S/T")
        and topic.dataset_path == str(root / "D")
    )
    assert topic.path_of("a.jpg") == str(root / "D/C/S/T/a.jpg")


def test_order_is_by_name_below_each_path_in_the_order_of_the_paths(fill):
    root = fill(
        *(
            f"{top}/{c}/S/{t}/a.jpg"
            for top in "DE"
            for c in ("b", "B", "a b", "é")
            for t in ("2", "10")
        )
    )
    labels = [label for label, _ in find_labels(root / "E", root / "D")[0]]
    order = [f"{c}/S/{t}" for c in ("B", "a b", "b", "é") for t in ("10", "2")]
    assert labels == [f"{top}/{rest}" for top in "ED" for rest in order]


@pytest.mark.parametrize(
    "paths",
    [
        ("D", "D"),
        ("D", "D/C"),
        ("D/C/S/T", "D"),
        ("D", "link"),
        ("link", "D/C/S"),
        ("D/C/S/T", "link", "D/."),
    ],
)
def test_the_same_folder_given_twice_or_below_another_counts_once(fill, paths):
    root = fill("D/C/S/T/a.jpg", "D/C/S/U/b.jpg")
    (root / "link").symlink_to("D")
    labels, warnings = find_labels(*(root / path for path in paths))
    assert [label.split("/", 1)[1] for label, _ in labels] == ["C/S/T", "C/S/U"]
    assert warnings == []


def test_a_name_that_only_begins_like_another_is_another(fill):
    root = fill("D/C/S/T/a.jpg", "D2/C/S/T/a.jpg")
    assert find_labels(root / "D", root / "D2")[0] == [("D/C/S/T", 1), ("D2/C/S/T", 1)]


def test_images_at_another_depth_are_one_warning_a_folder(fill):
    root = fill(
        *(f"D/C/S/{name}.jpg" for name in ("T/a", "T/b", "T/c", "loose", "T/deep/x", "T/deep/y"))
    )
    labels, warnings = find_labels(root / "D")
    assert labels == [("D/C/S/T", 3)]
    assert warnings == [
        f"{root}/D/C/S: 1 image outside any topic, not processed "
        "(the topics of this dataset are 3 levels below it)",
        f"{root}/D/C/S/T/deep: 2 images outside any topic, not processed "
        "(the topics of this dataset are 3 levels below it)",
    ]


def test_if_two_depths_have_equally_many_images_topics_are_at_the_deeper_one(fill):
    assert find_labels(fill("D/C/S/loose.jpg", "D/C/S/T/a.jpg") / "D")[0] == [("D/C/S/T", 1)]


def test_a_folder_of_datasets_is_refused_with_what_to_do(fill):
    root = fill("All/D/C/S/T/a.jpg")
    assert error_message(root / "All") == (
        f"{root}/All: most of its images are 4 folders down, so it holds datasets: "
        f"pass its subfolders ({root}/All/*/)"
    )


def test_empty_folders_at_topic_depth_are_empty_topics(fill):
    root = fill("D/C/S/T/a.jpg")
    (root / "D/C/S/Empty").mkdir()
    (root / "D/C/Hollow").mkdir()
    assert find_labels(root / "D") == ([("D/C/S/Empty", 0), ("D/C/S/T", 1)], [])


def test_hidden_folders_and_files_are_skipped_silently(fill):
    root = fill(
        "D/C/S/T/a.jpg",
        "D/C/S/T/._a.jpg",
        "D/C/S/T/.cache/b.jpg",
        "D/.git/S/T/c.jpg",
        "D/C/S/.T/d.jpg",
    )
    assert find_labels(root / "D") == ([("D/C/S/T", 1)], [])


def test_finding_no_image_is_an_error_that_names_the_folders(fill):
    root = fill("D/C/S/T/notes.txt", "E/a.txt")
    assert error_message(root / "D", root / "E") == (
        f"{root}/D, {root}/E: no images found; "
        "expected DataSet/Cluster/Subcluster/Topic/image.jpg, or see --levels"
    )


def test_an_empty_folder_beside_a_full_one_is_a_warning(fill):
    root = fill("D/C/S/T/a.jpg", "E/notes.txt")
    assert find_labels(root / "D", root / "E") == (
        [("D/C/S/T", 1)],
        [f"{root}/E: no images below it"],
    )


def test_a_mistyped_path_gets_a_suggestion(fill):
    root = fill("DataSet/C/S/T/a.jpg", "Dataset.zip")
    assert (
        error_message(root / "DataSte") == f"{root}/DataSte: no such folder; did you mean DataSet?"
    )
    assert error_message(root / "xyz") == f"{root}/xyz: no such folder"
    assert (
        error_message(root / "none/DataSet")
        == f"{root}/none/DataSet: no such folder; {root}/none does not exist either"
    )
    assert (
        error_message(root / "Dataset.zip")
        == f"{root}/Dataset.zip: not a folder; pass the folder that holds it"
    )
    assert error_message("") == "(empty): no such folder"
    (root / "loop").symlink_to("loop")
    assert "cannot be opened (Too many levels of symbolic links)" in error_message(root / "loop")


def test_entries_that_are_not_files_get_a_warning_and_are_not_images(fill):
    root = fill("D/C/S/T/a.jpg")
    zoo.make_odd_entries(root / "D/C/S/T")
    (root / "D/C/S/gone").symlink_to("nowhere")
    labels, warnings = find_labels(root / "D")
    assert labels == [("D/C/S/T", 1)]
    assert sorted(warnings) == [
        f"{root}/D/C/S/T/dangling.jpg, {root}/D/C/S/T/loop.jpg, {root}/D/C/S/gone: "
        "broken links, no images",
        f"{root}/D/C/S/T/fifo.jpg: not a regular file, not an image",
    ]
    topic = tree.find_topics([str(root / "D")], warnings.append)[0]
    assert topic.image_names() == ["a.jpg"] == list(topic.image_stamps())


def test_symlinked_folders_and_images_are_followed_each_real_folder_once(fill):
    root = fill("D/C/S/T/a.jpg", "Else/b.jpg", "Else/c.jpg")
    (root / "D/C/S/Link").symlink_to(root / "Else")
    (root / "D/C/S/Other link").symlink_to(root / "Else")
    (root / "D/C/S/Again").symlink_to("T")
    (root / "D/C/S/T/up").symlink_to("..")
    (root / "D/C/S/T/b.jpg").symlink_to(root / "Else/b.jpg")
    labels, warnings = find_labels(root / "D")
    assert labels == [("D/C/S/Link", 2), ("D/C/S/T", 2)]
    assert sorted(warnings, key=len, reverse=True) == [
        f"{root}/D/C/S/Other link: the same folder as {root}/D/C/S/Link, counted once",
        f"{root}/D/C/S/Again: the same folder as {root}/D/C/S/T, counted once",
        f"{root}/D/C/S/T/up: the same folder as {root}/D/C/S, counted once",
    ]


def test_odd_names_survive(fill, tmp_path):
    names = [
        name
        for name in zoo.write_readable_files(tmp_path / "D/C/S/new\nline 夕")
        if not name.startswith("orientation")
    ]
    for other in (os.fsdecode(b"\xff\xfe"), "-rf", "it's"):
        (tmp_path / "D/C/S" / other).mkdir()
    topics = tree.find_topics([str(tmp_path / "D")], print)
    assert [topic.name for topic in topics] == sorted(
        [os.fsdecode(b"\xff\xfe"), "-rf", "it's", "new\nline 夕"]
    )
    images = topics[2].image_names()
    assert [name for name in images if not name.startswith("orientation")] == sorted(names)
    assert sorted(topics[2].image_stamps()) == images


def test_stamps_are_size_and_time(fill):
    root = fill("D/C/S/T/a.jpg", "D/C/S/T/b.jpg")
    (root / "D/C/S/T/a.jpg").write_bytes(b"12345")
    os.utime(root / "D/C/S/T/a.jpg", ns=(1, 1_234_567_890_123_456_789))
    topic = tree.find_topics([str(root / "D")], print)[0]
    assert topic.image_stamps()["a.jpg"] == (5, 1_234_567_890_123_456_789)


def test_a_topic_that_vanished_is_an_error_in_one_line(fill):
    root = fill("D/C/S/T/a.jpg")
    topic = tree.find_topics([str(root / "D")], print)[0]
    (root / "D/C/S/T/a.jpg").unlink()
    assert topic.image_names() == [] and topic.image_stamps() == {}
    (root / "D/C/S/T").rmdir()
    with pytest.raises(UserError, match="can no longer be read"):
        topic.image_names()


def test_groups_by_level_have_labels_that_are_unique(fill):
    root = fill("A/D/C/S/T/a.jpg", "A/D/C/S/U/a.jpg", "A/E/C/S/T/a.jpg", "B/D/C/S/T/a.jpg")
    topics = tree.find_topics([str(root / "A/D"), str(root / "A/E")], print)
    for level, keys in (
        ("topic", ["D/C/S/T", "D/C/S/U", "E/C/S/T"]),
        ("subcluster", ["D/C/S", "E/C/S"]),
        ("cluster", ["D/C", "E/C"]),
        ("dataset", ["D", "E"]),
    ):
        assert list(tree.group_by_level(topics, level)) == keys
    assert [topic.name for topic in tree.group_by_level(topics, "dataset")["D"]] == ["T", "U"]
    both = tree.find_topics([str(root / "A/D"), str(root / "B/D")], print)
    assert list(tree.group_by_level(both, "dataset")) == [f"{root}/A/D", f"{root}/B/D"]


@zoo.needs_permissions
@pytest.mark.parametrize(
    ("mode", "warning"),
    [
        (0o000, "cannot be read (Permission denied), skipped"),
        (0o444, "cannot be read"),
        (0o111, ""),
    ],
)
def test_a_folder_that_cannot_be_read_or_entered_is_a_warning(fill, mode, warning):
    root = fill("D/C/S/T/a.jpg", "D/C/S/Locked/b.jpg")
    (root / "D/C/S/Locked").chmod(mode)
    code = (
        "from common import tree\n"
        f"print(*[t.label for t in tree.find_topics([{str(root / 'D')!r}], print)], sep='\\n')\n"
        f"tree.find_topics([{str(root / 'D/C/S/Locked')!r}], print)"
    )
    command = [sys.executable, "-c", code]
    process = subprocess.run(
        command, cwd=ROOT, preexec_fn=zoo.drop_privileges, capture_output=True, text=True
    )
    (root / "D/C/S/Locked").chmod(0o755)
    lines = process.stdout.splitlines()
    assert lines[0].startswith(
        f"{root}/D/C/S/Locked: {warning or 'cannot be read (Permission denied), skipped'}"
    )
    assert "D/C/S/T" in lines and "D/C/S/Locked" not in lines
    assert "no images found" in process.stderr


def naive_topics(root: str) -> list[tuple[str, int]]:
    """Find (path, images) of the topics by os.walk, by the contract for trees without links."""
    counts = {}
    for path, folders, files in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(".")]
        below = os.path.relpath(path, root)
        parts = () if below == "." else tuple(below.split(os.sep))
        images = [
            n
            for n in files
            if os.path.splitext(n)[1].lower() in image_formats.ENDINGS and not n.startswith(".")
        ]
        counts[parts] = len(images)
    depths = {len(parts) for parts in counts}
    images_at = {
        depth: sum(n for parts, n in counts.items() if len(parts) == depth) for depth in depths
    }
    level = max(depths, key=lambda depth: (images_at[depth], depth))
    return [
        (os.path.join(root, *parts), counts[parts])
        for parts in sorted(counts)
        if len(parts) == level
    ]


@pytest.mark.parametrize("seed", range(40))
def test_random_trees_agree_with_a_naive_walk(tmp_path, seed):
    chance = random.Random(seed)
    root = tmp_path / "D"
    for _ in range(chance.randint(1, 25)):
        parts = [
            chance.choice(["a", "b", "B", ".h", "x.jpg", "é"]) for _ in range(chance.randint(0, 4))
        ]
        folder = root.joinpath(*parts)
        folder.mkdir(parents=True, exist_ok=True)
        for _ in range(chance.randint(0, 4)):
            name = chance.choice("abcdefgh") + chance.choice(
                [".JPG", ".png", ".txt", ".jpg.txt", ".TIFF", ""]
            )
            (folder / ("." * (chance.random() < 0.1) + "f" + name)).write_bytes(b"")
    expected = naive_topics(str(root))
    if (
        not any(count for _, count in expected)
        or len(Path(expected[0][0]).relative_to(root).parts) > 3
    ):
        assert "no images" in error_message(root) or "holds datasets" in error_message(root)
    else:
        assert [
            (topic.path, topic.image_count)
            for topic in tree.find_topics([str(root)], lambda _: None)
        ] == expected


def test_images_of_formats_that_are_not_read_are_counted_in_one_line_each_remedy(fill):
    unread = ("T/b.jxl", "T/c.CR2", "T/d.jxl", "T/~$a.png", "T/notes.txt", "T/README")
    root = fill(*(f"D/C/S/{name}" for name in ("T/a.jpg", *unread)))
    (root / "D/C/S/T/scan").write_bytes(b"\xff\xd8\xff\xe0 and so on")
    labels, warnings = find_labels(root / "D")
    assert labels == [("D/C/S/T", 1)]
    assert warnings == [
        "1 image without an ending is not read: add one to the name, such as .jpg",
        "1 .cr2 file, 2 .jxl files are not read: save them as JPEG or PNG",
    ]


def test_a_folder_of_unread_images_only_says_so(fill, monkeypatch):
    assert "no images found; 2 .psd files are not read: save them" in error_message(
        fill("D/C/S/T/a.psd", "D/C/S/T/b.PSD") / "D"
    )
    usual = frozenset({".jpg", ".JPG"})  # without pillow-heif
    monkeypatch.setattr(image_formats, "_USUAL_ENDINGS", usual)
    message = error_message(fill("E/C/S/T/a.heic") / "E")
    assert "1 .heic file is not read: pip install pillow-heif" in message


def test_folders_of_other_programs_are_passed_over_unless_given(fill):
    root = fill(
        "D/C/S/T/a.jpg",
        "D/C/S/T/@eaDir/a.jpg/THUMB_XL.jpg",
        "D/#recycle/C/S/T/b.jpg",
        "D/C/S/T/c.jpg",
    )
    labels, warnings = find_labels(root / "D")
    assert labels == [("D/C/S/T", 2)]
    assert warnings == ["2 images in folders of other programs (#recycle, @eaDir) passed over"]
    assert find_labels(root / "D/#recycle")[0] == [("#recycle/C/S/T", 1)]
