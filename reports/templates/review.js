// Decisions on many sets at once, keys, and the start of the page.
function acceptAll(which) {
  enter(shownSets().filter(set => !isDone(set) && which(set)).map(mark));
}

const leastAlike = set => Math.min(...set.pairs.map(({alike}) => alike ?? 0));
const isUndecided = set => !set.images.some(isKept) && !set.pairs.some(verdict);

const isFolderRule = rule => rule.startsWith("in ");  // of sets across topics; all others of copies within one

// Keeps what the keeper rule would keep with another order of the images, in each shown set without a decision.
function applyBulkRule(rule) {
  const section = isFolderRule(rule) ? "across" : "copies", entry = [];
  for (const set of shownSets().filter(set => set.section === section && isUndecided(set))) {
    if (isFolderRule(rule) && !set.orders[rule]) continue;
    const order = set.orders[rule] ?? set.images;
    const dropped = selectRedundant(order, matchesAmong(set.pairs), new Set());
    if (set.images.every(image => dropped.has(image) === out.has(image))) continue;
    for (const image of order) if (!dropped.has(image)) entry.push([image.dataset, "keep", image.path]);
  }
  enter(entry);
}

const KEYS = {
  j: () => next(1), k: () => next(-1), n: () => here ? go(here, chosen + 1) : next(1), p: () => here && go(here, chosen - 1),
  a: accept, d: () => here && decide(here.pairs[chosen], "different"), s: () => here && decide(here.pairs[chosen], "same"),
  u: undo, w: save, "/": () => at("find").focus(), "?": () => at("legend").showModal(),
  Enter: () => here && look(here, here.pairs[chosen]),
  ...Object.fromEntries(Object.entries(MODES).map(([key, mode]) => [key, () => at("look").open && setMode(mode)])),
  z: () => at("look").open && toggleZoom(), Escape: () => { at("find").blur(); at("look").close(); at("legend").close(); },
};
document.addEventListener("keydown", event => {
  const isTyping = event.target.matches("input:not([type=range]), select") && event.key !== "Escape";
  if (isTyping || event.ctrlKey || event.metaKey || event.altKey) return;
  const image = here?.images[event.key - 1];
  if (image) keep(image);
  else if (KEYS[event.key] && (event.key !== "Enter" || event.target.matches("body, .set"))) {
    event.preventDefault();
    KEYS[event.key]();
  }
});

// ---- Start
const watch = new IntersectionObserver(entries => {
  for (const {isIntersecting, target: {set}} of entries) {
    set.near = isIntersecting;
    if (set.near && !set.tiles) fill(set);
    else if (set.near && set.stale) paint(set);
  }
}, {rootMargin: "1200px"});
for (const set of sets) {
  const count = sections.get(set.section) ?? {all: 0, shown: 0};
  sections.set(set.section, {all: count.all + 1, shown: count.shown + 1});
  set.shown = true;
  set.text = set.images.map(image => `${image.place}/${image.name}`).join("\n").toLowerCase();
  set.node = at(set.section).appendChild(make("article", {
    className: set.images.length < MIN_WIDE_SET ? "set" : "set large", set, tabIndex: -1, ariaLabel: `Set ${set.number} of ${sets.length}`, onclick: () => here === set || go(set),
  }));
}
const folderRules = new Set(sets.flatMap(set => Object.keys(set.orders)).filter(isFolderRule));
at("rule").append(...[...folderRules].slice(0, 200).map(rule => make("option", {value: rule}, `${rule}, of those across topics`)));
readDraft();
applyRule(groups);
doneCount = sets.filter(isDone).length;
showCount();
showProgress();
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
