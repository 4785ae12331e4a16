// The request page: title and icon that tell how it stands, "tell me when it ends", and the picture's light and size.
// What the server prints is swapped by htmx, so everything here is looked up anew after each swap.
import { ended, isWatched, toggle } from "./watch.js";

const COLOURS = { waiting: "#5f6b7a", running: "#0b5cad", done: "#17693a", failed: "#b3261e" };
const region = () => document.getElementById("live");
const suffix = document.title.includes(" · ") ? document.title.slice(document.title.lastIndexOf(" · ")) : "";

function showState() {
  const { title, kind } = region().dataset;
  document.title = title + suffix;
  const dot = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><circle cx="8" cy="8" r="7" fill="${COLOURS[kind] ?? COLOURS.waiting}"/></svg>`;
  const icon = document.querySelector("link[rel=icon]");
  if (icon) icon.href = `data:image/svg+xml,${encodeURIComponent(dot)}`;
}

function showWatch() {
  const button = document.getElementById("tell-me"), open = region().dataset.open === "1";
  if (!open) ended(location.pathname, region().dataset.sentence);
  if (!button) return;
  button.hidden = !open;
  button.setAttribute("aria-pressed", String(isWatched(location.pathname)));
  button.textContent = isWatched(location.pathname) ? "You will be told when it ends" : "Tell me when it ends";
}

async function watch() {
  const asked = toggle(location.pathname);
  showWatch();
  await asked;
}

function reached(picture, start, from, to) {
  const edges = [...picture.querySelectorAll(".edge")], found = new Set([start]), lines = new Set();
  for (const job of found)
    for (const edge of edges)
      if (edge.dataset[from] === job) { found.add(edge.dataset[to]); lines.add(edge); }
  return [found, lines];
}

function light(node) {
  const graph = document.getElementById("graph");
  if (!graph) return;
  graph.classList.toggle("has-lit", Boolean(node));
  graph.querySelectorAll(".is-lit").forEach((each) => each.classList.remove("is-lit"));
  if (!node) return;
  // A narrow window has another picture than a wide one; each has all jobs.
  const picture = node.closest(".graph-scroll");
  for (const way of [["begin", "end"], ["end", "begin"]]) {
    const [jobs, lines] = reached(picture, node.dataset.job, ...way);
    lines.forEach((line) => line.classList.add("is-lit"));
    jobs.forEach((job) => nodeIn(picture, job)?.classList.add("is-lit"));
  }
}

function showSize() {
  const button = document.getElementById("graph-size"), graph = document.getElementById("graph");
  if (!button || !graph) return;
  const chosen = localStorage.getItem("graph-size");
  graph.classList.toggle("is-fit", chosen === "fit");
  graph.classList.toggle("is-full", chosen === "full");
  button.hidden = false;
  const fits = chosen === "fit" || (chosen !== "full" && !graph.classList.contains("is-wide"));
  button.textContent = fits ? "100 %" : "Fit";
  button.dataset.next = fits ? "full" : "fit";
}

const nodeIn = (picture, job) => picture.querySelector(`.node[data-job="${job}"]`);
const ARROWS = { across: ["ArrowLeft", "ArrowRight"], down: ["ArrowUp", "ArrowDown"] };

function arrows(node) {
  return node.closest(".graph-down") ? ARROWS.down : ARROWS.across;
}

function step(node, key) {
  const [from, to] = key === arrows(node)[1] ? ["begin", "end"] : ["end", "begin"];
  const picture = node.closest(".graph-scroll");
  const edge = [...picture.querySelectorAll(".edge")].find((each) => each.dataset[from] === node.dataset.job);
  if (edge) nodeIn(picture, edge.dataset[to])?.focus();
}

// Keys that go through the table of jobs: the link that has the focus is where one is; Enter opens it.
const FITS = { n: () => true, b: () => true, f: (row) => row.dataset.state === "failed" };

function walk(key) {
  const all = [...document.querySelectorAll("#live .jobs tr[data-state]")];
  const here = all.indexOf(document.activeElement.closest("tr")), by = key === "b" ? -1 : 1;
  for (let at = here < 0 && by < 0 ? all.length - 1 : here + by; at >= 0 && at < all.length; at += by)
    if (FITS[key](all[at])) {
      all[at].querySelector("a.open").focus({ preventScroll: true });
      all[at].scrollIntoView({ block: "nearest" });
      return;
    }
}

document.addEventListener("keydown", (event) => {
  if (!FITS[event.key] || event.ctrlKey || event.metaKey || event.altKey || localStorage.getItem("shortcuts") === "off") return;
  if (event.target.closest?.("input, textarea, select, [contenteditable], dialog")) return;
  event.preventDefault();
  walk(event.key);
});

function showAll() {
  if (!region()?.dataset.title) return;
  showState();
  showWatch();
  showSize();
}

const nodeOf = (event) => event.target.closest?.("#graph .node");
document.addEventListener("pointerover", (event) => light(nodeOf(event)));
document.addEventListener("focusin", (event) => light(nodeOf(event)));
document.addEventListener("focusout", (event) => nodeOf(event) && light(null));
document.addEventListener("keydown", (event) => {
  const node = nodeOf(event);
  if (node && arrows(node).includes(event.key)) {
    event.preventDefault();
    step(node, event.key);
  }
});
document.addEventListener("click", (event) => {
  if (event.target.id === "tell-me") watch();
  if (event.target.id === "graph-size") {
    localStorage.setItem("graph-size", event.target.dataset.next);
    showSize();
  }
});
document.addEventListener("htmx:after:swap", showAll);
document.addEventListener("htmx:finally:request", () => setTimeout(showAll));
showAll();
