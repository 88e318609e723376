// Shows the best and the worst images, and takes decisions: which images no merge and no split takes.
if (at("gallery")) {
  const {images, galleries, datasets, script, level_option} = JSON.parse(at("gallery").textContent);
  const bars = [...document.querySelectorAll("[data-bar]")];
  const DRAFT = "gallery " + datasets.map(({path}) => path).join("\n");
  const keyOf = image => `${image.dataset}/${image.path}`;
  let decided = new Map();  // from the key of an image to whether it is dropped; only where that is new
  let shown = [], current = 0, isSaved = false;

  const isDropped = image => decided.get(keyOf(image)) ?? image.dropped;

  function toggle(image) {
    const key = keyOf(image), isNow = !isDropped(image);
    if (isNow === image.dropped) decided.delete(key);
    else decided.set(key, isNow);
    isSaved = false;
    refresh();
  }

  function readDraft() {
    try {
      const known = new Map(images.map(image => [keyOf(image), image.dropped]));
      const draft = JSON.parse(localStorage.getItem(DRAFT) ?? "[]");
      decided = new Map(draft.filter(([key, isNow]) => known.has(key) && known.get(key) !== isNow));
    } catch { decided = new Map(); }
  }

  function writeDraft() {
    try { localStorage.setItem(DRAFT, JSON.stringify([...decided])); } catch { /* no draft, then */ }
  }

  function refresh() {
    writeDraft();
    for (const {image, node, drop} of shown) {
      node.classList.toggle("out", isDropped(image));
      drop.ariaPressed = isDropped(image);
    }
    const changes = [...decided.values()], drops = changes.filter(Boolean).length;
    at("bar").hidden = !changes.length;
    at("count").textContent = [drops && `${plural(drops, "image")} to drop`,
      changes.length - drops && `${plural(changes.length - drops, "image")} no longer dropped`].filter(Boolean).join(" · ")
      + (isSaved ? " · saved" : "");
    at("save").disabled = isSaved;
    if (!isSaved) at("saved").hidden = true;
    if (at("look").open) paintLook();
  }

  function save() {
    const commands = [];
    datasets.forEach(({name, path}, i) => {
      const changed = images.filter(image => image.dataset === i && decided.has(keyOf(image)));
      if (!changed.length) return;
      const pathsWhere = what => changed.filter(image => isDropped(image) === what).map(image => image.path).sort();
      const content = {drop: pathsWhere(true), keep: pathsWhere(false)};
      for (const key of ["drop", "keep"]) if (!content[key].length) delete content[key];
      content.files = Object.fromEntries(changed.map(image => [image.path, image.stamp]));
      const file = datasets.length > 1 ? `decisions_${name}.json` : "decisions.json";
      download(file, content);
      commands.push(`${shellQuoted(script)} ${shellQuoted(path)}${level_option} --decisions ~/Downloads/${shellQuoted(file)}`);
    });
    isSaved = true;
    showCommands(commands);
    refresh();
  }

  function tile(image, number) {
    const picture = make("img", {src: image.thumbnail, alt: image.name, decoding: "async"});
    const shot = make("button", {className: "shot", onclick: () => look(number), ariaLabel: `${image.name} at full size`}, picture);
    const drop = make("button", {onclick: () => toggle(image), ariaLabel: `Drop ${image.name}`}, "Drop");
    const caption = make("figcaption", {}, make("b", {}, image.score), ` ${image.name}`);
    return {image, drop, node: make("figure", {className: "piece", title: `${image.place}/${image.name}`}, shot, caption, drop)};
  }

  function show(number) {
    shown = [];
    const gallery = galleries[number];
    at("pieces").replaceChildren(...gallery.parts.flatMap(([title, members]) => {
      const tiles = members.map((id, i) => tile(images[id], shown.length + i));
      shown.push(...tiles);
      return tiles.length ? [make("h3", {}, `${title} ${tiles.length}`), make("div", {className: "pieces"}, ...tiles.map(({node}) => node))] : [];
    }));
    refresh();
  }

  function look(number) {
    current = Math.max(0, Math.min(number, shown.length - 1));
    if (!at("look").open) at("look").showModal();
    const {image} = shown[current], full = make("img", {src: image.url, alt: image.name});
    full.addEventListener("error", () => { full.src = image.thumbnail; }, {once: true});
    at("full").replaceChildren(full);
    paintLook();
  }

  function paintLook() {
    const {image} = shown[current];
    at("which").textContent = `${current + 1} of ${shown.length} · ${image.score} · ${image.place}/${image.name}`;
    at("drop").ariaPressed = isDropped(image);
  }

  const titled = galleries.map(({title}, i) => [title, i]).filter(([title]) => title);
  at("which-gallery").append(...titled.map(([title, i]) => make("option", {value: i}, title)));
  at("which-gallery").addEventListener("change", ({target}) => show(Number(target.value)));
  bars.forEach(bar => bar.addEventListener("click", () => {
    show(galleries.length - Number(bar.dataset.bars) + Number(bar.dataset.bar));
    const option = at("of-bar") ?? at("which-gallery").appendChild(make("option", {id: "of-bar"}));
    option.value = galleries.length - Number(bar.dataset.bars) + Number(bar.dataset.bar);
    option.textContent = `Scores ${bar.title}`;
    option.selected = true;
    at("gallery-section").scrollIntoView();
  }));
  const KEYS = {ArrowLeft: () => look(current - 1), ArrowRight: () => look(current + 1), d: () => toggle(shown[current].image)};
  at("look").addEventListener("keydown", event => {
    if (KEYS[event.key] && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      KEYS[event.key]();
    }
  });
  at("drop").addEventListener("click", KEYS.d);
  at("previous").addEventListener("click", KEYS.ArrowLeft);
  at("next").addEventListener("click", KEYS.ArrowRight);
  at("close").addEventListener("click", () => at("look").close());
  at("save").addEventListener("click", save);
  readDraft();
  show(0);
  at("gallery-section").hidden = false;
}
