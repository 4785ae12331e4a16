// The log viewer: follows a log that grows, loads what is before and after, steps through hits and errors, and keeps
// lines in the address. Pieces come as HTML from the server, which has escaped them; this only puts them in their place.
// Where they come from and what the numbers mean is told by the region's own attributes (templates/jobs/_log_region.html).
import { highlight } from "./log-highlight.js";

const MOST_LINES = 6000, AT_THE_END_PX = 40, POLL_SECONDS = 1, LONGEST_PAUSE_SECONDS = 30, NOTHING_SECONDS = 3;
const state = { follow: false, unseen: 0, chosen: null, failures: 0, stopped: "", hits: null, hit: -1, errors: null, timer: 0, here: 0 };

const region = () => document.getElementById("log");
const find = (name) => region()?.querySelector(name);
const scroller = () => document.getElementById("log-scroll");
const pieces = () => [...document.querySelectorAll("#log-lines > .log-piece")];
const lines = () => [...document.querySelectorAll("#log-lines .log-line")];
const lineOf = (number) => document.getElementById(`L${number}`);
const numberOf = (line) => Number(line?.id.slice(1) || 0);
const isGrowing = () => region()?.hasAttribute("data-growing");
const isAtEnd = () => pieces().at(-1)?.hasAttribute("data-last");
const button = (name) => find(`[data-do="${name}"]`);

// --- asking

class Refused extends Error {}

async function ask(address, parameters) {
  const query = new URLSearchParams({ attempt: region().dataset.attempt, ...parameters });
  const response = await fetch(`${address}?${query}`, { headers: { "HX-Request": "true" }, redirect: "error", cache: "no-store" });
  if (response.status === 401) throw new Refused("Signed out: sign in again, then reload this page.");
  if (response.status === 403) throw new Refused("Your role does not read logs any more.");
  return response;
}

async function askForPiece(parameters) {
  const response = await ask(region().dataset.page, parameters);
  if (!response.ok) throw new Error(`the server answered ${response.status}`);
  return fragment(await response.text()).querySelector(".log-piece");
}

function fragment(html) {
  const holder = document.createElement("template");
  holder.innerHTML = html;
  return holder.content;
}

function say(text, isBad = false) {
  const place = document.getElementById("log-state");
  if (!place || place.textContent === text) return;
  place.textContent = text;
  place.classList.toggle("is-bad", isBad);
}

// --- what is shown

function showState() {
  if (!region() || !scroller()) return;
  const newest = button("newest");
  newest.hidden = !(state.unseen || !isAtEnd());
  newest.textContent = state.unseen ? `▼ ${state.unseen.toLocaleString("en-GB")} new line${state.unseen === 1 ? "" : "s"}` : "▼ Newest lines";
  button("follow").setAttribute("aria-pressed", String(state.follow));
  button("follow").hidden = !isGrowing();
  const first = pieces()[0], last = pieces().at(-1);
  edge("earlier", first?.dataset.start !== "0", "▲ Load 1,000 earlier lines", "Beginning of the log");
  edge("later", !isAtEnd(), "▼ Load 1,000 later lines", isGrowing() ? "The job still writes." : "End of the log");
  scroller().classList.toggle("is-short", lines().length < 15 && !isGrowing());
  if (state.stopped) say(state.stopped, true);
  else if (state.failures) say("The server does not answer; trying again.", true);
  else if (!isGrowing()) say(`Size: ${size(Number(last.dataset.limit))}.`);
  else if (isPaused()) say("Live updates are paused.");
  else say(state.follow ? "Following: new lines appear at the end." : "Not following; new lines are counted. Press G to follow.");
  highlight(state.pattern, lines());
}

function size(bytes) {
  const units = ["bytes", "KiB", "MiB", "GiB"];
  let unit = 0;
  for (; bytes >= 1024 && unit < 3; unit++) bytes /= 1024;
  return `${unit ? bytes.toFixed(1) : bytes} ${units[unit]}`;
}

function edge(name, hasMore, words, otherwise) {
  const place = document.getElementById(`log-${name}`);
  const link = place.querySelector("a");
  if (hasMore && !link) {
    const made = document.createElement("a");
    made.href = "#log";
    made.dataset.do = name;
    made.textContent = words;
    place.replaceChildren(made);
  } else if (!hasMore && place.textContent !== otherwise) place.textContent = otherwise;
}

const toEnd = () => { scroller().scrollTop = scroller().scrollHeight; };

function replaceBy(piece) {
  document.getElementById("log-lines").replaceChildren(piece);
  state.unseen = 0;
}

// --- following

const isPaused = () => localStorage.getItem("live-seconds") === "0";

function plan(seconds = POLL_SECONDS) {
  clearTimeout(state.timer);
  if (state.stopped || !isGrowing() || document.hidden) return;
  const pause = Math.min(LONGEST_PAUSE_SECONDS, Math.max(seconds, 0.05) * 2 ** state.failures);
  state.timer = setTimeout(region().hasAttribute("data-nothing") ? lookForLines : poll, pause * 1000);
}

async function poll() {
  if (isPaused() || !isAtEnd()) { showState(); return plan(); }
  let pause = POLL_SECONDS;
  try {
    const response = await ask(region().dataset.news, { from: pieces().at(-1).dataset.end });
    if (!response.ok) throw new Error(String(response.status));
    if (response.headers.get("Log-Attempt") !== region().dataset.attempt) return await reload();
    if (response.status === 200) {
      append(fragment(await response.text()).querySelector(".log-piece"));
      pause = isAtEnd() ? POLL_SECONDS : 0;
      if (!isAtEnd()) pieces().at(-1).setAttribute("data-last", "");  // the rest comes with the next poll, at once
    } else if (response.headers.get("Log-Ends") === "yes") region().removeAttribute("data-growing");
    state.failures = 0;
  } catch (error) { note(error); }
  showState();
  plan(pause);
}

function note(error) {
  if (error instanceof Refused) state.stopped = error.message;
  else state.failures = Math.min(state.failures + 1, 5);
}

function append(piece) {
  const end = Number(pieces().at(-1).dataset.end);
  if (Number(piece.dataset.start) !== end) return replaceAfterGap(piece);
  document.getElementById("log-lines").append(piece);
  if (!state.follow) state.unseen += piece.querySelectorAll(".log-line").length;
  trim();
  if (state.follow) toEnd();
}

// So much was written meanwhile that the server sends only the newest; what is between is loaded on demand.
function replaceAfterGap(piece) {
  if (state.follow) { replaceBy(piece); toEnd(); } else pieces().at(-1).removeAttribute("data-last");
}

function trim() {
  let count = lines().length;
  while (count > MOST_LINES && pieces().length > 1) {
    if (!state.follow) return pieces().at(-1).remove(), pieces().at(-1).removeAttribute("data-last");
    const oldest = pieces()[0];
    count -= oldest.querySelectorAll(".log-line").length;
    oldest.remove();
  }
}

// There are no lines yet: look whether there are now, or whether there is another reason.
async function lookForLines() {
  try {
    const response = await ask(region().dataset.page, { region: "1" });
    if (!response.ok) throw new Error(String(response.status));
    const fresh = fragment(await response.text()).querySelector("#log");
    const isSame = fresh.hasAttribute("data-nothing") && fresh.hasAttribute("data-growing") === isGrowing()
      && fresh.querySelector(".log-nothing")?.textContent === find(".log-nothing")?.textContent;
    state.failures = 0;
    if (!isSame) { region().replaceWith(fresh); return begin(); }
  } catch (error) { note(error); }
  plan(NOTHING_SECONDS);
}

async function reload() {
  const response = await ask(region().dataset.page, { region: "1", attempt: "" });
  region().replaceWith(fragment(await response.text()).querySelector("#log"));
  begin();
}

// --- going somewhere

async function load(name) {
  const isEarlier = name === "earlier", at = isEarlier ? pieces()[0] : pieces().at(-1);
  const piece = await askForPiece(isEarlier ? { before: at.dataset.start } : { after: at.dataset.end });
  const box = scroller(), height = box.scrollHeight, top = box.scrollTop;
  if (isEarlier) {
    at.before(piece);
    box.scrollTop = top + box.scrollHeight - height;
  } else at.after(piece);
  showState();
}

export async function goTo(number, { choose = false } = {}) {
  state.follow = false;
  if (!lineOf(number)) replaceBy(await askForPiece({ line: number }));
  const line = lineOf(number);
  document.querySelector(".log-line.is-here")?.classList.remove("is-here");
  if (line) {
    state.here = number;
    if (!choose) line.classList.add("is-here");
    const box = scroller();
    box.scrollTop += line.getBoundingClientRect().top - box.getBoundingClientRect().top - box.clientHeight / 3;
  }
  showState();
  return Boolean(line);
}

async function toNewest() {
  if (!isAtEnd()) replaceBy(await askForPiece({}));
  state.follow = isGrowing();
  state.unseen = 0;
  toEnd();
  showState();
}

async function toBeginning() {
  state.follow = false;
  if (pieces()[0].dataset.start !== "0") replaceBy(await askForPiece({ after: 0 }));
  scroller().scrollTop = 0;
  showState();
}

// --- lines in the address

function readAddress() {
  const found = location.hash.match(/^#L(\d{1,12})(?:-L(\d{1,12}))?$/);
  if (!found) return null;
  const [first, last] = [Number(found[1]), Number(found[2] || found[1])].sort((a, b) => a - b);
  return { first, last };
}

function paintChosen() {
  for (const line of lines()) {
    const number = numberOf(line);
    line.classList.toggle("is-chosen", Boolean(state.chosen) && number >= state.chosen.first && number <= state.chosen.last);
  }
}

function choose(number, isRange) {
  const from = isRange && state.chosen ? state.chosen.first : number;
  state.chosen = { first: Math.min(from, number), last: Math.max(from, number) };
  state.follow = false;
  state.here = number;
  const { first, last } = state.chosen;
  const query = new URLSearchParams(location.search);
  for (const name of ["line", "before", "after"]) query.delete(name);
  history.replaceState(null, "", `${location.pathname}${query.size ? `?${query}` : ""}#L${first}${last > first ? `-L${last}` : ""}`);
  paintChosen();
  showState();
}

async function goToAddress() {
  state.chosen = readAddress();
  if (!state.chosen || !scroller()) return false;
  const isThere = await goTo(state.chosen.first, { choose: true });
  paintChosen();
  if (!isThere) say(`The log has no line ${state.chosen.first.toLocaleString("en-GB")}, or it is too long to count so far yet.`, true);
  return isThere;
}

// --- searching

function count(text, isBad = false) {
  const place = document.getElementById("log-count");
  place.textContent = text;
  place.classList.toggle("is-bad", isBad);
}

async function askForLines(parameters) {
  const response = await ask(region().dataset.search, parameters);
  const answer = await response.json();
  if (answer.problem) throw new Refused(answer.problem);
  return answer;
}

function told(what, answer, index) {
  if (!answer.count && answer.is_whole) return `no ${what}`;
  const bound = answer.is_whole ? "" : ` in the first ${size(answer.searched_bytes)}; stopped there`;
  if (!answer.count) return `no ${what}${bound}`;
  const kept = answer.lines.length < answer.count ? ` (stepping through the first ${answer.lines.length.toLocaleString("en-GB")})` : "";
  return `${what} ${(index + 1).toLocaleString("en-GB")} of ${answer.count.toLocaleString("en-GB")}${bound}${kept}`;
}

async function startSearch(form) {
  const data = new FormData(form), words = String(data.get("q"));
  state.hits = state.pattern = null;
  find(".log-steps").hidden = true;
  if (!words) { count(""); return showState(); }
  count("searching…");
  const parameters = { q: words };
  for (const name of ["case", "regex"]) if (data.has(name)) parameters[name] = "1";
  state.asked = JSON.stringify(parameters);
  try {
    state.hits = await askForLines(parameters);
  } catch (error) { return count(error.message, true); }
  state.pattern = parameters;
  find(".log-steps").hidden = !state.hits.count;
  state.hit = state.hits.lines.findIndex((number) => number >= firstVisible()) - 1;
  if (state.hit < -1) state.hit = -1;
  await step(1);
}

async function step(by) {
  const hits = state.hits;
  if (!hits?.lines.length) { if (hits) count(told("hits", hits, 0)); return showState(); }
  state.hit = (state.hit + by + hits.lines.length) % hits.lines.length;
  count(told("hit", hits, state.hit));
  await goTo(hits.lines[state.hit]);
}

function firstVisible() {
  const top = scroller().getBoundingClientRect().top;
  return numberOf(lines().find((line) => line.getBoundingClientRect().bottom > top));
}

async function nextError() {
  const end = pieces().at(-1).dataset.end;
  if (state.errors?.end !== end) state.errors = { ...(await askForLines({ errors: "1" })), end };
  const found = state.errors;
  if (!found.lines.length) return count(told("line that looks like an error", found, 0));
  let index = found.lines.findIndex((number) => number > state.here);
  if (index < 0) index = 0;
  count(told("error", found, index));
  await goTo(found.lines[index]);
}

// --- buttons and keys

function toggle(name, byDefault) {
  const isOn = (localStorage.getItem(`log-${name}`) ?? byDefault) !== "on";
  localStorage.setItem(`log-${name}`, isOn ? "on" : "off");
  applyChoices();
}

const timesByDefault = () => (matchMedia("(max-width: 48rem)").matches ? "off" : "on");

function applyChoices() {
  const isWrapped = localStorage.getItem("log-wrap") === "on", hasTimes = (localStorage.getItem("log-times") ?? timesByDefault()) === "on";
  region().classList.toggle("is-wrapped", isWrapped);
  region().classList.toggle("without-times", !hasTimes);
  region().classList.toggle("with-times", hasTimes);
  button("wrap")?.setAttribute("aria-pressed", String(isWrapped));
  button("times")?.setAttribute("aria-pressed", String(hasTimes));
}

function full(isOn = !region().classList.contains("is-full")) {
  region().classList.toggle("is-full", isOn);
  button("full").setAttribute("aria-pressed", String(isOn));
}

async function copy() {
  const chosen = lines().filter((line) => line.classList.contains("is-chosen"));
  const text = (chosen.length ? chosen : lines()).map((line) => line.querySelector(".log-text").textContent).join("\n");
  try {
    await navigator.clipboard.writeText(text);
  } catch {  // without HTTPS there is no clipboard
    const area = document.createElement("textarea");
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  say(chosen.length ? `Copied ${chosen.length} chosen line${chosen.length === 1 ? "" : "s"}.` : `Copied the ${lines().length} lines that are loaded.`);
}

function follow() {
  if (!state.follow) return toNewest();
  state.follow = false;
  showState();
}

const DO = {
  earlier: () => load("earlier"), later: () => load("later"), newest: toNewest, next: () => step(1), previous: () => step(-1),
  error: nextError, wrap: () => toggle("wrap", "off"), times: () => toggle("times", timesByDefault()), follow, copy, full: () => full(),
  beginning: toBeginning, search: () => { const input = find('input[name="q"]'); input.focus(); input.select(); },
};
const KEYS = { w: "wrap", T: "times", F: "full", "/": "search", n: "next", N: "previous", e: "error", G: "newest", gg: "beginning" };

async function carryOut(name) {
  try {
    await DO[name]();
  } catch (error) {
    note(error);
    say(error instanceof Refused ? error.message : "The server does not answer; try again.", true);
  }
}

document.addEventListener("click", (event) => {
  if (!region()?.contains(event.target)) return;
  const number = event.target.closest(".log-line a.log-number");
  const wanted = event.target.closest("[data-do]");
  if (number && !event.ctrlKey && !event.metaKey) {
    event.preventDefault();
    choose(numberOf(number.parentElement), event.shiftKey);
  } else if (wanted) {
    event.preventDefault();
    carryOut(wanted.dataset.do);
  }
});

document.addEventListener("submit", (event) => {
  if (!event.target.matches(".log-search")) return;
  event.preventDefault();
  const parameters = {}, data = new FormData(event.target);
  for (const name of ["q", "case", "regex"]) if (data.has(name)) parameters[name] = String(data.get(name));
  carryOutSearch(event.target, parameters);
});

function carryOutSearch(form, parameters) {
  const isSame = state.hits && JSON.stringify(parameters) === state.asked;
  (isSame ? step(1) : startSearch(form)).catch((error) => count(error.message, true));
}

let gAt = 0;
// Before other keys of the page: here "/" searches the log.
document.addEventListener("keydown", (event) => {
  if (!scroller() || event.ctrlKey || event.metaKey || event.altKey || localStorage.getItem("shortcuts") === "off") return;
  if (event.key === "Escape" && region().classList.contains("is-full")) return full(false);
  if (event.target.closest?.("input:not([type=checkbox]), textarea, select, [contenteditable], dialog")) return;
  let key = event.key;
  const isSecond = Date.now() - gAt < 1000;  // after "g": what leads to other pages is not ours
  gAt = key === "g" && !isSecond ? Date.now() : 0;
  if (gAt || (isSecond && key !== "g")) return;
  if (isSecond) key = "gg";
  if (!KEYS[key]) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  carryOut(KEYS[key]);
}, true);

// Scrolling up stops following, scrolling to the end begins again. What scrolled is known by how the end moved.
let lastTop = 0;
function onScroll() {
  const box = scroller(), isAtBottom = box.scrollHeight - box.scrollTop - box.clientHeight < AT_THE_END_PX;
  const wentUp = box.scrollTop < lastTop - 2;
  lastTop = box.scrollTop;
  if (state.follow && wentUp && !isAtBottom) { state.follow = false; showState(); }
  else if (!state.follow && isAtBottom && isAtEnd() && (state.unseen || isGrowing())) {
    state.unseen = 0;
    state.follow = isGrowing();
    showState();
  }
}

function showControls() {
  for (const each of region().querySelectorAll(".log-buttons")) each.hidden = false;
  for (const each of region().querySelectorAll(".log-hits")) each.remove();
}

async function begin() {
  if (!region()) return;
  applyChoices();
  if (!scroller()) return plan(NOTHING_SECONDS);
  showControls();
  scroller().addEventListener("scroll", onScroll, { passive: true });
  if (!(await goToAddress().catch(() => false))) {
    state.follow = isGrowing() && isAtEnd();
    if (isAtEnd()) toEnd();
    showState();
  }
  plan();
}

addEventListener("hashchange", () => goToAddress().catch(() => false));
document.addEventListener("visibilitychange", () => (document.hidden ? clearTimeout(state.timer) : plan(0)));
begin();
