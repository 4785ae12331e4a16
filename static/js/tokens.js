// Copies a new token. Over plain http browsers offer no clipboard, so the text is selected instead.
const secret = document.getElementById("secret");
const copy = document.getElementById("copy");
const copied = document.getElementById("copied");

if (secret && copy) {
  copy.hidden = false;
  copy.addEventListener("click", async () => {
    secret.select();
    try {
      await navigator.clipboard.writeText(secret.value);
      copied.textContent = "Copied.";
    } catch {
      copied.textContent = "Selected: copy it with Ctrl+C.";
    }
  });
}
