// Polls the page's live region (`#live[data-live]`): at the interval that the server wishes or the viewer has chosen, a
// little irregularly, not while the tab is hidden, and less and less often while there is trouble. The pill says how it
// stands. What the region shows is not touched here: htmx swaps it, and leaves it alone on 304 and on every error.
const LONGEST_PAUSE_SECONDS = 30, STALE_SECONDS = 60, LONGEST_ANSWER_SECONDS = 60;
const menu = document.getElementById("live-menu"), pill = document.getElementById("live-pill");
let timer, failures = 0, lastAnswer = Date.now(), stopped = "", before = "";

const region = () => document.getElementById("live");
const wished = () => Number(region()?.dataset.live || 0);
const chosen = () => localStorage.getItem("live-seconds"); // null: as the server wishes; "0": off

function seconds() {
  if (!wished()) return 0;
  const base = chosen() === null ? wished() : Number(chosen());
  return base && Math.min(LONGEST_PAUSE_SECONDS, base * 2 ** failures);
}

function say(word, kind = "") {
  if (!pill) return;
  menu.hidden = false;
  pill.dataset.kind = kind;
  if (pill.textContent !== word) pill.textContent = word;
  document.documentElement.toggleAttribute("data-stale", kind === "bad");
}

function trouble() {
  const age = (Date.now() - lastAnswer) / 1000, clock = new Date(lastAnswer).toLocaleTimeString("en-GB");
  if (age < STALE_SECONDS) return `Reconnecting… as of ${clock}`;
  return `Stale ${Math.floor(age / 60)} min, as of ${clock}, retrying`;
}

function show() {
  if (stopped) say(stopped, "bad");
  else if (!wished()) say("Final");
  else if (chosen() === "0") say("Paused", "off");
  else if (failures) say(trouble(), "bad");
  else say("Live", "good");
  for (const button of menu?.querySelectorAll("[data-live-seconds]") ?? [])
    button.setAttribute("aria-pressed", String(button.dataset.liveSeconds === (chosen() ?? "")));
}

function plan() {
  clearTimeout(timer);
  show();
  const pause = seconds();
  if (pause && !stopped) timer = setTimeout(ask, pause * 1000 * (0.8 + 0.4 * Math.random()));
}

export function ask() {
  clearTimeout(timer);
  if (document.hidden || stopped || !region()) return;
  // Whatever becomes of the call, it is asked again: an answer that never ends must not end the polling.
  timer = setTimeout(() => { failures += 1; plan(); }, LONGEST_ANSWER_SECONDS * 1000 + 5000);
  htmx.trigger(region(), "live");
}

function choose(value) {
  if (chosen() !== "0") before = chosen() ?? "";
  if (value === "") localStorage.removeItem("live-seconds");
  else localStorage.setItem("live-seconds", value);
  failures = 0;
  menu.open = false;
  show();
  if (value === "0") plan();
  else ask();
}

document.addEventListener("htmx:finally:request", (event) => {
  const context = event.detail.ctx, source = context.sourceElement;
  if (source?.id !== "live" && !source?.closest?.("#live")) return;
  const status = context.response?.status ?? context.response?.raw?.status ?? 0;
  if (status === 401) stopped = "Signed out — sign in again";
  if (status === 403) stopped = "Not for your role any more — load the page again";
  failures = status && status < 400 ? 0 : failures + 1;
  if (!failures) lastAnswer = Date.now();
  plan();
});
document.addEventListener("visibilitychange", () => (document.hidden ? clearTimeout(timer) : chosen() === "0" ? show() : ask()));
addEventListener("online", () => chosen() !== "0" && ask());
menu?.addEventListener("click", (event) => {
  const button = event.target.closest("[data-live-seconds]");
  if (button) choose(button.dataset.liveSeconds);
  else if (stopped && event.target.closest("summary")) { event.preventDefault(); location.reload(); }
});
document.getElementById("pause-live")?.addEventListener("click", () => choose(chosen() === "0" ? before : "0"));
// Menus close when something else is clicked, and by Escape.
document.addEventListener("click", (event) => {
  for (const open of document.querySelectorAll("details.menu[open]")) if (!open.contains(event.target)) open.open = false;
});
document.addEventListener("keydown", (event) => {
  const open = event.key === "Escape" && document.querySelector("details.menu[open]");
  if (open) { open.open = false; open.querySelector("summary").focus(); }
});
setInterval(() => failures && show(), 5000);
if (region()) plan();
