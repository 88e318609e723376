// Filters the topics: all words must occur in the path of a topic. The address has the words, too: #find=owls.
const box = document.getElementById("find");
if (box) {
  const topics = [...document.querySelectorAll("[data-topic]")];
  const groups = [...document.querySelectorAll("details[data-group]")].map(group => [group, group.open]);
  const count = document.getElementById("found");
  const filter = () => {
    const words = box.value.toLowerCase().split(/\s+/).filter(Boolean);
    const shown = new Set();
    for (const topic of topics) {
      topic.hidden = !words.every(word => topic.dataset.topic.includes(word));
      if (!topic.hidden) shown.add(topic.dataset.topic);
    }
    for (const [group, open] of groups) {
      const fits = group.querySelector("[data-topic]:not([hidden])") !== null;
      group.hidden = words.length > 0 && !fits;
      group.open = words.length > 0 ? fits : open;
    }
    count.textContent = words.length ? `${shown.size.toLocaleString("en")} found` : "";
  };
  box.addEventListener("input", () => {
    history.replaceState(null, "", box.value ? "#find=" + encodeURIComponent(box.value) : "#");
    filter();
  });
  const given = /^#find=(.+)$/.exec(location.hash);
  if (given) {
    try {
      box.value = decodeURIComponent(given[1]);
    } catch {
      box.value = given[1];
    }
    filter();
    topics.find(topic => !topic.hidden && topic.getClientRects().length)?.scrollIntoView({block: "center"});
  }
  box.closest("label").hidden = false;
}
