"use strict";
// What the scripts of several pages share: elements, words, and saving decisions.
const at = id => document.getElementById(id);
const plural = (count, noun) => `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;
const shellQuoted = text => /^[\w\/.+-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;

function make(tag, properties, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}
const button = (label, onclick, className = "") => make("button", {onclick, className}, label);

function download(name, content) {
  const text = JSON.stringify(content, null, 2) + "\n";
  make("a", {href: URL.createObjectURL(new Blob([text], {type: "application/json"})), download: name}).click();
}

function showCommands(commands) {
  at("commands").textContent = commands.join("\n");
  at("copy").textContent = "Copy";
  at("saved").hidden = false;
}

async function copyCommands() {
  const node = at("commands");
  getSelection().selectAllChildren(node);
  try { await navigator.clipboard.writeText(node.textContent); } catch { document.execCommand("copy"); }
  at("copy").textContent = "Copied";
}
at("copy")?.addEventListener("click", copyCommands);
