"use strict";
// Shows sets and pairs, takes decisions, and applies the keeper rule after each, as the next merge will.
const data = JSON.parse(document.getElementById("data").textContent);
const at = id => document.getElementById(id);
const {images} = data;
const sets = data.sets.map(({section, images: ids, pairs}) => ({section, images: ids.map(id => images[id]),
  pairs: pairs.map(([a, b, kind, alike]) => ({a: images[a], b: images[b], kind, alike}))}));
const pairs = sets.flatMap(set => set.pairs);
const topic = ({dataset, path}) => dataset + path.slice(0, path.lastIndexOf("/"));

// New decisions: those that the datasets do not have yet. One undo removes one entry of the log. An entry has steps
// [dataset, "keep" or "leave", path] and [dataset, "different", "same" or "undecided", path, path].
const DRAFT = "review " + data.datasets.map(dataset => dataset.path).join("\n");
let log = [], decided, out, drafted = true, here = null, chosen = 0;
const owner = ({a, b}) => a.dataset < 0 ? b.dataset : a.dataset;  // a reference belongs to none
const paths = ({a, b}) => [a.path, b.path].sort();
const verdict = pair => decided[owner(pair)].pairs.get(JSON.stringify(paths(pair)));
const isKept = image => image.kept || decided[image.dataset].keep.has(image.path);
const steps = (dataset, {different = [], same = [], keep = []}) => [...different.map(pair => [dataset, "different", ...pair.sort()]),
  ...same.map(pair => [dataset, "same", ...pair.sort()]), ...keep.map(path => [dataset, "keep", path])];

function draft() {
  const known = new Set(data.datasets.flatMap((dataset, i) => steps(i, dataset.decisions)).map(step => JSON.stringify(step)));
  try { log = JSON.parse(localStorage.getItem(DRAFT) ?? "[]"); } catch { drafted = false; }
  log = log.map(entry => entry.filter(step => !known.has(JSON.stringify(step)))).filter(entry => entry.length);
}

function replay() {
  decided = data.datasets.map(() => ({pairs: new Map(), keep: new Set()}));
  for (const [dataset, what, ...about] of log.flat()) {
    const {pairs, keep} = decided[dataset];
    if (what === "keep") keep.add(about[0]);
    else if (what === "leave") keep.delete(about[0]);
    else if (what === "undecided") pairs.delete(JSON.stringify(about));
    else pairs.set(JSON.stringify(about), what);
  }
}

// The keeper rule, as in common/keepers.py. `order` has the best image first; images to keep come before all others.
// An image is dropped if it matches a keeper before it. Returns a Map from each dropped image to its first such keeper.
function selectRedundant(order, matches, kept) {
  const staying = new Map(), out = new Map();
  for (const one of [...order.filter(one => kept.has(one)), ...order.filter(one => !kept.has(one))]) {
    const better = kept.has(one) ? [] : [...matches.get(one) ?? []].filter(other => staying.has(other));
    if (better.length) out.set(one, better.reduce((a, b) => staying.get(a) < staying.get(b) ? a : b));
    else staying.set(one, staying.size);
  }
  return out;
}

function walk() {
  const matches = new Map();
  for (const pair of pairs) {
    const {a, b} = pair, counts = topic(a) === topic(b) || a.dataset < 0 || b.dataset < 0;
    if (!counts || !["copy", "same"].includes(verdict(pair) ?? pair.kind)) continue;
    for (const [one, other] of [[a, b], [b, a]]) matches.set(one, (matches.get(one) ?? new Set()).add(other));
  }
  return selectRedundant(images.filter(image => matches.has(image)), matches, new Set(images.filter(isKept)));
}

// Texts
const plural = (count, noun) => `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;

function reason(image, other) {
  if (isKept(image)) return image.dataset < 0 ? "a reference" : "you keep it";
  if (!other) return "matches none of the kept images";
  if (image.worth !== other.worth) return image.scored ? "most pixels × score" : "most pixels";
  return image.bytes !== other.bytes ? "most bytes" : "first by name";
}

function make(tag, properties, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}
const button = (label, onclick, className = "") => make("button", {onclick, className}, label);

const MAX_LISTED_PAIRS = 60;  // of a set: in a large set, every image may match every other
const label = (set, {a, b, kind, alike}) => [a, b].map(image => set.images.indexOf(image) + 1).join(" – ")
  + ` · ${kind}` + (alike === null ? "" : ` · ${alike.toFixed(2)}`);

// The elements of a set are made when it comes near the screen.
function fill(set) {
  const places = [...new Set(set.images.map(image => image.place))];
  set.tiles = set.images.map((image, i) => {
    const fate = make("span", {className: "fate"}), kept = button("Keep", () => keep(image));
    const picture = image.thumbnail ? make("img", {src: image.thumbnail, alt: "", decoding: "async"}) : "no thumbnail";
    const shot = button(picture, () => look(set, set.pairs.find(({a, b}) => a === image || b === image)), "shot");
    const caption = make("figcaption", {}, make("b", {}, image.name), make("span", {}, image.facts), places.length > 1 ? image.place : "", fate);
    const node = make("figure", {title: `${image.place}/${image.name}`}, shot, make("i", {}, i + 1), caption, kept);
    return {image, node, fate, kept};
  });
  const listed = set.pairs.slice(0, MAX_LISTED_PAIRS);
  for (const pair of listed) {
    pair.buttons = (pair.kind === "copy" ? ["different"] : ["different", "same"]).map(what => button(what, () => decide(pair, what), what));
    pair.node = make("div", {}, button(label(set, pair), () => look(set, pair), "open"), ...pair.buttons);
  }
  const rest = set.pairs.length - listed.length;
  set.node.append(make("p", {className: "quiet small"}, places.length > 1 ? plural(places.length, "folder") : places[0]),
    make("div", {className: "tiles"}, ...set.tiles.map(tile => tile.node)),
    make("div", {className: "pairs"}, ...listed.map(pair => pair.node), rest ? `and ${plural(rest, "pair")} more` : ""));
  paint(set);
}

function paint(set) {
  set.node.classList.toggle("here", set === here);
  for (const {image, node, fate, kept} of set.tiles) {
    const keeper = out.get(image), other = set.images.find(one => out.get(one) === image);
    const stays = !keeper && (other || isKept(image) || set.section === "copies");
    node.className = `tile ${keeper ? "out" : stays ? "keeper" : ""}`;
    fate.textContent = keeper ? `dropped in favour of ${set.images.includes(keeper) ? set.images.indexOf(keeper) + 1 : keeper.name}` : stays ? `kept: ${reason(image, other)}` : "";
    kept.ariaPressed = isKept(image);
    kept.disabled = image.kept;
  }
  for (const pair of set.pairs.slice(0, MAX_LISTED_PAIRS)) {
    pair.node.className = `match ${verdict(pair) ?? ""} ${set === here && pair === set.pairs[chosen] ? "here" : ""}`;
    for (const one of pair.buttons) one.ariaPressed = one.className === verdict(pair);
  }
}

function refresh() {
  try { localStorage.setItem(DRAFT, JSON.stringify(log)); } catch { drafted = false; }
  replay();
  out = walk();
  const total = decided.reduce((sum, {pairs, keep}) => sum + pairs.size + keep.size, 0);
  at("count").textContent = `A merge would now drop ${plural(out.size + data.dropped_elsewhere, "image")} · ${plural(total, "decision")} to save`
    + (drafted ? "" : " · this browser stores no draft: save before you close the page");
  at("undo").disabled = !log.length;
  at("save").disabled = !total;
  sets.filter(set => set.tiles).forEach(paint);
  if (at("look").open) looking();
}

function enter(entry) {
  log.push(entry);
  refresh();
}

function undo() {
  log.pop();
  refresh();
}
const keep = image => image.kept || enter([[image.dataset, isKept(image) ? "leave" : "keep", image.path]]);
const decide = (pair, what) => enter([[owner(pair), verdict(pair) === what ? "undecided" : what, ...paths(pair)]]);

// One file per dataset, as find_duplicates.py --decisions reads it; `files` has the size and time that the page saw.
function saved(dataset) {
  const {pairs, keep} = decided[dataset];
  const listed = what => [...pairs].filter(([, said]) => said === what).map(([both]) => JSON.parse(both)).sort();
  const told = {different: listed("different"), same: listed("same"), keep: [...keep].sort()};
  const named = new Set([...told.different, ...told.same, told.keep].flat());
  const seen = images.filter(image => image.dataset === dataset && named.has(image.path));
  return {...told, files: Object.fromEntries(seen.map(({path, bytes, time}) => [path, [bytes, time]]))};
}

function save() {
  data.datasets.forEach(({name}, i) => {
    if (!decided[i].pairs.size && !decided[i].keep.size) return;
    const href = URL.createObjectURL(new Blob([JSON.stringify(saved(i), null, 2) + "\n"], {type: "application/json"}));
    make("a", {href, download: data.datasets.length > 1 ? `decisions_${name}.json` : "decisions.json"}).click();
  });
}

// A file belongs to the dataset that it is named after, else to the one with most of its images.
async function load(file) {
  try {
    const told = JSON.parse(await file.text());
    const named = new Set([...(told.different ?? []), ...(told.same ?? []), told.keep ?? []].flat());
    const known = data.datasets.map(({name}, i) => file.name === `decisions_${name}.json` ? Infinity
      : images.filter(image => image.dataset === i && named.has(image.path)).length);
    enter(steps(known.indexOf(Math.max(...known)), told));
  } catch (error) {
    alert(`${file.name}: not a decisions file (${error.message})`);
  }
}

// Two images at full size, from disk
function look(set, pair) {
  go(set, set.pairs.indexOf(pair));
  if (!at("look").open) at("look").showModal();
  looking();
}

function looking() {
  const pair = here.pairs[chosen], panes = at("panes");
  at("which").textContent = label(here, pair) + (verdict(pair) ? ` · you say ${verdict(pair)}` : "");
  if (panes.pair === pair) return;
  panes.pair = pair;
  panes.replaceChildren(...[pair.a, pair.b].map(image => {
    const caption = make("figcaption", {}, make("b", {}, image.name), ` ${image.facts}`);
    const picture = make("img", {alt: image.name, src: image.url});
    picture.addEventListener("error", () => {
      caption.append(" · file not found: this is its thumbnail");
      picture.src = image.thumbnail;
    }, {once: true});
    return make("figure", {}, picture, caption);
  }));
}

function go(set, pair = 0) {
  const before = here ?? set;
  [here, chosen] = [set, Math.max(0, Math.min(pair, set.pairs.length - 1))];
  if (!set.tiles) fill(set);
  [before, here].forEach(paint);
  if (at("look").open) looking();
}

function next(step) {
  const open = sets.filter(set => !set.node.hidden);
  const set = open[Math.max(0, Math.min(open.indexOf(here) + step, open.length - 1))];
  if (set) go(set);
  set?.node.scrollIntoView();
}

function flicker() {
  const panes = at("panes").classList;
  if (panes.contains("over")) panes.toggle("second"); else panes.add("over");
}

const KEYS = {
  j: () => next(1), k: () => next(-1), n: () => here ? go(here, chosen + 1) : next(1), p: () => here && go(here, chosen - 1),
  d: () => here && decide(here.pairs[chosen], "different"), s: () => here && decide(here.pairs[chosen], "same"),
  u: undo, w: save, "/": () => at("find").focus(), "?": () => at("legend").showModal(),
  Enter: () => here && look(here, here.pairs[chosen]), f: flicker, b: () => at("panes").classList.remove("over"),
  z: () => at("panes").classList.toggle("whole"), Escape: () => { at("find").blur(); at("look").close(); at("legend").close(); },
};
document.addEventListener("keydown", event => {
  if (event.target === at("find") && event.key !== "Escape" || event.ctrlKey || event.metaKey || event.altKey) return;
  const image = here?.images[event.key - 1];
  if (image) keep(image);
  else if (KEYS[event.key] && (event.key !== "Enter" || event.target === document.body)) {
    event.preventDefault();
    KEYS[event.key]();
  }
});

const FILTERS = {
  across: set => set.section === "across",
  borderline: set => set.section === "doubtful" || set.pairs.some(({alike}) => alike !== null && alike < data.borderline),
  smaller: set => set.images.some(image => out.get(image)?.bytes < image.bytes),
};

function filter() {
  const words = at("find").value.toLowerCase().split(/\s+/).filter(Boolean);
  const wanted = [...document.querySelectorAll("[data-filter][aria-pressed=true]")].map(one => FILTERS[one.dataset.filter]);
  for (const set of sets) set.node.hidden = !(words.every(word => set.text.includes(word)) && wanted.every(fits => fits(set)));
  const open = sets.filter(set => !set.node.hidden);
  for (const {section} of sets) at(section).hidden = true;
  for (const {section} of open) at(section).hidden = false;
  at("found").textContent = words.length || wanted.length ? `${plural(open.length, "set")} found` : "";
}

const watch = new IntersectionObserver(seen => {
  for (const {isIntersecting, target} of seen) if (isIntersecting && !target.set.tiles) fill(target.set);
}, {rootMargin: "1200px"});
for (const set of sets) {
  set.text = set.images.map(image => `${image.place}/${image.name}`).join("\n").toLowerCase();
  set.node = at(set.section).appendChild(make("article", {className: "set", set, onclick: () => here === set || go(set)}));
}
draft();
refresh();
for (const set of sets) watch.observe(set.node);
at("find").addEventListener("input", filter);
at("files").addEventListener("change", ({target}) => { [...target.files].forEach(load); target.value = ""; });
for (const one of document.querySelectorAll("[data-key]")) one.addEventListener("click", () => KEYS[one.dataset.key]());
for (const one of document.querySelectorAll("[data-filter]")) {
  one.addEventListener("click", () => { one.ariaPressed = one.ariaPressed !== "true"; filter(); });
}
