// New decisions: those that the datasets do not have yet. One undo takes back one entry of the log. An entry has steps
// [dataset, "keep", "leave", "drop" or "undrop", path], [dataset, "different", "same" or "undecided", path, path]
// and [-1, "done" or "open", id of a set].
const DRAFT = "review " + data.datasets.map(dataset => dataset.path).join("\n");
const DRAFT_DELAY_MS = 200;
const OPPOSITES = {keep: "leave", drop: "undrop", done: "open"};
let decided = data.datasets.map(() => ({pairs: new Map(), keep: new Set(), drop: new Set()}));
let log = [], drafted = true, draftTimer = 0, savedState = null;
const done = new Set();  // ids of sets
const inverses = [];  // for each entry of the log, the steps that take it back

const owner = ({a, b}) => a.dataset < 0 ? b.dataset : a.dataset;  // a reference belongs to none
const paths = ({a, b}) => [a.path, b.path].sort();
const verdict = pair => decided[owner(pair)].pairs.get(pair.key ??= JSON.stringify(paths(pair)));
const isKept = image => image.kept || decided[image.dataset].keep.has(image.path);
const isDone = set => done.has(set.id);
const mark = set => [-1, isDone(set) ? "open" : "done", set.id];
const steps = (dataset, {different = [], same = [], keep = [], drop = []}) => [
  ...different.map(pair => [dataset, "different", ...pair.sort()]),
  ...same.map(pair => [dataset, "same", ...pair.sort()]),
  ...keep.map(path => [dataset, "keep", path]),
  ...drop.map(path => [dataset, "drop", path]),
];

// Returns the step that takes this one back.
function applyStep([dataset, what, ...about]) {
  if (about.length === 2) {
    const {pairs} = decided[dataset], key = JSON.stringify(about), before = pairs.get(key) ?? "undecided";
    if (what === "undecided") pairs.delete(key);
    else pairs.set(key, what);
    return [dataset, before, ...about];
  }
  const kind = Object.keys(OPPOSITES).find(kind => what === kind || what === OPPOSITES[kind]);
  const members = kind === "done" ? done : decided[dataset][kind];
  const before = members.has(about[0]) ? kind : OPPOSITES[kind];
  if (what === kind) members.add(about[0]);
  else members.delete(about[0]);
  return [dataset, before, about[0]];
}

// Returns the steps that take these back, and what they changed: groups of images, and sets that are done or open again.
function applySteps(steps) {
  const taken = [], changedGroups = new Set(), marked = new Set();
  for (const step of steps) {
    const inverse = applyStep(step), [dataset, what, ...about] = step;
    taken.unshift(inverse);
    if (inverse[1] === what) continue;
    if (dataset < 0) marked.add(setsById.get(about[0]));
    else savedState = null;
    if (dataset >= 0) for (const image of imagesNamed(dataset, about)) changedGroups.add(image.group);
  }
  marked.delete(undefined);  // a set of an older page
  applyRule(changedGroups);
  return {taken, changedGroups, marked};
}

// A path of a pair can be that of a reference, which belongs to no dataset.
const imagesNamed = (dataset, paths) =>
  paths.flatMap(path => [imagesByKey.get(imageKey(dataset, path)) ?? imagesByKey.get(imageKey(-1, path))]).filter(Boolean);

function enter(entry) {
  if (!entry.length) return;
  const {taken, ...changes} = applySteps(entry);
  log.push(entry);
  inverses.push(taken);
  writeDraftSoon();
  showChanges(changes);
}

// Takes back the last entry. If that is about one set, goes there.
function undo() {
  if (!log.length) return;
  log.pop();
  const {taken, ...changes} = applySteps(inverses.pop());
  writeDraftSoon();
  const changedSets = showChanges(changes);
  if (changedSets.size === 1) for (const set of changedSets) if (set !== here && set.shown) goAndShow(set);
}

const keep = image => image.kept || enter([[image.dataset, isKept(image) ? "leave" : "keep", image.path]]);
const decide = (pair, what) => enter([[owner(pair), verdict(pair) === what ? "undecided" : what, ...paths(pair)]]);

// ---- The draft, in the browser
function readDraft() {
  const known = new Set(data.datasets.flatMap((dataset, i) => steps(i, dataset.decisions)).map(step => JSON.stringify(step)));
  let state = null;
  try {
    log = JSON.parse(localStorage.getItem(DRAFT) ?? "[]");
    state = localStorage.getItem(DRAFT + " saved");
  } catch {
    drafted = false;
  }
  log = log.map(entry => entry.filter(step => !known.has(JSON.stringify(step)))).filter(entry => entry.length);
  inverses.push(...log.map(entry => entry.map(applyStep).reverse()));
  if (state !== null && state === stateOfAll()) savedState = state;
}

function writeDraft() {
  clearTimeout(draftTimer);
  draftTimer = 0;
  try {
    localStorage.setItem(DRAFT, JSON.stringify(log));
    if (savedState === null) localStorage.removeItem(DRAFT + " saved");
    else localStorage.setItem(DRAFT + " saved", savedState);
  } catch {
    drafted = false;
    showCount();
  }
}

// A long log takes time to write: not at every key of a quick typist.
function writeDraftSoon() {
  draftTimer ||= setTimeout(writeDraft, DRAFT_DELAY_MS);
}
for (const event of ["pagehide", "visibilitychange"]) addEventListener(event, () => draftTimer && writeDraft());

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
    commands.push(`${shellQuoted(data.script)} ${shellQuoted(path)}${data.level_option} --decisions ~/Downloads/${shellQuoted(file)}`);
  });
  if (!commands.length) return;
  savedState = stateOfAll();
  writeDraft();
  showCommands(commands);
  showCount();
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
