// A form that changes something is sent once, however often its button is clicked.
for (const form of document.querySelectorAll("form.once"))
  form.addEventListener("submit", (event) => {
    if (form.dataset.sent) event.preventDefault();
    form.dataset.sent = "yes";
  });
addEventListener("pageshow", () => document.querySelectorAll("form.once").forEach((form) => delete form.dataset.sent));
