// The cards of the sets, and which of them are shown.
const MAX_LISTED_PAIRS = 60;  // of a set: in a large set, every image may match every other
const MAX_UNFOLDED_PAIRS = 6;
const MIN_WIDE_SET = 5;  // images, from which a card is as wide as the page
let here = null, chosen = 0;  // the current set, and the number of its current pair

// ---- Texts
function reason(image, other) {
  if (isKept(image)) return image.dataset < 0 ? "a reference" : "you keep it";
  if (!other) return "matches none of the kept images";
  return image.whys.get(other) || "the best of equal ones";
}

function fateOf(set, image) {
  const keeper = out.get(image), dropped = set.images.find(one => out.get(one) === image);
  if (keeper) {
    const name = set.images.includes(keeper) ? set.images.indexOf(keeper) + 1 : keeper.name;
    return {className: "out", text: `dropped in favour of ${name}`};
  }
  const isKeeper = dropped || isKept(image) || set.section === "copies";
  return isKeeper ? {className: "keeper", text: `kept: ${reason(image, dropped)}`} : {className: "", text: ""};
}

const likeness = alike => alike === null ? "" : ` · ${alike.toFixed(2)}`;
const label = (set, {a, b, kind, alike}) =>
  [a, b].map(image => set.images.indexOf(image) + 1).join(" – ") + ` · ${kind}` + likeness(alike);

// What is known of an image; what differs within the set is bold.
function facts(image, others) {
  const node = make("span", {className: "facts"});
  image.facts.forEach((fact, i) => {
    if (!fact) return;
    const differs = others.some(other => other.facts[i] !== fact);
    node.append(make(differs ? "b" : "span", {}, fact), " ");
  });
  return node;
}

// A path that breaks after a slash.
const breakable = path => make("span", {}, ...path.split(/(?<=\/)/).flatMap(part => [part, make("wbr")]));

// ---- Elements
// A card is empty until it comes near the screen. Away from there, it is painted only when it comes near again.
function fill(set) {
  const places = [...new Set(set.images.map(image => image.place))];
  set.doneButton = button("Done", () => enter([mark(set)]), "done");
  set.tiles = set.images.map((image, i) => {
    const fate = make("span", {className: "fate"}), kept = button(`Keep ${i + 1}`, () => keep(image));
    const picture = image.thumbnail ? make("img", {src: image.thumbnail, alt: "", decoding: "async"}) : "no thumbnail";
    const shot = button(picture, () => look(set, set.pairs.find(({a, b}) => a === image || b === image)), "shot");
    shot.ariaLabel = `Image ${i + 1} at full size: ${image.name}`;
    const caption = make("figcaption", {}, make("b", {}, image.name), facts(image, set.images));
    if (image.caption) caption.append(make("q", {}, image.caption));
    caption.append(places.length > 1 ? breakable(image.place) : "", fate);
    const node = make("figure", {title: `${image.place}/${image.name}`}, shot, make("i", {}, i + 1), caption, kept);
    return {image, node, fate, kept};
  });
  const listed = set.pairs.slice(0, MAX_LISTED_PAIRS);
  for (const pair of listed) {
    const choices = pair.kind === "copy" ? ["different"] : ["different", "same"];
    pair.buttons = choices.map(what => button(what, () => decide(pair, what), what));
    const open = Object.assign(button(label(set, pair), () => look(set, pair), "open"), {title: "Show both at full size"});
    pair.node = make("div", {role: "group", ariaLabel: `Pair ${label(set, pair)}`}, open, ...pair.buttons);
  }
  const rest = set.pairs.length - listed.length, folded = listed.slice(MAX_UNFOLDED_PAIRS);
  set.morePairs = make("details", {hidden: !folded.length},
    make("summary", {className: "quiet small"}, plural(folded.length + rest, "more pair")),
    make("div", {className: "pairs"}, ...folded.map(pair => pair.node), rest ? `and ${plural(rest, "pair")} that you see at full size (n)` : ""));
  const where = places.length > 1 ? plural(places.length, "folder") : places[0];
  set.node.append(
    make("h3", {}, `Set ${set.number} of ${sets.length} `, make("span", {className: "quiet small"}, where), set.doneButton),
    make("div", {className: "tiles"}, ...set.tiles.map(tile => tile.node)),
    make("div", {className: "pairs"}, ...listed.slice(0, MAX_UNFOLDED_PAIRS).map(pair => pair.node)), set.morePairs);
  paint(set);
}

function paint(set) {
  set.stale = false;
  set.node.className = `set ${set === here ? "here" : ""} ${isDone(set) ? "finished" : ""} ${set.images.length < MIN_WIDE_SET ? "" : "large"}`;
  if (set === here && chosen >= MAX_UNFOLDED_PAIRS) set.morePairs.open = true;
  set.doneButton.ariaPressed = isDone(set);
  for (const {image, node, fate, kept} of set.tiles) {
    const {className, text} = fateOf(set, image);
    node.className = `tile ${className}`;
    showText(fate, text);
    kept.ariaPressed = isKept(image);
    kept.disabled = image.kept;
  }
  for (const pair of set.pairs.slice(0, MAX_LISTED_PAIRS)) {
    pair.node.className = `match ${verdict(pair) ?? ""} ${set === here && pair === set.pairs[chosen] ? "here" : ""}`;
    for (const one of pair.buttons) one.ariaPressed = one.className === verdict(pair);
  }
}

// Returns the sets that look different now.
function showChanges({changedGroups, marked}) {
  const changed = new Set(marked);
  for (const group of changedGroups) for (const set of group.sets) changed.add(set);
  for (const set of changed) {
    if (set.tiles && (set.near || set === here)) paint(set);
    else set.stale = true;
  }
  for (const set of marked) {
    doneCount += isDone(set) ? 1 : -1;
    showOrHide(set);
  }
  if (marked.size) showHeadings();
  showCount();
  showProgress();
  if (at("look").open) paintLook();
  return changed;
}

// A text that is written again is laid out again, and read out again.
function showText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function showCount() {
  const total = decided.map(countDecisions).reduce((sum, count) => sum + count, 0);
  const unsaved = savedState === null ? total : 0;
  showText(at("count"), `A merge would now drop ${plural(out.size + data.dropped_elsewhere, "image")} · ${plural(unsaved, "decision")} to save`
    + (drafted ? "" : " · this browser stores no draft: save before you close the page"));
  at("undo").disabled = !log.length;
  at("save").disabled = !unsaved;
  if (unsaved) at("saved").hidden = true;
}

let doneCount = 0;
function showProgress() {
  at("progress").textContent = (here ? `Set ${here.number} of ${sets.length} · ` : "") + `${doneCount} of ${sets.length} done`;
  at("bar-done").style.width = `${100 * doneCount / (sets.length || 1)}%`;
}

// ---- Filters
const FILTERS = {
  across: set => set.section === "across",
  borderline: set => set.section === "doubtful" || set.pairs.some(({alike}) => alike !== null && alike < data.borderline),
  smaller: set => set.images.some(image => out.get(image)?.bytes < image.bytes),
  "by-name": set => set.by_name,
  captions: set => set.captions_differ,
  open: set => !isDone(set),
};
let words = [], wanted = [];
const sections = new Map();  // by name: how many sets there are, and how many are shown
const shownSets = () => sets.filter(set => set.shown);

function filter() {
  words = at("find").value.toLowerCase().split(/\s+/).filter(Boolean);
  wanted = [...document.querySelectorAll("[data-filter][aria-pressed=true]")].map(one => FILTERS[one.dataset.filter]);
  sets.forEach(showOrHide);
  showHeadings();
}

function showOrHide(set) {
  const isShown = words.every(word => set.text.includes(word)) && wanted.every(fits => fits(set));
  if (set.shown === isShown) return;
  set.shown = isShown;
  set.node.hidden = !isShown;
  sections.get(set.section).shown += isShown ? 1 : -1;
}

function showHeadings() {
  const isFiltered = words.length || wanted.length;
  let total = 0;
  for (const [name, {all, shown}] of sections) {
    total += shown;
    at(name).hidden = !shown;
    showText(at(name).querySelector("h2 span"), isFiltered ? `${shown} of ${plural(all, "set")}` : plural(shown, "set"));
  }
  showText(at("found"), isFiltered ? `${plural(total, "set")} found` : "");
}

// ---- From set to set
function go(set, pair = 0) {
  const before = here ?? set;
  [here, chosen] = [set, Math.max(0, Math.min(pair, set.pairs.length - 1))];
  if (!set.tiles) fill(set);
  [before, here].forEach(paint);
  showProgress();
  if (at("look").open) showPair();
}

// Takes the focus along, unless a button that goes on is in use.
function goAndShow(set) {
  go(set);
  set.node.scrollIntoView({block: "start"});
  if (!document.activeElement.closest("#bar, dialog")) set.node.focus({preventScroll: true});
}

function next(step) {
  let i = here ? here.number - 1 + step : 0;
  while (sets[i] && !sets[i].shown) i += step;
  const set = sets[i] ?? (here?.shown ? here : sets.find(set => set.shown));
  if (set) goAndShow(set);
}

// Marks this set as done, and goes to the next that is not.
function accept() {
  if (!here) return next(1);
  const set = here;
  enter([mark(set)]);
  if (!isDone(set)) return;
  const isOpen = set => set.shown && !isDone(set);
  const following = sets.slice(set.number).find(isOpen) ?? sets.find(isOpen);
  if (following) goAndShow(following);
}
