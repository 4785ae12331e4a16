// Polls the page's live region (`#live[data-live]`): at the interval that the server wishes or the viewer has chosen, a
// little irregularly, not while the tab is hidden, and less and less often while there is trouble. The pill says how it
// stands. What the region shows is not touched here: htmx swaps it, and leaves it alone on 304 and on every error.
const LONGEST_PAUSE_SECONDS = 30;
const pill = document.getElementById("live-pill");
let timer, failures = 0, lastAnswer = Date.now(), stopped = "";

const region = () => document.getElementById("live");
const chosen = () => localStorage.getItem("live-seconds");  // null: as the server wishes; "0": off

function seconds() {
  const wished = Number(region()?.dataset.live || 0);
  if (!wished) return 0;
  const base = chosen() === null ? wished : Number(chosen());
  return base && Math.min(LONGEST_PAUSE_SECONDS, base * 2 ** failures);
}

function say(word, kind = "") {
  if (!pill) return;
  pill.hidden = false;
  pill.dataset.kind = kind;
  pill.textContent = word;
  document.documentElement.toggleAttribute("data-stale", kind === "bad");
}

function show() {
  if (stopped) say(stopped, "bad");
  else if (!Number(region()?.dataset.live || 0)) say("Final", "");
  else if (chosen() === "0") say("Paused", "off");
  else if (failures) say(`Reconnecting… as of ${new Date(lastAnswer).toLocaleTimeString()}`, "bad");
  else say("Live", "good");
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
  htmx.trigger(region(), "live");
}

document.addEventListener("htmx:finally:request", (event) => {
  const context = event.detail.ctx;
  if (!context.sourceElement?.closest?.("#live") && context.sourceElement?.id !== "live") return;
  const status = context.response?.status ?? context.response?.raw?.status ?? 0;
  if (status === 401 || status === 403) stopped = "Signed out — sign in again";
  failures = status && status < 400 ? 0 : failures + 1;
  if (!failures) lastAnswer = Date.now();
  plan();
});
document.addEventListener("visibilitychange", () => (document.hidden ? clearTimeout(timer) : ask()));
pill?.addEventListener("click", () => {
  if (stopped) location.reload();
  else {
    if (chosen() === "0") localStorage.removeItem("live-seconds");
    else localStorage.setItem("live-seconds", "0");
    failures = 0;
    plan();
  }
});
if (region()) plan();
