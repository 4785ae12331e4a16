// Says what has changed: to screen readers by one polite line, at most every ten seconds, and to eyes by a short note.
const PAUSE_MS = 10_000, SHOWN_MS = 5000;
const line = document.getElementById("announcer"), region = document.getElementById("toasts");
let seen = states(), finished = 0, failed = 0, last = 0, timer;

export function toast(text, shown = SHOWN_MS) {
  const note = document.createElement("div");
  note.className = "toast-line";
  note.textContent = text;
  region?.append(note);
  if (line) line.textContent = text;
  setTimeout(() => note.remove(), shown);
}

function states() {
  const rows = document.querySelectorAll("#live [data-state][id]");
  return new Map([...rows].map((row) => [row.id, row.dataset.state]));
}

function tell() {
  timer = undefined;
  last = Date.now();
  const words = [finished && `${finished} job${finished > 1 ? "s" : ""} finished`, failed && `${failed} failed`];
  if (finished || failed) line.textContent = words.filter(Boolean).join(", ");
  finished = failed = 0;
}

document.addEventListener("htmx:after:swap", () => {
  const now = states();
  for (const [id, state] of now) {
    const before = seen.get(id);
    if (!before || before === state || !["succeeded", "failed"].includes(state)) continue;
    finished += 1;
    if (state === "failed") failed += 1;
  }
  seen = now;
  if ((finished || failed) && !timer) timer = setTimeout(tell, Math.max(0, last + PAUSE_MS - Date.now()));
});
