// Asks for what a worker brings, and waits for it: a page's own requests never wait for a provider.
async function askWorker(url) {
  const token = document.querySelector("[name=csrfmiddlewaretoken]").value;
  const asked = await fetch(url, { method: "POST", headers: { "X-CSRFToken": token } });
  const answer = await asked.json();
  if (!asked.ok) throw refusal(answer.message);
  return workerResult(answer.url);
}

async function workerResult(url) {
  for (let tries = 0; tries < 120; tries += 1) {
    const response = await fetch(url);
    if (response.status === 404) break;
    const answer = await response.json();
    if (response.status === 409) throw refusal(answer.message);
    if (response.status === 200) return answer;
    await new Promise((done) => { setTimeout(done, tries < 10 ? 300 : 1000); });
  }
  throw refusal("");
}

// An error with a sentence for the user; those of the browser itself have none.
function refusal(text) {
  return Object.assign(new Error(text), { said: text });
}

function originOf(url) {
  const { protocol, host } = new URL(url);
  return `${protocol}//${host}`;
}

// The page's policy names the node that its provider named last. Where that is another, the page is loaded once again.
const reloaded = `reloaded ${location.pathname}`;

function reloadOnce(origin) {
  if (sessionStorage.getItem(reloaded) === origin) return false;
  sessionStorage.setItem(reloaded, origin);
  location.reload();
  return true;
}

// A page that names its node has nothing to load again; a later visit may have.
if (document.querySelector("[data-origin]").dataset.origin) sessionStorage.removeItem(reloaded);
