"""A whole review in a browser: to the end with the keyboard alone, bulk rules, filters, save."""

from __future__ import annotations

import json
import os
import shlex
from pathlib import Path

import pytest
from browser import Browser
from conftest import draw_image
from test_review import (
    count,
    dataset,
    embedded,
    far,
    press,
    saved,
    searched,
    topic_of,
    until,
    written,
)

import find_duplicates
import merge_clusters
from common import cli

__all__ = ["dataset", "far", "press"]  # fixtures

SETS = 62


def done(browser: Browser) -> int:
    return browser.value("sets.filter(isDone).length")


def kept_names(browser: Browser) -> set[str]:
    """The images of sets that a merge would now keep."""
    return set(browser.value("images.filter(image => !out.has(image)).map(image => image.name)"))


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """62 pairs of copies; likeness 0.90 to 0.96."""
    folder = tmp_path / "Set/C/S/T"
    folder.mkdir(parents=True)
    copies = {}
    for number in range(SETS):
        draw_image(number, (60, 45)).save(folder / f"{number:02} large.png")
        draw_image(number, (40, 30)).save(folder / f"{number:02} small.png")
        copies[f"{number:02} large.png"] = {f"{number:02} small.png": 0.9 + number / 1000}
    searched(topic_of(folder), copies)
    return tmp_path / "Set"


def test_62_sets_are_reviewed_with_the_keyboard_alone(browser, press, many):
    page = written(many)
    browser.open(page, 1200)
    assert browser.value("document.querySelectorAll('.set > *').length") < 3 * SETS  # near the top
    keys = 0
    while done(browser) < SETS:
        press("a")
        keys += 1
        assert keys <= SETS + 20
    assert browser.value("at('progress').textContent").endswith("62 of 62 done")
    browser.open(page, 1200)  # the draft knows
    assert done(browser) == SETS
    press("u u")
    assert done(browser) == SETS - 2
    assert count(browser) == "A merge would now drop 62 images · 0 decisions to save"
    assert browser.errors == []


def test_what_is_done_can_be_hidden_and_headings_count_what_is_shown(browser, press, many):
    browser.open(written(many), 1200)
    browser.value("document.querySelector('[data-filter=open]').click()")
    press("a a a a")
    assert done(browser) == 3  # the first press goes to the first set
    assert browser.value("shownSets().length") == SETS - 3
    heading = "document.querySelector('#copies h2 span').textContent"
    assert browser.value(heading) == "59 of 62 sets"
    browser.value("at('find').value = '05'; filter()")
    assert browser.value(heading) == "1 of 62 sets"
    assert browser.errors == []


def test_all_above_a_likeness_and_all_identical_files_are_accepted_at_once(
    browser, press, tmp_path
):
    folder = tmp_path / "Set/C/S/T"
    folder.mkdir(parents=True)
    for name, seed in {"a.png": 1, "b.png": 1, "c.png": 2, "d.png": 3}.items():
        draw_image(seed, (60, 45)).save(folder / name)
    os.rename(folder / "d.png", folder / "e.png")
    draw_image(2, (40, 30)).save(folder / "d.png")
    draw_image(3, (40, 30)).save(folder / "f.png")
    likeness = {"a.png": {"b.png": 1.0}, "c.png": {"d.png": 0.97}, "e.png": {"f.png": 0.91}}
    searched(topic_of(folder), likeness)
    browser.open(written(tmp_path / "Set"), 1200)
    names = "sets.filter(isDone).map(set => set.images.map(image => image.name).sort().join(' '))"
    browser.value("at('accept-identical').click()")
    assert browser.value(names) == ["a.png b.png"]
    browser.value("at('alike').value = '0.95'; at('accept-alike').click()")
    assert sorted(browser.value(names)) == ["a.png b.png", "c.png d.png"]
    press("u u")
    assert done(browser) == 0
    assert browser.errors == []


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """Two copies in one topic, of which every rule prefers another, and a third to each."""
    folder = tmp_path / "Set/C/S/T"
    folder.mkdir(parents=True)
    for seed in (1, 2):
        draw_image(seed, (64, 48)).save(folder / f"{seed} pixels.jpg", quality=20)
        draw_image(seed, (60, 45)).save(folder / f"{seed} bytes.jpg", quality=100)
        draw_image(seed, (56, 42)).save(folder / f"{seed} oldest.jpg", quality=20)
        draw_image(seed, (52, 39)).save(folder / f"{seed} caption.jpg", quality=20)
        (folder / f"{seed} caption.txt").write_text(f"number {seed} </script>")
        os.utime(folder / f"{seed} oldest.jpg", (1, 1))
    kinds = ("pixels", "bytes", "oldest", "caption")
    searched(
        topic_of(folder),
        {
            f"{seed} {one}.jpg": {f"{seed} {other}.jpg": 0.99 for other in kinds if other != one}
            for seed in (1, 2)
            for one in kinds
        },
    )
    return tmp_path / "Set"


@pytest.mark.parametrize("rule", ["pixels", "bytes", "oldest", "caption"])
def test_a_bulk_rule_decides_what_is_shown_and_nothing_else(browser, press, mixed, rule):
    browser.open(written(mixed), 1200)
    assert kept_names(browser) == {"1 pixels.jpg", "2 pixels.jpg"}
    browser.value("at('find').value = '/2'; filter()")  # in the names of one set
    browser.value(f"at('rule').value = '{rule}'; at('apply-rule').click()")
    assert kept_names(browser) == {"1 pixels.jpg", f"2 {rule}.jpg"}
    decided = 0 if rule == "pixels" else 1  # nothing to decide where the keeper rule agrees
    assert count(browser).endswith(f"{decided} decision{'' if decided == 1 else 's'} to save")
    browser.value("at('find').value = ''; filter(); at('apply-rule').click()")
    assert kept_names(browser) == {f"1 {rule}.jpg", f"2 {rule}.jpg"}
    assert browser.errors == []


def test_a_bulk_rule_keeps_the_images_of_a_folder(browser, tmp_path):
    """Across topics, where the merge with --drop-across then keeps those."""
    for topic, width in (("T", 60), ("U", 40)):
        folder = tmp_path / "Set/C/S" / topic
        folder.mkdir(parents=True)
        draw_image(1, (width, width)).save(folder / "a.png")
        searched(topic_of(folder), {})
    matches = {"C/S/T/a.png": {"C/S/U/a.png": "copy"}, "C/S/U/a.png": {"C/S/T/a.png": "copy"}}
    (tmp_path / "Set/duplicates_across.json").write_text(json.dumps(matches))
    browser.open(written(tmp_path / "Set"), 1200)
    rules = "[...at('rule').options].map(option => option.value).filter(isFolderRule)"
    assert browser.value(rules) == ["in Set/C/S/T", "in Set/C/S/U"]
    browser.value("at('rule').value = 'in Set/C/S/U'; at('apply-rule').click()")
    assert count(browser).endswith("1 decision to save")
    assert browser.value("decisionsOf(0).keep") == ["C/S/U/a.png"]
    assert browser.errors == []


def test_a_bulk_rule_leaves_what_a_person_decided(browser, press, mixed):
    browser.open(written(mixed), 1200)
    press("j 2")
    before = kept_names(browser)
    browser.value("at('rule').value = 'oldest'; at('apply-rule').click()")
    assert len(kept_names(browser) - before) == 1  # in the other set
    assert before & {"1 bytes.jpg", "2 bytes.jpg"} <= kept_names(browser)


def test_captions_are_shown_and_sets_with_other_captions_are_found(browser, press, mixed):
    (mixed / "C/S/T/1 pixels.txt").write_text("another text")
    page = written(mixed)
    browser.open(page, 1200)
    press("j")
    assert "number 1 </script>" in browser.value("document.body.innerText")
    browser.value("document.querySelector('[data-filter=captions]').click()")
    assert browser.value("shownSets().map(set => set.images[0].name)") == ["1 pixels.jpg"]
    assert browser.errors == []


def test_sets_decided_by_name_alone_are_found(browser, press, tmp_path):
    folder = tmp_path / "Set/C/S/T"
    folder.mkdir(parents=True)
    draw_image(1, (60, 45)).save(folder / "a.png")
    (folder / "b.png").write_bytes((folder / "a.png").read_bytes())
    draw_image(2, (60, 45)).save(folder / "c.png")
    draw_image(2, (40, 30)).save(folder / "d.png")
    searched(topic_of(folder), {"a.png": {"b.png": 1.0}, "c.png": {"d.png": 0.95}})
    page = written(tmp_path / "Set")
    assert sorted((each["by_name"], each["identical"]) for each in embedded(page)["sets"]) == [
        (False, False),
        (True, True),
    ]
    browser.open(page, 1200)
    browser.value("document.querySelector('[data-filter=by-name]').click()")
    assert browser.value("shownSets().map(set => set.images[0].name)") == ["a.png"]


def test_full_size_shows_the_keeper_and_every_way_to_compare(browser, press, many):
    browser.open(written(many), 1200)
    press("j Enter")

    def fates() -> list[str]:
        return browser.value(
            "[...document.querySelectorAll('#panes .fate')].map(e => e.textContent)"
        )

    assert fates() == ["kept: 2.2x the pixels", "dropped in favour of 1"]
    press("2")
    assert fates() == ["dropped in favour of 2", "kept: you keep it"]
    for key, mode in (("f", "over"), ("c", "wipe"), ("x", "differ"), ("b", "")):
        press(key)
        assert browser.value("at('panes').className") == mode
        pressed = "[...document.querySelectorAll('#look .tools [aria-pressed=true]')]"
        assert browser.value(f"{pressed}.map(e => e.dataset.key)") == [key]
        assert browser.value("at('wipe').hidden") == (mode != "wipe")
    press("j")
    assert browser.value("at('which').textContent").startswith("Set 2 of 62")
    press("k z")
    assert browser.value("at('which').textContent").startswith("Set 1 of 62")
    assert browser.errors == []


def test_1_to_1_shows_the_same_place_of_both(browser, press, tmp_path):
    folder = tmp_path / "Set/C/S/T"
    folder.mkdir(parents=True)
    draw_image(1, (4000, 3000)).save(folder / "a.jpg")
    draw_image(1, (2000, 1500)).save(folder / "b.jpg")
    searched(topic_of(folder), {"a.jpg": {"b.jpg": 0.99}})
    browser.open(written(tmp_path / "Set"), 1200)
    press("j Enter z")
    ready = "[...document.querySelectorAll('#panes img')].every(i => i.naturalWidth >= 2000)"
    until(lambda: browser.value(ready))
    frames = "[...document.querySelectorAll('#panes .frame')]"
    browser.value(f"{frames}[0].scrollTo(1e6, 1e6)")
    until(
        lambda: browser.value(
            f"{frames}.every(f => f.scrollTop > 300"
            " && f.scrollLeft >= f.scrollWidth - f.clientWidth - 2)"
        )
    )


@pytest.mark.parametrize("options", [(), ("--levels", "1")])
def test_saving_shows_the_command_and_the_command_works(browser, press, tmp_path, options):
    """Save, type what the page says, merge: what was chosen is in the target."""
    dataset = tmp_path / "It's a set"
    topic = "T" if options else "C/S/T"
    folder = dataset / topic
    folder.mkdir(parents=True)
    for name, width in (("large", 320), ("small", 240)):
        draw_image(5, (width, width * 3 // 4)).save(folder / f"{name}.png")
    assert cli.run_script(find_duplicates.main, [str(dataset), "--quiet", *options]) == 0
    browser.open(written(dataset, *options), 1200)
    assert browser.value("at('saved').hidden")
    press("j 2")
    assert count(browser).endswith("1 decision to save")
    path = saved(browser, tmp_path / "down", press)
    assert count(browser).endswith("0 decisions to save") and browser.value("at('save').disabled")
    script, *arguments = shlex.split(browser.value("at('commands').textContent"))
    assert script == find_duplicates.__file__
    assert arguments == [str(dataset), *options, "--decisions", "~/Downloads/decisions.json"]
    arguments[-1] = str(path)
    assert json.loads(path.read_text())["keep"] == [f"{topic}/small.png"]
    assert cli.run_script(find_duplicates.main, [*arguments, "--quiet"]) == 0
    target = tmp_path / "target"
    arguments = [str(dataset), "--output", str(target), "--quiet", *options]
    assert cli.run_script(merge_clusters.main, arguments) == 0
    assert [path.name for path in target.rglob("*.png")] == ["small.png"]
    press("j d")  # a new decision is to be saved again
    assert count(browser).endswith("2 decisions to save") and browser.value("at('saved').hidden")
    assert browser.errors == []


def test_the_page_starts_with_few_elements(browser, press, many):
    browser.open(written(many), 1200)
    assert browser.value("sets.filter(set => set.tiles).length") <= 200
    assert browser.value("document.querySelectorAll('.set').length") == SETS


def test_a_decision_ranks_and_paints_its_set_alone(browser, press, many):
    browser.open(written(many), 1200)
    press("j")
    browser.value("watch.disconnect()")  # it fills sets that come near
    browser.value(
        """counts = {painted: 0, ranked: 0}; plainPaint = paint; plainRule = selectRedundant;
        paint = set => { counts.painted++; plainPaint(set); };
        selectRedundant = (order, ...more) => {
          counts.ranked += order.length;
          return plainRule(order, ...more);
        }; 1"""
    )
    for key, ranked in (("2", 2), ("d", 0), ("u", 2)):  # different images match nothing
        browser.value("counts.painted = counts.ranked = 0")
        press(key)
        assert browser.value("counts") == {"painted": 1, "ranked": ranked}
    assert browser.errors == []


def test_after_many_decisions_the_page_drops_what_the_rule_drops(browser, far):
    """Each decision ranks its group alone; the whole of all images must give the same."""
    browser.open(written(far), 1200)
    script = """(() => {
        let state = 7;
        const random = count => (state = state * 48271 % 2147483647) % count;
        const pairs = sets.flatMap(set => set.pairs), differing = [];
        const fates = out => JSON.stringify(images.map(image => out.get(image)?.name ?? ""));
        for (let i = 0; i < 300; i++) {
            const pair = pairs[random(pairs.length)];
            const image = images[random(images.length)];
            const choices = [() => keep(image), undo];
            for (const what of ["different", "same"]) choices.push(() => decide(pair, what));
            choices[random(4)]();
            const matches = matchesAmong(pairs.filter(isWithinMerge));
            const order = images.filter(image => matches.has(image) || image.equal);
            const whole = selectRedundant(order, matches, new Set(images.filter(isKept)));
            if (fates(whole) !== fates(out)) differing.push(i);
        }
        return [differing, log.length === inverses.length, groups.length];
    })()"""
    assert browser.value(script) == [[], True, 5]
    browser.value("while (log.length) undo()")
    assert browser.value("[countDecisions(decided[0]), out.size]") == [0, 5]
    assert browser.errors == []


def test_undo_shows_a_done_set_again_and_goes_there(browser, press, many):
    browser.open(written(many), 1200)
    browser.value("document.querySelector('[data-filter=open]').click()")
    press("a a a u")
    assert browser.value("[here.number, shownSets().length, doneCount]") == [2, SETS - 1, 1]
    assert browser.errors == []


def test_a_set_of_variants_tells_why_a_copy_is_kept(browser, press, tmp_path):
    folder = tmp_path / "Set/C/S/T"
    folder.mkdir(parents=True)
    for name, width in (("a.png", 60), ("b.png", 40), ("c.png", 50)):
        draw_image(1, (width, width * 3 // 4)).save(folder / name)
    variants = {"a.png": {"c.png": "cropped"}, "b.png": {"c.png": "cropped"}}
    searched(topic_of(folder), {"a.png": {"b.png": 0.95}}, variants)
    browser.open(written(tmp_path / "Set"), 1200)
    press("j j")
    fates = "here.tiles.map(({fate}) => fate.textContent)"
    assert browser.value("here.section") == "variants"
    assert browser.value(fates) == ["kept: 2.2x the pixels", "", "dropped in favour of 1"]
    cards = "[...document.querySelectorAll('.card')].map(card => card.innerText.trim())"
    assert browser.value(cards) == ["1\nset of copies", "1\nset of variants"]
    assert browser.errors == []


def test_pairs_of_a_large_set_are_folded_until_one_of_them_is_current(browser, press, tmp_path):
    folder = tmp_path / "Set/C/S/T"
    folder.mkdir(parents=True)
    names = [f"{letter}.png" for letter in "abcde"]
    for number, name in enumerate(names):
        draw_image(1, (60 - 4 * number, 45 - 3 * number)).save(folder / name)
    likeness = {one: {other: 0.95 for other in names if other > one} for one in names}
    searched(topic_of(folder), likeness)
    browser.open(written(tmp_path / "Set"), 1200)
    press("j")
    assert browser.value("here.morePairs.innerText") == "4 more pairs"
    press("n n n n n")
    assert not browser.value("here.morePairs.open")
    press("n")
    assert browser.value("here.morePairs.open && here.pairs[6].node.matches('details .here')")
    assert browser.errors == []
