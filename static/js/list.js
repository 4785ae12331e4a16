// The jobs list: selecting rows, a cursor for the keyboard, rows that come later, and bars that grow with time.
import { copy } from "./copy.js";

const byId = (id) => document.getElementById(id);
const rows = () => [...document.querySelectorAll("#jobs-table tr[data-pk]:not([hidden])")];
const box = (row) => row.querySelector(".tick input");
const idOf = (row) => row.id.slice("job-".length);
// Identifier -> state, also of rows that have left the page since they were ticked.
const selected = new Map();
let cursor = "", lastTicked = null, known = new Set(rows().map((row) => row.id));

function showSelection() {
  const all = byId("bulk-all")?.checked, bar = byId("bulk-bar");
  for (const row of rows()) {
    box(row).checked = selected.has(idOf(row));
    row.classList.toggle("is-cursor", row.id === cursor);
    if (selected.has(idOf(row))) selected.set(idOf(row), row.dataset.state);
  }
  if (!bar) return;
  bar.hidden = !selected.size && !all;
  byId("bulk-count").textContent = all ? "All that match" : `${selected.size} selected`;
  const failed = [...selected.values()].filter((state) => state === "failed").length;
  if (byId("bulk-retry-failed")) byId("bulk-retry-failed").hidden = all || !failed || failed === selected.size;
  byId("bulk-copy").hidden = all;
  const everyRow = byId("tick-all");
  everyRow.hidden = false;
  everyRow.checked = rows().length > 0 && rows().every((row) => selected.has(idOf(row)));
}

function select(row, on) {
  if (on) selected.set(idOf(row), row.dataset.state);
  else selected.delete(idOf(row));
}

document.addEventListener("click", (event) => {
  const tick = event.target.closest?.("#jobs-table .tick input[name=job]");
  if (tick) {
    const all = rows(), here = all.indexOf(tick.closest("tr")), from = all.findIndex((row) => row.id === lastTicked);
    const range = event.shiftKey && from >= 0 ? all.slice(Math.min(from, here), Math.max(from, here) + 1) : [all[here]];
    for (const row of range) select(row, tick.checked);
    lastTicked = all[here].id;
    showSelection();
  } else if (event.target.id === "tick-all") {
    for (const row of rows()) select(row, event.target.checked);
    showSelection();
  } else if (event.target.id === "bulk-all") showSelection();
  else if (event.target.closest?.("#show-newer")) showNewer();
  else openRow(event);
});

// A click anywhere in a row opens it, unless it was on something of its own, or text was being selected.
function openRow(event) {
  const row = event.target.closest?.("#jobs-table tr[data-pk]");
  if (!row || event.target.closest("a, button, input, label, summary, .tick") || String(getSelection())) return;
  const link = row.querySelector("a.open");
  if (event.ctrlKey || event.metaKey) open(link.href, "_blank", "noopener");
  else link.click();
}

byId("bulk-clear")?.addEventListener("click", () => { selected.clear(); if (byId("bulk-all")) byId("bulk-all").checked = false; showSelection(); });
byId("bulk-copy")?.addEventListener("click", () => copy([...selected.keys()].join("\n")));
byId("bulk")?.addEventListener("submit", (event) => {
  const failedOnly = event.submitter?.id === "bulk-retry-failed";
  let wanted = [...selected].filter(([, state]) => !failedOnly || state === "failed").map(([id]) => id);
  const row = byId(cursor);
  if (!wanted.length && row && !byId("bulk-all")?.checked) wanted = [idOf(row)];
  if (!wanted.length && !byId("bulk-all")?.checked) event.preventDefault();
  byId("bulk-jobs").value = wanted.join(" ");
  for (const tick of document.querySelectorAll("#jobs-table .tick input[name=job]")) tick.disabled = true;
});
addEventListener("pageshow", () => {
  for (const tick of document.querySelectorAll("#jobs-table .tick input[name=job]")) {
    tick.disabled = false;
    if (tick.checked) select(tick.closest("tr"), true);
  }
  showSelection();
});

function move(by, fits = () => true) {
  const all = rows(), here = all.findIndex((row) => row.id === cursor);
  for (let at = here < 0 ? (by > 0 ? 0 : all.length - 1) : here + by; at >= 0 && at < all.length; at += by)
    if (fits(all[at])) {
      cursor = all[at].id;
      all[at].querySelector("a.open").focus({ preventScroll: true });
      all[at].scrollIntoView({ block: "nearest" });
      return showSelection();
    }
}

const DOES = {
  next: () => move(1),
  previous: () => move(-1),
  failure: () => move(1, (row) => row.dataset.state === "failed"),
  open: () => byId(cursor)?.querySelector("a.open").click(),
  select: () => { const row = byId(cursor); if (row) { select(row, !selected.has(idOf(row))); showSelection(); } },
};
for (const button of document.querySelectorAll("[data-row]")) button.addEventListener("click", () => DOES[button.dataset.row]());

// Rows that come while somebody reads further down, or selects, wait until they are asked for.
function hold() {
  const isReading = scrollY > 120 || selected.size > 0 || cursor;
  for (const row of rows())
    if (!known.has(row.id) && isReading) row.hidden = true;
    else known.add(row.id);
  // A request whose jobs are all held is held with them.
  for (const group of document.querySelectorAll("#jobs-table tbody"))
    group.hidden = !group.querySelector("tr[data-pk]:not([hidden])");
  const held = document.querySelectorAll("#jobs-table tr[data-pk][hidden]").length;
  byId("newer").hidden = !held;
  byId("newer-count").textContent = held;
}

function showNewer() {
  for (const held of document.querySelectorAll("#jobs-table [hidden]:is(tbody, tr)")) held.hidden = false;
  byId("newer").hidden = true;
  known = new Set(rows().map((row) => row.id));
  scrollTo({ top: 0 });
  showSelection();
}

function grow() {
  for (const bar of document.querySelectorAll(".share-done[data-since]")) {
    const spent = Date.now() / 1000 - Number(bar.dataset.since);
    bar.setAttribute("width", Math.min(100, (100 * spent) / Math.max(1, Number(bar.dataset.typical))).toFixed(1));
  }
}

// On a narrow screen the table comes first.
if (matchMedia("(max-width: 48rem)").matches && byId("filter-fold")) byId("filter-fold").open = false;

const density = byId("density");
function showDensity() {
  const isCompact = localStorage.getItem("density") === "compact";
  document.documentElement.dataset.density = isCompact ? "compact" : "comfortable";
  density?.setAttribute("aria-pressed", String(isCompact));
}
if (density) density.hidden = false;
density?.addEventListener("click", () => {
  localStorage.setItem("density", localStorage.getItem("density") === "compact" ? "comfortable" : "compact");
  showDensity();
});
if (byId("bulk-copy")) byId("bulk-copy").hidden = byId("bulk-clear").hidden = false;
document.addEventListener("htmx:after:swap", () => { if (byId("newer")) hold(); showSelection(); grow(); });
setInterval(grow, 5000);
showDensity();
showSelection();
