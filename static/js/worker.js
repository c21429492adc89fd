// Asks for what a worker brings, and waits for it: a page's own requests never wait for a provider.
async function askWorker(url) {
  const token = document.querySelector("[name=csrfmiddlewaretoken]").value;
  const asked = await fetch(url, { method: "POST", headers: { "X-CSRFToken": token } });
  const answer = await asked.json();
  if (!asked.ok) throw new Error(answer.message);
  return workerResult(answer.url);
}

async function workerResult(url) {
  for (let tries = 0; tries < 120; tries += 1) {
    const response = await fetch(url);
    if (response.status === 404) throw new Error("");
    const answer = await response.json();
    if (response.status === 409) throw new Error(answer.message);
    if (response.status === 200) return answer;
    await new Promise((done) => { setTimeout(done, tries < 10 ? 300 : 1000); });
  }
  throw new Error("");
}

function originOf(url) {
  const { protocol, host } = new URL(url);
  return `${protocol}//${host}`;
}

// The page's policy names the node that its provider named last. Where that is another, the page is loaded once again.
function reloadOnce(origin) {
  const key = `allowed ${location.pathname}`;
  if (sessionStorage.getItem(key) === origin) return false;
  sessionStorage.setItem(key, origin);
  location.reload();
  return true;
}
