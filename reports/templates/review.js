// Shows sets and pairs, takes decisions, and applies the keeper rule after each, as the next merge will.
// All ranking comes from the page's data: the order of each set's images, for the keeper rule and for each bulk rule.
const data = JSON.parse(document.getElementById("data").textContent);
const {images} = data;
const pairOf = ([a, b, kind, alike, why]) => ({a: images[a], b: images[b], kind, alike, why});
const sets = data.sets.map((set, i) => {
  const members = set.images.map(id => images[id]);
  const orders = Object.fromEntries(Object.entries(set.orders).map(([rule, ids]) => [rule, ids.map(id => images[id])]));
  const paths = members.map(({dataset, path}) => `${dataset}/${path}`).sort();
  return {...set, number: i + 1, images: members, pairs: set.pairs.map(pairOf), orders, id: `${set.section} ${paths[0]}`};
});
const pairs = sets.flatMap(set => set.pairs);
const topic = ({dataset, path}) => dataset + path.slice(0, path.lastIndexOf("/"));

// ---- Decisions
// New decisions: those that the datasets do not have yet. One undo removes one entry of the log. An entry has steps
// [dataset, "keep", "leave" or "drop", path], [dataset, "different", "same" or "undecided", path, path]
// and [-1, "done" or "open", id of a set].
const DRAFT = "review " + data.datasets.map(dataset => dataset.path).join("\n");
let log = [], decided, done, out, drafted = true, savedState = null, here = null, chosen = 0;
const owner = ({a, b}) => a.dataset < 0 ? b.dataset : a.dataset;  // a reference belongs to none
const paths = ({a, b}) => [a.path, b.path].sort();
const verdict = pair => decided[owner(pair)].pairs.get(pair.key ??= JSON.stringify(paths(pair)));
const isKept = image => image.kept || decided[image.dataset].keep.has(image.path);
const steps = (dataset, {different = [], same = [], keep = [], drop = []}) => [
  ...different.map(pair => [dataset, "different", ...pair.sort()]),
  ...same.map(pair => [dataset, "same", ...pair.sort()]),
  ...keep.map(path => [dataset, "keep", path]),
  ...drop.map(path => [dataset, "drop", path]),
];

function readDraft() {
  const known = new Set(data.datasets.flatMap((dataset, i) => steps(i, dataset.decisions)).map(step => JSON.stringify(step)));
  try {
    log = JSON.parse(localStorage.getItem(DRAFT) ?? "[]");
    savedState = localStorage.getItem(DRAFT + " saved");
  } catch {
    drafted = false;
  }
  log = log.map(entry => entry.filter(step => !known.has(JSON.stringify(step)))).filter(entry => entry.length);
}

function writeDraft() {
  try {
    localStorage.setItem(DRAFT, JSON.stringify(log));
    if (savedState === null) localStorage.removeItem(DRAFT + " saved");
    else localStorage.setItem(DRAFT + " saved", savedState);
  } catch {
    drafted = false;
  }
}

function replay() {
  decided = data.datasets.map(() => ({pairs: new Map(), keep: new Set(), drop: new Set()}));
  done = new Set();
  for (const [dataset, what, ...about] of log.flat()) {
    if (what === "done") done.add(about[0]);
    else if (what === "open") done.delete(about[0]);
    else if (what === "keep") decided[dataset].keep.add(about[0]);
    else if (what === "drop") decided[dataset].drop.add(about[0]);
    else if (what === "leave") decided[dataset].keep.delete(about[0]);
    else if (what === "undecided") decided[dataset].pairs.delete(JSON.stringify(about));
    else decided[dataset].pairs.set(JSON.stringify(about), what);
  }
}

// The keeper rule, as in keeping/keepers.py. `order` has the best image first; images to keep come before all others.
// An image is dropped if it matches a keeper before it. Returns a Map from each dropped image to its first such keeper.
// All images of one `equal` set match each other, and those of one `node` match what one of them matches: see
// keeping/equal_images.py.
function selectRedundant(order, matches, kept) {
  const staying = new Map(), dropped = new Map(), joined = new Map(), byNode = new Map(), bySet = new Map();
  const [node, set] = [one => one.node ?? one, one => one.equal ?? one];
  for (const [one, others] of matches) for (const other of others) into(joined, node(one), node(other));
  for (const one of [...order.filter(one => kept.has(one)), ...order.filter(one => !kept.has(one))]) {
    const groups = [bySet.get(set(one)), ...[...joined.get(node(one)) ?? []].map(other => byNode.get(other))];
    const better = kept.has(one) ? [] : groups.map(group => group && first(group, other => other !== one && mayMatch(one, other)));
    const keepers = better.filter(other => other !== undefined);
    if (keepers.length) dropped.set(one, keepers.reduce((a, b) => staying.get(a) < staying.get(b) ? a : b));
    else {
      staying.set(one, staying.size);
      into(byNode, node(one), one);
      into(bySet, set(one), one);
    }
  }
  return dropped;
}

function into(sets, key, value) {
  if (!sets.has(key)) sets.set(key, new Set());
  sets.get(key).add(value);
}

function first(values, fits) {
  for (const value of values) if (fits(value)) return value;
}
const mayMatch = (a, b) => !(a.equal || b.equal) || verdict({a, b}) !== "different";

function matchesAmong(pairs, acrossTopics = false) {
  const matches = new Map();
  for (const pair of pairs) {
    const {a, b} = pair, counts = acrossTopics || topic(a) === topic(b) || a.dataset < 0 || b.dataset < 0;
    const stands = (a.node || b.node) && verdict(pair) !== "same" ? pair.kind : verdict(pair) ?? pair.kind;
    if (!counts || !["copy", "same"].includes(stands)) continue;
    for (const [one, other] of [[a, b], [b, a]]) matches.set(one, (matches.get(one) ?? new Set()).add(other));
  }
  return matches;
}

function applyRule() {
  const matches = matchesAmong(pairs);
  return selectRedundant(images.filter(image => matches.has(image) || image.equal), matches, new Set(images.filter(isKept)));
}

function enter(entry) {
  if (entry.length) log.push(entry);
  refresh();
}

function undo() {
  log.pop();
  refresh();
}

const keep = image => image.kept || enter([[image.dataset, isKept(image) ? "leave" : "keep", image.path]]);
const decide = (pair, what) => enter([[owner(pair), verdict(pair) === what ? "undecided" : what, ...paths(pair)]]);
const isDone = set => done.has(set.id);
const mark = set => [-1, isDone(set) ? "open" : "done", set.id];

// Marks this set as done, and goes to the next that is not.
function accept() {
  if (!here) return next(1);
  const set = here, open = openSets(), after = open.slice(open.indexOf(set) + 1);
  enter([mark(set)]);
  filter();
  const following = after.find(set => !isDone(set)) ?? openSets().find(set => !isDone(set));
  if (isDone(set) && following) goAndShow(following);
}

function acceptAll(which) {
  enter(openSets().filter(set => !isDone(set) && which(set)).map(mark));
  filter();
}

const leastAlike = set => Math.min(...set.pairs.map(({alike}) => alike ?? 0));
const isUndecided = set => !set.images.some(isKept) && !set.pairs.some(verdict);

const isFolderRule = rule => rule.startsWith("in ");  // of sets across topics; all others of copies within one

// Keeps what the keeper rule would keep with another order of the images, in each shown set without a decision.
function applyBulkRule(rule) {
  const section = isFolderRule(rule) ? "across" : "copies", entry = [];
  for (const set of openSets().filter(set => set.section === section && isUndecided(set))) {
    if (isFolderRule(rule) && !set.orders[rule]) continue;
    const order = set.orders[rule] ?? set.images;
    const dropped = selectRedundant(order, matchesAmong(set.pairs, section === "across"), new Set());
    if (set.images.every(image => dropped.has(image) === out.has(image))) continue;
    for (const image of order) if (!dropped.has(image)) entry.push([image.dataset, "keep", image.path]);
  }
  enter(entry);
}

// ---- Saving
// One file per dataset, as find_duplicates.py --decisions reads it; `files` has the size and time that the page saw.
function decisionsOf(dataset) {
  const {pairs, keep, drop} = decided[dataset];
  const listed = what => [...pairs].filter(([, said]) => said === what).map(([both]) => JSON.parse(both)).sort();
  const content = {different: listed("different"), same: listed("same"), keep: [...keep].sort(), ...(drop.size && {drop: [...drop].sort()})};
  const named = new Set([...content.different, ...content.same, content.keep].flat());
  const seen = images.filter(image => image.dataset === dataset && named.has(image.path));
  return {...content, files: Object.fromEntries(seen.map(({path, bytes, time}) => [path, [bytes, time]]))};
}

const stateOfAll = () => JSON.stringify(data.datasets.map((_, i) => decisionsOf(i)));
const countDecisions = ({pairs, keep, drop}) => pairs.size + keep.size + drop.size;

function save() {
  const commands = [];
  data.datasets.forEach(({name, path}, i) => {
    if (!countDecisions(decided[i])) return;
    const file = data.datasets.length > 1 ? `decisions_${name}.json` : "decisions.json";
    download(file, decisionsOf(i));
    commands.push(`find_duplicates.py ${shellQuoted(path)} --decisions ~/Downloads/${shellQuoted(file)}`);
  });
  if (!commands.length) return;
  savedState = stateOfAll();
  showCommands(commands);
  refresh();
}

// A file belongs to the dataset that it is named after, else to the one with most of its images.
async function load(file) {
  try {
    const content = JSON.parse(await file.text());
    const named = new Set([...(content.different ?? []), ...(content.same ?? []), content.keep ?? [], content.drop ?? []].flat());
    const known = data.datasets.map(({name}, i) => file.name === `decisions_${name}.json` ? Infinity
      : images.filter(image => image.dataset === i && named.has(image.path)).length);
    enter(steps(known.indexOf(Math.max(...known)), content));
  } catch (error) {
    alert(`${file.name}: not a decisions file (${error.message})`);
  }
}

// ---- Texts

function reason(set, image, other) {
  if (isKept(image)) return image.dataset < 0 ? "a reference" : "you keep it";
  if (!other) return "matches none of the kept images";
  return set.pairs.find(({a, b}) => a === image ? b === other : a === other && b === image)?.why || "the best of equal ones";
}

function fateOf(set, image) {
  const keeper = out.get(image), dropped = set.images.find(one => out.get(one) === image);
  if (keeper) {
    const name = set.images.includes(keeper) ? set.images.indexOf(keeper) + 1 : keeper.name;
    return {className: "out", text: `dropped in favour of ${name}`};
  }
  const isKeeper = dropped || isKept(image) || set.section === "copies";
  return isKeeper ? {className: "keeper", text: `kept: ${reason(set, image, dropped)}`} : {className: "", text: ""};
}

const likeness = alike => alike === null ? "" : ` · ${alike.toFixed(2)}`;
const label = (set, {a, b, kind, alike}) =>
  [a, b].map(image => set.images.indexOf(image) + 1).join(" – ") + ` · ${kind}` + likeness(alike);

// ---- Elements
const MAX_LISTED_PAIRS = 60;  // of a set: in a large set, every image may match every other

// What is known of an image; what differs within the set is bold.
function facts(image, others) {
  const node = make("span", {className: "facts"});
  image.facts.forEach((fact, i) => {
    if (!fact) return;
    const differs = others.some(other => other.facts[i] !== fact);
    node.append(node.childNodes.length ? " · " : "", make(differs ? "b" : "span", {}, fact));
  });
  return node;
}

// The elements of a set are made when it comes near the screen.
function fill(set) {
  const places = [...new Set(set.images.map(image => image.place))];
  set.doneButton = button("Done", () => { enter([mark(set)]); filter(); }, "done");
  set.tiles = set.images.map((image, i) => {
    const fate = make("span", {className: "fate"}), kept = button(`Keep ${i + 1}`, () => keep(image));
    const picture = image.thumbnail ? make("img", {src: image.thumbnail, alt: image.name, decoding: "async"}) : "no thumbnail";
    const shot = button(picture, () => look(set, set.pairs.find(({a, b}) => a === image || b === image)), "shot");
    const caption = make("figcaption", {}, make("b", {}, image.name), facts(image, set.images));
    if (image.caption) caption.append(make("q", {}, image.caption));
    caption.append(places.length > 1 ? make("span", {}, image.place) : "", fate);
    const node = make("figure", {title: `${image.place}/${image.name}`}, shot, make("i", {}, i + 1), caption, kept);
    return {image, node, fate, kept};
  });
  const listed = set.pairs.slice(0, MAX_LISTED_PAIRS);
  for (const pair of listed) {
    const choices = pair.kind === "copy" ? ["different"] : ["different", "same"];
    pair.buttons = choices.map(what => button(what, () => decide(pair, what), what));
    pair.node = make("div", {}, button(label(set, pair), () => look(set, pair), "open"), ...pair.buttons);
  }
  const rest = set.pairs.length - listed.length;
  const where = places.length > 1 ? plural(places.length, "folder") : places[0];
  set.node.append(
    make("h3", {}, `Set ${set.number} of ${sets.length} `, make("span", {className: "quiet small"}, where), set.doneButton),
    make("div", {className: "tiles"}, ...set.tiles.map(tile => tile.node)),
    make("div", {className: "pairs"}, ...listed.map(pair => pair.node), rest ? `and ${plural(rest, "pair")} more` : ""));
  paint(set);
}

function paint(set) {
  set.node.className = `set ${set === here ? "here" : ""} ${isDone(set) ? "finished" : ""}`;
  set.doneButton.ariaPressed = isDone(set);
  for (const {image, node, fate, kept} of set.tiles) {
    const {className, text} = fateOf(set, image);
    node.className = `tile ${className}`;
    fate.textContent = text;
    kept.ariaPressed = isKept(image);
    kept.disabled = image.kept;
  }
  for (const pair of set.pairs.slice(0, MAX_LISTED_PAIRS)) {
    pair.node.className = `match ${verdict(pair) ?? ""} ${set === here && pair === set.pairs[chosen] ? "here" : ""}`;
    for (const one of pair.buttons) one.ariaPressed = one.className === verdict(pair);
  }
}

function refresh() {
  replay();
  out = applyRule();
  if (savedState !== stateOfAll()) savedState = null;
  writeDraft();
  const total = decided.map(countDecisions).reduce((sum, count) => sum + count, 0);
  const unsaved = savedState === null ? total : 0;
  at("count").textContent = `A merge would now drop ${plural(out.size + data.dropped_elsewhere, "image")} · ${plural(unsaved, "decision")} to save`
    + (drafted ? "" : " · this browser stores no draft: save before you close the page");
  at("undo").disabled = !log.length;
  at("save").disabled = !unsaved;
  if (unsaved) at("saved").hidden = true;
  sets.filter(set => set.tiles).forEach(paint);
  showProgress();
  if (at("look").open) paintLook();
}

function showProgress() {
  const finished = sets.filter(isDone).length;
  at("progress").textContent = (here ? `Set ${here.number} of ${sets.length} · ` : "") + `${finished} of ${sets.length} done`;
  at("bar-done").style.width = `${100 * finished / (sets.length || 1)}%`;
}

// ---- Two images at full size, from disk
function look(set, pair) {
  go(set, set.pairs.indexOf(pair));
  if (!at("look").open) at("look").showModal();
  showPair();
}

function showPair() {
  const pair = here.pairs[chosen], panes = at("panes");
  if (panes.pair !== pair) {
    panes.pair = pair;
    panes.tiles = [pair.a, pair.b].map(image => {
      const number = here.images.indexOf(image) + 1;
      const fate = make("span", {className: "fate"}), kept = button(`Keep ${number}`, () => keep(image));
      const caption = make("figcaption", {}, make("i", {}, number), " ", make("b", {}, image.name), " ",
        facts(image, [pair.a, pair.b]), image.caption ? make("q", {}, image.caption) : "", fate, " ", kept);
      const picture = make("img", {alt: image.name, src: image.url});
      picture.addEventListener("error", () => {
        caption.append(" · file not found: this is its thumbnail");
        picture.src = image.thumbnail;
      }, {once: true});
      const node = make("figure", {}, make("div", {className: "frame"}, picture), caption);
      return {image, node, fate, kept};
    });
    const frames = panes.tiles.map(({node}) => node.firstChild);
    frames.forEach((frame, i) => frame.addEventListener("scroll", () => scrollTogether(frame, frames[1 - i])));
    panes.replaceChildren(...panes.tiles.map(({node}) => node));
  }
  paintLook();
}

// Shows the same place of both images, whatever their sizes.
function scrollTogether(from, to) {
  const left = from.scrollLeft / (from.scrollWidth - from.clientWidth || 1) * (to.scrollWidth - to.clientWidth);
  const top = from.scrollTop / (from.scrollHeight - from.clientHeight || 1) * (to.scrollHeight - to.clientHeight);
  if (Math.abs(to.scrollLeft - left) > 1 || Math.abs(to.scrollTop - top) > 1) to.scrollTo(left, top);
}

function paintLook() {
  const pair = here.pairs[chosen], said = verdict(pair);
  at("which").textContent = `Set ${here.number} of ${sets.length} · ${label(here, pair)}` + (said ? ` · you say ${said}` : "")
    + (isDone(here) ? " · done" : "");
  for (const {image, node, fate, kept} of at("panes").tiles) {
    const {className, text} = fateOf(here, image);
    node.className = className;
    fate.textContent = text;
    kept.ariaPressed = isKept(image);
    kept.disabled = image.kept;
  }
}

const MODES = ["over", "wipe", "differ"];  // one image over the other; else side by side

function setMode(mode) {
  const panes = at("panes").classList;
  if (mode === "over" && panes.contains("over")) return panes.toggle("second");
  panes.remove("second", ...MODES);
  if (mode) panes.add(mode);
  at("wipe").hidden = mode !== "wipe";
}

function go(set, pair = 0) {
  const before = here ?? set;
  [here, chosen] = [set, Math.max(0, Math.min(pair, set.pairs.length - 1))];
  if (!set.tiles) fill(set);
  [before, here].forEach(paint);
  showProgress();
  if (at("look").open) showPair();
}

function goAndShow(set) {
  go(set);
  set.node.scrollIntoView({block: "start"});
}

function next(step) {
  const open = openSets();
  const set = open[Math.max(0, Math.min(open.indexOf(here) + step, open.length - 1))];
  if (set) goAndShow(set);
}

const KEYS = {
  j: () => next(1), k: () => next(-1), n: () => here ? go(here, chosen + 1) : next(1), p: () => here && go(here, chosen - 1),
  a: accept, d: () => here && decide(here.pairs[chosen], "different"), s: () => here && decide(here.pairs[chosen], "same"),
  u: undo, w: save, "/": () => at("find").focus(), "?": () => at("legend").showModal(),
  Enter: () => here && look(here, here.pairs[chosen]),
  f: () => setMode("over"), b: () => setMode(""), c: () => setMode("wipe"), x: () => setMode("differ"),
  z: () => at("panes").classList.toggle("whole"), Escape: () => { at("find").blur(); at("look").close(); at("legend").close(); },
};
document.addEventListener("keydown", event => {
  const isTyping = event.target.matches("input:not([type=range]), select") && event.key !== "Escape";
  if (isTyping || event.ctrlKey || event.metaKey || event.altKey) return;
  const image = here?.images[event.key - 1];
  if (image) keep(image);
  else if (KEYS[event.key] && (event.key !== "Enter" || event.target === document.body)) {
    event.preventDefault();
    KEYS[event.key]();
  }
});

// ---- Filters
const FILTERS = {
  across: set => set.section === "across",
  borderline: set => set.section === "doubtful" || set.pairs.some(({alike}) => alike !== null && alike < data.borderline),
  smaller: set => set.images.some(image => out.get(image)?.bytes < image.bytes),
  "by-name": set => set.by_name,
  captions: set => set.captions_differ,
  open: set => !isDone(set),
};
const openSets = () => sets.filter(set => !set.node.hidden);

function filter() {
  const words = at("find").value.toLowerCase().split(/\s+/).filter(Boolean);
  const wanted = [...document.querySelectorAll("[data-filter][aria-pressed=true]")].map(one => FILTERS[one.dataset.filter]);
  for (const set of sets) set.node.hidden = !(words.every(word => set.text.includes(word)) && wanted.every(fits => fits(set)));
  const isFiltered = words.length || wanted.length;
  for (const section of new Set(sets.map(({section}) => section))) {
    const all = sets.filter(set => set.section === section), shown = all.filter(set => !set.node.hidden).length;
    at(section).hidden = !shown;
    at(section).querySelector("h2 span").textContent = isFiltered ? `${shown} of ${plural(all.length, "set")}` : plural(shown, "set");
  }
  at("found").textContent = isFiltered ? `${plural(openSets().length, "set")} found` : "";
}

// ---- Start
const watch = new IntersectionObserver(seen => {
  for (const {isIntersecting, target} of seen) if (isIntersecting && !target.set.tiles) fill(target.set);
}, {rootMargin: "1200px"});
for (const set of sets) {
  set.text = set.images.map(image => `${image.place}/${image.name}`).join("\n").toLowerCase();
  set.node = at(set.section).appendChild(make("article", {className: "set", set, onclick: () => here === set || go(set)}));
}
const folderRules = new Set(sets.flatMap(set => Object.keys(set.orders)).filter(isFolderRule));
at("rule").append(...[...folderRules].slice(0, 200).map(rule => make("option", {value: rule}, `${rule}, of those across topics`)));
readDraft();
refresh();
for (const set of sets) watch.observe(set.node);
at("find").addEventListener("input", filter);
at("files").addEventListener("change", ({target}) => { [...target.files].forEach(load); target.value = ""; });
at("size").addEventListener("input", ({target}) => document.documentElement.style.setProperty("--tile", `${target.value}px`));
at("wipe").addEventListener("input", ({target}) => at("panes").style.setProperty("--wipe", `${target.value}%`));
at("accept-identical").addEventListener("click", () => acceptAll(set => set.identical));
at("accept-alike").addEventListener("click", () =>
  acceptAll(set => ["copies", "references"].includes(set.section) && leastAlike(set) >= Number(at("alike").value)));
at("apply-rule").addEventListener("click", () => applyBulkRule(at("rule").value));
for (const one of document.querySelectorAll("[data-key]")) one.addEventListener("click", () => KEYS[one.dataset.key]());
for (const one of document.querySelectorAll("[data-filter]")) {
  one.addEventListener("click", () => { one.ariaPressed = one.ariaPressed !== "true"; filter(); });
}
