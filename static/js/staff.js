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
