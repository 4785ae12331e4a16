// Copy buttons (`data-copy`), also where the page comes by plain http and browsers offer no clipboard.
import { toast } from "./announce.js";

export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = document.createElement("textarea"), focused = document.activeElement;
    area.value = text;
    area.className = "visually-hidden";
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    focused?.focus?.();
    if (!done) return toast("Could not copy: select the text and copy it by hand.");
  }
  toast("Copied.");
}

const reveal = () => document.querySelectorAll("[data-copy][hidden]").forEach((button) => (button.hidden = false));
document.addEventListener("click", (event) => {
  const button = event.target.closest?.("[data-copy]");
  if (button) copy(button.dataset.copy);
});
document.addEventListener("htmx:after:swap", reveal);
reveal();
