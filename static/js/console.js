// The console of a server, over its node's own socket or the shop's relay of it: output with colours, search, pause, and the commands typed before.
const frame = document.querySelector("[data-console]");
const output = frame.querySelector("[data-output]");
const tools = frame.querySelector("[data-tools]");
const search = document.getElementById("search");
const pauseButton = frame.querySelector("[data-pause]");
const MAX_LINES = 1000;
const MAX_WAIT = 60000;
const texts = frame.dataset;
// The eight colours of a terminal, each as dark on light and as light on dark.
const COLOURS = ["#444 #aaa", "#b3261e #ff8a80", "#1b6e2c #7bd88f", "#7a5200 #f2c14e", "#1d4fb8 #8ab4f8", "#8a2a9b #e39bf0", "#0b6b78 #6fd3e0", "#333 #ddd"]
  .map((pair) => `light-dark(${pair.replace(" ", ", ")})`);
let socket = null;
let connection = ""; // how it is, in words
let held = []; // lines that came during a pause
let isStale = false; // what is shown came over a socket before this one, which sends it again
let hasLogs = false;
let wait = 2000;
let renewals = 0; // since the node last took a token

Object.assign(output.style, {
  background: "var(--sunk)", borderRadius: "var(--r1)", padding: "var(--s3)", height: "60vh", minHeight: "14rem",
  overflow: "auto", whiteSpace: "pre-wrap", fontSize: "var(--step--1)",
});
output.hidden = tools.hidden = pauseButton.hidden = false;

function say(text) {
  connection = text;
  showStatus();
}

// A pause is said only of a connection: that there is none, or none yet, is said in any case.
function showStatus() {
  const isPaused = pauseButton.ariaPressed === "true" && connection === texts.connected;
  frame.querySelector("[data-status]").textContent = isPaused ? texts.paused : connection;
}

// One line with its colours: what is between two codes is a span. Other codes of a terminal are left out.
function lineOf(text) {
  const line = document.createElement("div");
  let colour = "";
  let isBold = false;
  for (const part of text.split(/(\x1b\[[0-9;?]*[A-Za-z])/)) {
    const codes = /^\x1b\[([0-9;]*)m$/.exec(part);
    if (codes) {
      for (const code of codes[1].split(";").map(Number)) {
        if (code === 0) { colour = ""; isBold = false; }
        else if (code === 1) isBold = true;
        else if (code === 22) isBold = false;
        else if (code === 39) colour = "";
        else if (code >= 30 && code <= 37) colour = COLOURS[code - 30];
        else if (code >= 90 && code <= 97) colour = COLOURS[code - 90];
        else if (code === 38 || code === 48) break; // one of 256: left as it is
      }
    } else if (part && !part.startsWith("\x1b")) {
      const span = document.createElement("span");
      span.textContent = part.replace(/[\x00-\x08\x0b-\x1f]/g, "");
      span.style.color = colour;
      if (isBold) span.style.fontWeight = "700";
      line.append(span);
    }
  }
  return line;
}

function isWanted(line) {
  return line.textContent.toLowerCase().includes(search.value.toLowerCase());
}

function show(text) {
  if (pauseButton.ariaPressed === "true") {
    held = [...held, text].slice(-MAX_LINES);
    return;
  }
  if (isStale) output.replaceChildren();
  isStale = false;
  const isAtEnd = output.scrollHeight - output.scrollTop - output.clientHeight < 40;
  for (const each of text.split("\n")) {
    const line = lineOf(each);
    line.hidden = !isWanted(line);
    output.append(line);
  }
  while (output.childElementCount > MAX_LINES) output.firstElementChild.remove();
  if (isAtEnd) output.scrollTop = output.scrollHeight;
}

function transmit(event, ...args) {
  if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify({ event, args }));
}

function showState(state) {
  const isOff = state === "offline";
  const disabled = { start: !isOff, restart: isOff || state === "stopping", stop: isOff || state === "stopping", "ask-kill": isOff };
  for (const [id, value] of Object.entries(disabled)) {
    const button = document.getElementById(id);
    if (button) button.disabled = value;
  }
}

const HEARD = {
  "auth success": () => {
    say(texts.connected);
    wait = 2000;
    renewals = 0;
    if (!hasLogs) transmit("send logs");
    hasLogs = true;
  },
  status: showState,
  "console output": show,
  "install output": show,
  "daemon message": show,
  "daemon error": show,
  "token expiring": renew,
  "token expired": renew,
  "jwt error": renew,
};

// Another token for the same socket. Where there is none, the socket goes, and is tried again later.
function renew() {
  renewals += 1;
  if (renewals > 3) giveUp("");
  else askWorker(texts.open).then(({ token }) => transmit("auth", token), (error) => giveUp(error.said));
}

function giveUp(reason) {
  say(reason || texts.lost);
  const old = socket;
  socket = null;
  old?.close();
  setTimeout(() => connect(""), wait);
  wait = Math.min(wait * 2, MAX_WAIT);
}

async function connect(key) {
  say(texts.connecting);
  let access;
  try {
    access = key ? await workerResult(key) : await askWorker(texts.open);
  } catch (error) {
    giveUp(error.said);
    return;
  }
  const isInsecure = location.protocol === "https:" && access.socket.startsWith("ws:");
  if (isInsecure || originOf(access.socket) !== texts.origin) {
    if (isInsecure || !reloadOnce(originOf(access.socket))) say(texts.unreachable);
    return;
  }
  const opened = new WebSocket(access.socket);
  let wasOpen = false;
  socket = opened;
  hasLogs = false;
  opened.addEventListener("open", () => {
    wasOpen = isStale = true;
    held = [];
    if (access.token) transmit("auth", access.token); // the relay has its own
  });
  opened.addEventListener("message", (message) => {
    const { event, args } = JSON.parse(message.data);
    HEARD[event]?.(...(args ?? []));
  });
  opened.addEventListener("close", ({ code, reason }) => {
    if (socket !== opened) return;
    if (code >= 4400 && code < 4500) { // said by the relay, and for good
      socket = null;
      say(reason);
    } else giveUp(reason && code >= 4500 ? reason : wasOpen ? texts.lost : texts.unreachable);
  });
}

search.addEventListener("input", () => {
  for (const line of output.children) line.hidden = !isWanted(line);
});

pauseButton.addEventListener("click", () => {
  const isPaused = pauseButton.ariaPressed !== "true";
  pauseButton.ariaPressed = String(isPaused);
  showStatus();
  if (isPaused) return;
  const lines = held;
  held = [];
  lines.forEach(show);
});

// The commands of this visit: arrow up and down in the field. They may hold passwords, so nothing keeps them.
const typed = [];
let at = 0;
frame.addEventListener("submit", (event) => {
  const value = event.target.elements.command?.value;
  if (value) typed.push(value);
  at = typed.length;
}, true);
frame.addEventListener("keydown", (event) => {
  if (event.target.name !== "command" || !["ArrowUp", "ArrowDown"].includes(event.key)) return;
  event.preventDefault();
  at = Math.max(0, Math.min(typed.length, at + (event.key === "ArrowUp" ? -1 : 1)));
  event.target.value = typed[at] ?? "";
});

connect(texts.key);
