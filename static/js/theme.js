// Before the first paint: the theme that was chosen here, or the system's. The button in the top bar goes round.
(() => {
  const system = matchMedia("(prefers-color-scheme: dark)");
  const chosen = () => localStorage.getItem("theme") || "auto";
  const apply = () => {
    const dark = chosen() === "dark" || (chosen() === "auto" && system.matches);
    document.documentElement.setAttribute("data-bs-theme", dark ? "dark" : "light");
    const button = document.getElementById("theme");
    if (!button) return;
    button.textContent = { auto: "◐", light: "☀", dark: "☾" }[chosen()];
    button.title = `Theme: ${chosen()} (t)`;
    button.setAttribute("aria-label", `Theme: ${chosen()}`);
  };
  apply();
  system.addEventListener("change", apply);
  addEventListener("DOMContentLoaded", () => {
    apply();
    const button = document.getElementById("theme");
    if (!button) return;
    button.hidden = false;
    button.addEventListener("click", () => {
      const order = ["auto", "light", "dark"];
      localStorage.setItem("theme", order[(order.indexOf(chosen()) + 1) % 3]);
      apply();
    });
  });
})();
