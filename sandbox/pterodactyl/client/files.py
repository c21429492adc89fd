"""A server's files."""

import mimetypes
from collections.abc import Callable
from typing import Any

from starlette.responses import JSONResponse, PlainTextResponse, Response

from sandbox.pterodactyl import daemon, tokens
from sandbox.pterodactyl.call import Call, no_content
from sandbox.pterodactyl.client import access
from sandbox.pterodactyl.errors import refusal
from sandbox.pterodactyl.routing import Routes
from sandbox.pterodactyl.rows import Server
from sandbox.pterodactyl.transformers import Json, item, plain_list, timestamp
from sandbox.pterodactyl.validation import validate
from sandbox.pterodactyl.volume import MAX_READ_BYTES, Volume, clean

routes = Routes("client")
LINK_SECONDS = 900.0


async def on_node(call: Call, server: Server, work: Callable[[Volume], Any]) -> Any:
    """Have the node work on the server's files and return the result. Raises DaemonError."""
    results: list[Any] = []
    await daemon.call_for(call.panel, server, lambda: results.append(work(Volume(server.runtime))))
    return results[0]


def file_object(call: Call, name: str, size: int | None) -> Json:
    """A file, or a folder, which has no size."""
    is_file = size is not None
    now = timestamp(call.panel.now())
    return item(
        "file_object",
        {
            "name": name,
            "mode": "-rw-r--r--" if is_file else "drwxr-xr-x",
            "mode_bits": "644" if is_file else "755",
            "size": size if is_file else 4096,
            "is_file": is_file,
            "is_symlink": False,
            "mimetype": (mimetypes.guess_type(name)[0] or "text/plain") if is_file else "inode/directory",
            "created_at": now,
            "modified_at": now,
        },
    )


def root(call: Call) -> str:
    """The folder that the names of a request are in."""
    return str(call.fields.get("root") or "/")


@routes.add("GET", "/servers/{server}/files/list")
async def index(call: Call) -> Response:
    """The files of one folder."""
    folder = str(call.query.get("directory") or "/")
    entries = await on_node(call, access.usable_server(call), lambda volume: volume.entries(folder))
    return JSONResponse(plain_list(file_object(call, name, size) for name, size in entries))


@routes.add("GET", "/servers/{server}/files/contents")
async def contents(call: Call) -> Response:
    """A file's text."""
    server = access.usable_server(call)
    validate(call.query, {"file": "required|string"})
    text = await on_node(call, server, lambda volume: volume.read(call.query["file"]))
    if len(text) > MAX_READ_BYTES:
        raise refusal("FileSizeTooLargeException", "The file is too large to be shown.")
    return PlainTextResponse(text)


@routes.add("POST", "/servers/{server}/files/write")
async def write(call: Call) -> Response:
    """Replace a file's text by the raw body."""
    server = access.usable_server(call)
    validate(call.query, {"file": "required|string"})
    text = call.body.decode("utf-8", "replace")
    await on_node(call, server, lambda volume: volume.write(call.query["file"], text))
    return no_content()


@routes.add("GET", "/servers/{server}/files/download")
async def download(call: Call) -> Response:
    """A link for one download."""
    server = access.usable_server(call)
    validate(call.query, {"file": "required|string"})
    path = clean(call.query["file"])
    node_url, token = tokens.issue(call.panel, server, seconds=LINK_SECONDS, file_path=path)
    return JSONResponse(item("signed_url", {"url": f"{node_url}/download/file?token={token}"}))


@routes.add("GET", "/servers/{server}/files/upload")
async def upload(call: Call) -> Response:
    """A link for uploads."""
    node_url, token = tokens.issue(call.panel, access.usable_server(call), seconds=LINK_SECONDS)
    return JSONResponse(item("signed_url", {"url": f"{node_url}/upload/file?token={token}"}))


@routes.add("PUT", "/servers/{server}/files/rename")
async def rename(call: Call) -> Response:
    """Rename files."""
    server = access.usable_server(call)
    validate(
        call.fields,
        {"files": "required|array", "files.*.from": "required|string", "files.*.to": "required|string"},
    )

    def work(volume: Volume) -> None:
        for each in call.fields["files"]:
            volume.move(f"{root(call)}/{each['from']}", f"{root(call)}/{each['to']}")

    await on_node(call, server, work)
    return no_content()


@routes.add("POST", "/servers/{server}/files/delete")
async def remove(call: Call) -> Response:
    """Delete files and folders."""
    server = access.usable_server(call)
    validate(call.fields, {"files": "required|array", "files.*": "string"})

    def work(volume: Volume) -> None:
        for name in call.fields["files"]:
            volume.remove(f"{root(call)}/{name}")

    await on_node(call, server, work)
    return no_content()


@routes.add("POST", "/servers/{server}/files/create-folder")
async def create_folder(call: Call) -> Response:
    """Make a folder."""
    server = access.usable_server(call)
    validate(call.fields, {"name": "required|string"})
    await on_node(call, server, lambda volume: volume.make_folder(f"{root(call)}/{call.fields['name']}"))
    return no_content()


@routes.add("POST", "/servers/{server}/files/compress")
async def compress(call: Call) -> Response:
    """Pack files into an archive."""
    server = access.usable_server(call)
    validate(call.fields, {"files": "required|array", "files.*": "string"})
    name = f"archive-{timestamp(call.panel.now())}.tar.gz"
    path = await on_node(call, server, lambda volume: volume.compress(root(call), call.fields["files"], name))
    return JSONResponse(file_object(call, name, len(server.runtime.files[path])))


@routes.add("POST", "/servers/{server}/files/decompress")
async def decompress(call: Call) -> Response:
    """Unpack an archive."""
    server = access.usable_server(call)
    validate(call.fields, {"file": "required|string"})
    await on_node(call, server, lambda volume: volume.decompress(root(call), call.fields["file"]))
    return no_content()
