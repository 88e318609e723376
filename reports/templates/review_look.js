// Two images at full size, from disk.
const MODES = {b: "", f: "over", c: "wipe", x: "differ"};  // by key: side by side, or one image over the other

function look(set, pair) {
  go(set, set.pairs.indexOf(pair));
  if (!at("look").open) at("look").showModal();
  showPair();
}

// Back from there, the focus is where it was before, or at the set that was shown last.
at("look").addEventListener("close", () => {
  if (!here.node.contains(document.activeElement)) here.node.focus({preventScroll: true});
});

function showPair() {
  const pair = here.pairs[chosen], panes = at("panes");
  if (panes.pair !== pair) {
    panes.pair = pair;
    panes.tiles = [pair.a, pair.b].map(image => {
      const number = here.images.indexOf(image) + 1;
      const fate = make("span", {className: "fate"}), kept = button(`Keep ${number}`, () => keep(image));
      const caption = make("figcaption", {}, make("i", {}, number), " ", make("b", {}, image.name), " ",
        facts(image, [pair.a, pair.b]), image.caption ? make("q", {}, image.caption) : "", fate, " ", kept);
      const picture = make("img", {alt: `Image ${number}: ${image.name}`, src: image.url});
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
  showPressedKeys();
  for (const {image, node, fate, kept} of at("panes").tiles) {
    const {className, text} = fateOf(here, image);
    node.className = className;
    fate.textContent = text;
    kept.ariaPressed = isKept(image);
    kept.disabled = image.kept;
  }
}

function setMode(mode) {
  const panes = at("panes").classList;
  if (mode === "over" && panes.contains("over")) return panes.toggle("second");
  panes.remove("second", "over", "wipe", "differ");
  if (mode) panes.add(mode);
  at("wipe").hidden = mode !== "wipe";
  showPressedKeys();
}

function toggleZoom() {
  at("panes").classList.toggle("whole");
  showPressedKeys();
}

function showPressedKeys() {
  const panes = at("panes").classList, said = verdict(here.pairs[chosen]);
  const mode = Object.values(MODES).find(mode => mode && panes.contains(mode)) ?? "";
  const isOn = {z: panes.contains("whole"), d: said === "different", s: said === "same"};
  for (const key of Object.keys(MODES)) isOn[key] = MODES[key] === mode;
  for (const [key, on] of Object.entries(isOn)) at("look").querySelector(`[data-key=${key}]`).ariaPressed = on;
}
