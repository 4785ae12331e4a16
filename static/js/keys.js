// Keyboard shortcuts: whatever has `data-hotkey`, and the sheet that tells them. They can be switched off in this browser.
import { install, uninstall } from "../vendor/hotkey.js";

const sheet = document.getElementById("shortcuts"), off = document.getElementById("shortcuts-off");
const opener = document.getElementById("shortcuts-open");
const installed = new Set();
const isOff = () => localStorage.getItem("shortcuts") === "off";
// Shortcuts with a modifier stay: nobody types them by accident.
const hasModifier = (element) => /Control|Meta/.test(element.dataset.hotkey);

function renew() {
  for (const element of installed)
    if (!element.isConnected || isOff()) { uninstall(element); installed.delete(element); }
  for (const element of document.querySelectorAll("[data-hotkey]")) {
    if (installed.has(element) || (isOff() && !hasModifier(element))) continue;
    const keys = element.dataset.hotkey.split(",").filter((key) => !isOff() || /Control|Meta/.test(key));
    install(element, keys.join(","));
    installed.add(element);
  }
}

if (opener) opener.hidden = false;
opener?.addEventListener("click", () => (sheet.open ? sheet.close() : sheet.showModal()));
sheet?.addEventListener("click", (event) => event.target === sheet && sheet.close());
if (off) off.checked = isOff();
off?.addEventListener("change", () => {
  localStorage.setItem("shortcuts", off.checked ? "off" : "on");
  renew();
});
document.addEventListener("htmx:after:swap", renew);
renew();
