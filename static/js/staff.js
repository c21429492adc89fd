// Unfold hides its menu in a window of exactly 1280 px, although its styles have room for it from there on.
const MENU_FROM_PX = 1280;

document.addEventListener("alpine:init", () => {
  const unfoldTheme = window.theme;
  const isMenuOpen = () => window.innerWidth >= MENU_FROM_PX && localStorage.getItem("sidebarOpen") !== "0";
  window.theme = (...chosen) => {
    const data = unfoldTheme(...chosen);
    data.sidebarOpen = isMenuOpen();
    data.sidebarToggle = function toggle() {
      this.sidebarOpen = !this.sidebarOpen;
      if (window.innerWidth >= MENU_FROM_PX) localStorage.setItem("sidebarOpen", this.sidebarOpen ? "1" : "0");
    };
    data.themeBindings["x-resize.window"] = function resized() {
      this.sidebarOpen = isMenuOpen();
    };
    return data;
  };
});

// A page of something that is running shows how far it is.
const reload = document.querySelector('meta[name="reload-seconds"]');
if (reload) setTimeout(() => location.reload(), Number(reload.content) * 1000);

// A select2 field and its search take no name from the label of the select that they stand for.
function nameSearchFields(root) {
  for (const select of root.querySelectorAll("select.select2-hidden-accessible")) {
    const label = document.querySelector(`label[for="${CSS.escape(select.id)}"]`);
    const shown = select.nextElementSibling?.querySelector(".select2-selection");
    if (!label || !shown) continue;
    label.id ||= `${select.id}-label`;
    shown.setAttribute("aria-labelledby", `${label.id} select2-${select.id}-container`);
    shown.querySelector(".select2-selection__rendered")?.setAttribute("aria-labelledby", label.id);
    shown.querySelector(".select2-search__field")?.setAttribute("aria-labelledby", label.id); // of several choices
  }
}
window.addEventListener("load", () => {
  window.django?.jQuery(() => nameSearchFields(document)); // after jQuery's ready, which may come after load
  document.addEventListener("formset:added", (event) => setTimeout(nameSearchFields, 0, event.target));
  window.django?.jQuery(document).on("select2:open", (event) => {
    const search = document.querySelector(".select2-container--open .select2-search__field");
    search?.setAttribute("aria-label", document.querySelector(`label[for="${CSS.escape(event.target.id)}"]`)?.textContent.trim() ?? "");
  });
});

// A text that is entered elsewhere, such as a webhook's address, can be copied.
for (const shown of document.querySelectorAll("code[data-copy]")) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "border rounded-default px-2 py-1 ms-2 font-medium cursor-pointer";
  button.textContent = shown.dataset.label;
  button.addEventListener("click", () => navigator.clipboard.writeText(shown.dataset.copy));
  shown.after(button);
}
