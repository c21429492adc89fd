// What a script adds to pages that already work: the appearance switch, dismissing notices, copying an address.
const root = document.documentElement;

function wear(theme) {
  if (theme === "auto") delete root.dataset.theme;
  else root.dataset.theme = theme;
  const age = theme === "auto" ? 0 : 31536000;
  document.cookie = `theme=${theme}; path=/; max-age=${age}; SameSite=Lax${location.protocol === "https:" ? "; Secure" : ""}`;
  for (const button of document.querySelectorAll("[data-themes] button")) {
    button.setAttribute("aria-pressed", String(button.value === theme));
  }
}

function reveal(within) {
  for (const part of within.querySelectorAll("[data-themes], [data-dismiss], [data-copy]")) part.hidden = false;
  if (window.htmx) for (const part of within.querySelectorAll("[data-scriptless]")) part.hidden = true;
}

async function copy(button) {
  await navigator.clipboard.writeText(button.dataset.copy);
  const said = document.getElementById(button.dataset.says);
  if (said) said.textContent = button.dataset.done;
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  if (button.closest("[data-themes]")) wear(button.value);
  else if ("dismiss" in button.dataset) button.closest(".note").remove();
  else if ("copy" in button.dataset) copy(button);
});
document.addEventListener("htmx:load", (event) => reveal(event.target));
reveal(document);
