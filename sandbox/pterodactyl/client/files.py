"""Files of a server: kept as text by path, with a slash at the end of an empty folder's. A letter is a byte."""

import json
import posixpath
from collections.abc import Callable

from starlette.responses import JSONResponse, PlainTextResponse, Response

from sandbox.pterodactyl import daemon, tokens
from sandbox.pterodactyl.call import Call, no_content
from sandbox.pterodactyl.client import access
from sandbox.pterodactyl.errors import DaemonError, refusal
from sandbox.pterodactyl.routing import Routes
from sandbox.pterodactyl.rows import Server
from sandbox.pterodactyl.transformers import Json, item, plain_list, timestamp
from sandbox.pterodactyl.validation import validate

routes = Routes("client")
LINK_SECONDS = 900.0
MAX_VIEWED_BYTES = 4 * 1024 * 1024
ARCHIVE = "archive:"  # what an archive's text begins with; its files follow as JSON


def as_bytes(text: str) -> bytes:
    """A file's content."""
    return text.encode("latin-1")


def as_text(content: bytes) -> str:
    """A file's content as it is kept."""
    return content.decode("latin-1")


def absolute(*parts: str) -> str:
    """A path of the node; what leads out of the server's folder ends in it."""
    return posixpath.normpath("/" + "/".join(parts)).replace("//", "/")


def below(server: Server, path: str) -> dict[str, str]:
    """The file of this path, or all that is in the folder."""
    prefix = path.rstrip("/") + "/"
    return {name: text for name, text in server.runtime.files.items() if name == path or name.startswith(prefix)}


def add(server: Server, path: str, text: str) -> None:
    """Write a file, or an empty folder. A folder in the place of a file, or the other way round, is a 400."""
    files, plain = server.runtime.files, path.rstrip("/")
    if any(name.startswith(f"{plain}/") for name in files) and not path.endswith("/"):
        raise DaemonError(400)
    parents = [plain[:index] for index, letter in enumerate(plain) if letter == "/" and index]
    if any(parent in files for parent in parents) or (path.endswith("/") and plain in files):
        raise DaemonError(400)
    for parent in parents:
        files.pop(f"{parent}/", None)
    files[path] = text


def remove(server: Server, path: str) -> None:
    """Delete a file or a folder; the folder it was in stays."""
    for name in below(server, path):
        del server.runtime.files[name]
    parent = posixpath.dirname(path)
    if parent != "/" and not below(server, parent):
        server.runtime.files[f"{parent}/"] = ""


def file_object(call: Call, server: Server, path: str) -> Json:
    """A file or folder in a list."""
    text = server.runtime.files.get(path)
    at = timestamp(call.panel.now())
    return item(
        "file_object",
        {
            "name": posixpath.basename(path),
            "mode": "drwxr-xr-x" if text is None else "-rw-r--r--",
            "mode_bits": "755" if text is None else "644",
            "size": 4096 if text is None else len(as_bytes(text)),
            "is_file": text is not None,
            "is_symlink": False,
            "mimetype": "inode/directory" if text is None else "text/plain; charset=utf-8",
            "created_at": at,
            "modified_at": at,
        },
    )


async def on_node(call: Call, server: Server, work: Callable[[], None]) -> Response:
    """Have the node do it; 204."""
    await daemon.call_for(call.panel, server, work)
    call.panel.save()
    return no_content()


@routes.add("GET", "/servers/{server}/files/list")
async def index(call: Call) -> Response:
    """What is in a folder. A node answers 404 for a folder that is not there."""
    server, folder = access.usable_server(call), absolute(call.query.get("directory") or "/")
    names = {name.removeprefix(folder.rstrip("/") + "/").split("/")[0] for name in below(server, folder)}

    def look() -> None:
        if folder in server.runtime.files or (folder != "/" and not below(server, folder)):
            raise DaemonError(404)

    await daemon.call_for(call.panel, server, look)
    found = [file_object(call, server, absolute(folder, name)) for name in sorted(names) if name]
    return JSONResponse(plain_list(found))


@routes.add("GET", "/servers/{server}/files/contents")
async def contents(call: Call) -> Response:
    """A file as plain text, up to 4 MiB."""
    validate(call.fields, {"file": "required|string"})
    server, path = access.usable_server(call), absolute(call.fields["file"])

    def look() -> None:
        if path not in server.runtime.files:
            raise DaemonError(400 if below(server, path) else 404)

    await daemon.call_for(call.panel, server, look)
    content = as_bytes(server.runtime.files[path])
    if len(content) > MAX_VIEWED_BYTES:
        raise refusal("FileSizeTooLargeException", "The file is too large to view in the file editor.")
    return PlainTextResponse(content)


@routes.add("POST", "/servers/{server}/files/write")
async def write(call: Call) -> Response:
    """Write the body as it is."""
    validate(call.query, {"file": "required|string"})
    server, path = access.usable_server(call), absolute(call.query["file"])
    return await on_node(call, server, lambda: add(server, path, as_text(call.body)))


@routes.add("POST", "/servers/{server}/files/create-folder")
async def create_folder(call: Call) -> Response:
    """Make a folder; one that is there is fine."""
    validate(call.fields, {"root": "nullable|string", "name": "required|string"})
    server, path = access.usable_server(call), absolute(call.fields.get("root") or "/", call.fields["name"])
    return await on_node(call, server, lambda: None if below(server, path) else add(server, f"{path}/", ""))


@routes.add("PUT", "/servers/{server}/files/rename")
async def rename(call: Call) -> Response:
    """Give paths another one, which must be free: a 400 of the node otherwise."""
    validate(call.fields, {"files": "required|array", "files.*.from": "required", "files.*.to": "required"})
    server, root = access.usable_server(call), call.fields.get("root") or "/"

    def work() -> None:
        for pair in call.fields["files"]:
            before, after = absolute(root, pair["from"]), absolute(root, pair["to"])
            found = below(server, before)
            if not found:
                raise DaemonError(404)
            if below(server, after) or after.startswith(f"{before}/"):
                raise DaemonError(400)
            remove(server, before)
            for name, text in found.items():
                add(server, after + name.removeprefix(before), text)

    return await on_node(call, server, work)


@routes.add("POST", "/servers/{server}/files/copy")
async def copy(call: Call) -> Response:
    """Copy a file beside itself."""
    validate(call.fields, {"location": "required|string"})
    server, path = access.usable_server(call), absolute(call.fields["location"])

    def work() -> None:
        if path not in server.runtime.files:
            raise DaemonError(400 if below(server, path) else 404)
        folder, name = posixpath.split(path)
        stem, dot, extension = name.partition(".")
        numbers = ("", *(f" {number}" for number in range(1, 51)))
        copies = (absolute(folder, f"{stem} copy{number}{dot}{extension}") for number in numbers)
        add(server, next(each for each in copies if each not in server.runtime.files), server.runtime.files[path])

    return await on_node(call, server, work)


@routes.add("POST", "/servers/{server}/files/delete")
async def delete(call: Call) -> Response:
    """Delete files and folders; what is not there is fine."""
    validate(call.fields, {"root": "required", "files": "required|array", "files.*": "string"})
    server, root = access.usable_server(call), call.fields["root"]

    def work() -> None:
        for name in call.fields["files"]:
            remove(server, absolute(root, name))

    return await on_node(call, server, work)


@routes.add("POST", "/servers/{server}/files/compress")
async def compress(call: Call) -> Response:
    """Pack files into an archive beside them."""
    validate(call.fields, {"root": "nullable|string", "files": "required|array", "files.*": "string"})
    server, root = access.usable_server(call), absolute(call.fields.get("root") or "/")
    packed: dict[str, str] = {}
    for name in call.fields["files"]:
        packed |= below(server, absolute(root, name))
    inner = {path.removeprefix(root.rstrip("/")): text for path, text in packed.items()}
    moment = str(timestamp(call.panel.now())).replace(":", "")
    archive = absolute(root, f"archive-{moment}.tar.gz")
    await on_node(call, server, lambda: add(server, archive, ARCHIVE + json.dumps(inner)))
    return JSONResponse(file_object(call, server, archive))


@routes.add("POST", "/servers/{server}/files/decompress")
async def decompress(call: Call) -> Response:
    """Unpack an archive over what is there; a 400 of the node for what is none."""
    validate(call.fields, {"root": "nullable|string", "file": "required|string"})
    server, root = access.usable_server(call), absolute(call.fields.get("root") or "/")
    path = absolute(root, call.fields["file"])

    def work() -> None:
        text = server.runtime.files.get(path)
        if text is None or not text.startswith(ARCHIVE):
            raise DaemonError(404 if text is None else 400)
        for name, content in json.loads(text.removeprefix(ARCHIVE)).items():
            add(server, absolute(root, name) + ("/" if name.endswith("/") else ""), content)

    return await on_node(call, server, work)


@routes.add("GET", "/servers/{server}/files/download")
async def download(call: Call) -> Response:
    """A link to the node that works once, made without asking whether the file is there."""
    validate(call.fields, {"file": "required|string"})
    server, path = access.usable_server(call), absolute(call.fields["file"])
    node_url, token = tokens.issue(call.panel, server, seconds=LINK_SECONDS, file_path=path)
    return JSONResponse(item("signed_url", {"url": f"{node_url}/download/file?token={token}"}))


@routes.add("GET", "/servers/{server}/files/upload")
async def upload(call: Call) -> Response:
    """A link to the node that takes files once."""
    node_url, token = tokens.issue(call.panel, access.usable_server(call), seconds=LINK_SECONDS, is_upload=True)
    return JSONResponse(item("signed_url", {"url": f"{node_url}/upload/file?token={token}"}))
