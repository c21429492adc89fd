// What a script adds to pages that already work: the theme switch, dismissing notices, copying an address.
const root = document.documentElement;

function applyTheme(theme) {
  if (theme === "auto") delete root.dataset.theme;
  else root.dataset.theme = theme;
  const maxAge = theme === "auto" ? 0 : 31536000;
  const secure = location.protocol === "https:" ? "; Secure" : "";
  document.cookie = `theme=${theme}; path=/; max-age=${maxAge}; SameSite=Lax${secure}`;
  for (const button of document.querySelectorAll("[data-themes] button")) {
    button.setAttribute("aria-pressed", String(button.value === theme));
  }
}

function showScriptedControls(container) {
  for (const control of container.querySelectorAll("[data-themes], [data-dismiss], [data-copy]")) control.hidden = false;
  if (window.htmx) for (const control of container.querySelectorAll("[data-no-script]")) control.hidden = true;
  showDeviceTimes(container);
  addSliders(container);
}

// Who has set no time zone reads UTC in the page, and here the zone of the device. The text in UTC stays as a tooltip.
function showDeviceTimes(container) {
  const format = new Intl.DateTimeFormat(root.lang, {
    year: "numeric", month: "short", day: "numeric", hour: "numeric", minute: "2-digit", timeZoneName: "short",
  });
  for (const time of container.querySelectorAll("time[data-of-device]")) {
    time.title = time.textContent;
    time.textContent = format.format(new Date(time.dateTime));
    delete time.dataset.ofDevice;
  }
}

// The page brings a few time zones; the browser knows them all.
function offerTimeZones(list) {
  if (!list || !Intl.supportedValuesOf) return;
  const offered = new Set(Array.from(list.options, (option) => option.value));
  for (const zone of Intl.supportedValuesOf("timeZone")) if (!offered.has(zone)) list.append(new Option("", zone));
}

// A slider beside a number of units. The number is the field: it is what is sent, and what a keyboard changes.
function addSliders(container) {
  for (const number of container.querySelectorAll("input[data-slider]")) {
    if (number.nextElementSibling?.type === "range") continue;
    const range = document.createElement("input");
    Object.assign(range, { type: "range", min: number.min, max: number.max, value: number.value || 0, tabIndex: -1 });
    range.setAttribute("aria-hidden", "true");
    range.addEventListener("input", () => { number.value = range.value; });
    number.addEventListener("input", () => { range.value = number.value; });
    number.after(range);
  }
}

async function copy(button) {
  await navigator.clipboard.writeText(button.dataset.copy);
  const status = document.getElementById(button.dataset.status);
  if (status) status.textContent = button.dataset.message;
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  if (button.closest("[data-themes]")) applyTheme(button.value);
  else if ("dismiss" in button.dataset) button.closest(".notice").remove();
  else if ("copy" in button.dataset) copy(button);
  else if (button.hasAttribute("commandfor") && !("command" in button)) {
    const dialog = document.getElementById(button.getAttribute("commandfor"));
    if (button.getAttribute("command") === "show-modal") dialog.showModal();
    else dialog.close();
  }
});
document.addEventListener("htmx:load", (event) => showScriptedControls(event.target));
showScriptedControls(document);
document.querySelector('[aria-invalid="true"]')?.focus(); // a form that was refused: go on where the first error is
offerTimeZones(document.getElementById("timezones"));
