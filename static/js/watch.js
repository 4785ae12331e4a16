// "Tell me when it ends": requests that somebody in this browser waits for, looked at from whatever page is open. Each look
// carries the tag of the last answer, so that until something changes the server only says so.
import { toast } from "./announce.js";

const KEY = "told-when-they-end", PAUSE_MS = 10_000, SHOWN_MS = 60_000;
const tags = new Map();
let timer;

// Path of a request's page -> true.
const watched = () => JSON.parse(localStorage.getItem(KEY) ?? "{}");
const keep = (paths) => localStorage.setItem(KEY, JSON.stringify(paths));

export const isWatched = (path) => path in watched();

export async function toggle(path) {
  const paths = watched();
  if (path in paths) delete paths[path];
  else paths[path] = true;
  keep(paths);
  plan();
  if (path in paths && window.Notification?.permission === "default") await Notification.requestPermission();
}

// Once, in one of the browser's tabs: in one that can be seen, unless notifications are allowed.
export function ended(path, sentence) {
  const paths = watched(), mayNotify = window.Notification?.permission === "granted";
  if (!(path in paths) || (document.hidden && !mayNotify)) return;
  delete paths[path];
  keep(paths);
  toast(`A request has ended: ${sentence}`, SHOWN_MS);
  if (mayNotify) new Notification("A request has ended", { body: sentence });
}

async function look(path) {
  const headers = { "HX-Request": "true", ...(tags.has(path) && { "HX-PTag": tags.get(path) }) };
  const response = await fetch(path, { redirect: "error", cache: "no-store", headers });
  if (response.status === 404) {
    const { [path]: gone, ...others } = watched();
    return keep(others);
  }
  if (!response.ok) return;
  const part = new DOMParser().parseFromString(await response.text(), "text/html").getElementById("live");
  if (part?.dataset.open === "0") ended(path, part.dataset.sentence);
  else tags.set(path, response.headers.get("HX-PTag"));
}

async function lookAtAll() {
  for (const path of Object.keys(watched())) await look(path).catch(() => { /* the next look tries again */ });
  plan();
}

function plan() {
  clearTimeout(timer);
  if (Object.keys(watched()).length) timer = setTimeout(lookAtAll, PAUSE_MS);
}

// Only who is signed in has the menu of pages.
if (document.querySelector("header.top nav")) {
  addEventListener("storage", (event) => event.key === KEY && plan());
  plan();
}
