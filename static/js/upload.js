// Sends files straight to the server's node, and says how far it is. Without it, or without the node, the form goes to us.
const upload = document.querySelector("[data-upload]");
const picked = upload.querySelector("input[type=file]");
const uploadStatus = upload.querySelector("[data-status]");
const bar = upload.querySelector("progress");
const MB = 1024 * 1024;
let nodeOrigin = upload.dataset.origin;

function tooLarge(limit) {
  const found = Array.from(picked.files).some((file) => file.size > limit);
  if (found) uploadStatus.textContent = upload.dataset.tooLarge.replace("{limit}", Math.floor(limit / MB));
  return found;
}

function send(url) {
  const body = new FormData();
  for (const file of picked.files) body.append("files", file);
  const request = new XMLHttpRequest();
  request.upload.addEventListener("progress", (event) => {
    if (event.lengthComputable) bar.value = event.loaded / event.total;
  });
  return new Promise((done, fail) => {
    request.addEventListener("load", () => { if (request.status < 300) done(); else fail(new Error("")); });
    request.addEventListener("error", () => fail(new Error("")));
    request.open("POST", `${url}&directory=${encodeURIComponent(upload.dataset.folder)}`);
    request.send(body);
  });
}

async function uploadToNode() {
  const link = await askWorker(upload.dataset.link);
  if (tooLarge(link.max_bytes)) return;
  bar.hidden = false;
  uploadStatus.textContent = upload.dataset.sending;
  await send(link.url);
  location.assign(`${upload.dataset.back}&uploaded=1`);
}

upload.addEventListener("submit", (event) => {
  if (!nodeOrigin) {
    if (tooLarge(Number(upload.dataset.maxBytes))) event.preventDefault();
    return;
  }
  event.preventDefault();
  if (tooLarge(Number(upload.dataset.nodeBytes))) return;
  uploadToNode().catch((error) => {
    nodeOrigin = "";
    picked.multiple = false;
    bar.hidden = true;
    uploadStatus.textContent = error.said || upload.dataset.refused;
  });
});

picked.multiple = Boolean(nodeOrigin);
if (!nodeOrigin) {
  askWorker(upload.dataset.link).then(({ url }) => { if (!picked.files.length) reloadOnce(originOf(url)); }, () => {});
}
