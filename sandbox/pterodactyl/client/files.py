"""A server's files."""

import mimetypes
from collections.abc import Callable
from typing import Any

from starlette.responses import PlainTextResponse, Response

from sandbox.pterodactyl import daemon, tokens
from sandbox.pterodactyl.call import Call, no_content, reply
from sandbox.pterodactyl.client import access, shapes
from sandbox.pterodactyl.errors import refusal
from sandbox.pterodactyl.routing import Routes
from sandbox.pterodactyl.rows import Server
from sandbox.pterodactyl.times import stamp
from sandbox.pterodactyl.validation import RuleLine, validate
from sandbox.pterodactyl.volume import MOST_READ_BYTES, Volume, clean

routes = Routes("client")
LINK_SECONDS = 900.0


async def on_node(call: Call, server: Server, work: Callable[[Volume], Any]) -> Any:
    """Have the node work on the server's files and return what came of it. Raises DaemonFailure."""
    found: list[Any] = []
    await daemon.ask_about(call.panel, server, lambda: found.append(work(Volume(server.runtime))))
    return found[0]


def file_object(call: Call, name: str, size: int | None) -> dict[str, Any]:
    """A file or folder as the list shows it."""
    is_file = size is not None
    kind = (mimetypes.guess_type(name)[0] or "text/plain") if is_file else "inode/directory"
    now = stamp(call.panel.now())
    return shapes.shown(
        "file_object",
        {
            "name": name,
            "mode": "-rw-r--r--" if is_file else "drwxr-xr-x",
            "mode_bits": "644" if is_file else "755",
            "size": size if is_file else 4096,
            "is_file": is_file,
            "is_symlink": False,
            "mimetype": kind,
            "created_at": now,
            "modified_at": now,
        },
    )


@routes.add("GET", "/servers/{server}/files/list")
async def index(call: Call) -> Response:
    """The files of one folder."""
    server = access.server_for(call, "file.read")
    folder = str(call.query.get("directory") or "/")
    found = await on_node(call, server, lambda volume: volume.listed(folder))
    return reply(shapes.listed([file_object(call, name, size) for name, size in found]))


@routes.add("GET", "/servers/{server}/files/contents")
async def contents(call: Call) -> Response:
    """A file's text."""
    server = access.server_for(call, "file.read-content")
    validate(call.query, {"file": "required|string"})
    text = await on_node(call, server, lambda volume: volume.read(call.query["file"]))
    if len(text) > MOST_READ_BYTES:
        raise refusal("FileSizeTooLargeException", "The file is too large to be shown.")
    return PlainTextResponse(text)


@routes.add("POST", "/servers/{server}/files/write")
async def write(call: Call) -> Response:
    """Replace a file's text by the raw body."""
    server = access.server_for(call, "file.create")
    validate(call.query, {"file": "required|string"})
    text = call.body.decode("utf-8", "replace")
    await on_node(call, server, lambda volume: volume.write(call.query["file"], text))
    return no_content()


def link(call: Call, server: Server, kind: str, **claims: object) -> Response:
    """A signed link to the node."""
    panel = call.panel
    node = panel.store.nodes.must(server.node_id)
    base = f"{panel.url}/node/{node.id}"
    now = panel.now()
    token = tokens.issue(
        node.token, issuer=panel.url, audience=base, now=now, seconds=LINK_SECONDS, server_uuid=server.uuid, **claims
    )
    return reply(shapes.shown("signed_url", {"url": f"{base}/{kind}/file?token={token}"}))


@routes.add("GET", "/servers/{server}/files/download")
async def download(call: Call) -> Response:
    """A link for one download."""
    server = access.server_for(call, "file.read-content")
    validate(call.query, {"file": "required|string"})
    return link(call, server, "download", file_path=clean(call.query["file"]))


@routes.add("GET", "/servers/{server}/files/upload")
async def upload(call: Call) -> Response:
    """A link for uploads."""
    return link(call, access.server_for(call, "file.create"), "upload")


async def change(
    call: Call, permission: str, rules: dict[str, RuleLine], work: Callable[[Volume, dict[str, Any]], Any]
) -> Any:
    """Check the fields and have the node change the files."""
    server = access.server_for(call, permission)
    validate(call.fields, rules)
    return await on_node(call, server, lambda volume: work(volume, call.fields))


def root(fields: dict[str, Any]) -> str:
    """The folder that names are meant in."""
    return str(fields.get("root") or "/")


@routes.add("PUT", "/servers/{server}/files/rename")
async def rename(call: Call) -> Response:
    """Rename files."""
    rules: dict[str, RuleLine] = {
        "files": "required|array",
        "files.*.from": "required|string",
        "files.*.to": "required|string",
    }

    def work(volume: Volume, fields: dict[str, Any]) -> None:
        for each in fields["files"]:
            volume.move(f"{root(fields)}/{each['from']}", f"{root(fields)}/{each['to']}")

    await change(call, "file.update", rules, work)
    return no_content()


@routes.add("POST", "/servers/{server}/files/copy")
async def copy(call: Call) -> Response:
    """Copy a file beside itself."""
    await change(
        call, "file.create", {"location": "required|string"}, lambda volume, sent: volume.copy(sent["location"])
    )
    return no_content()


@routes.add("POST", "/servers/{server}/files/delete")
async def remove(call: Call) -> Response:
    """Delete files."""

    def work(volume: Volume, fields: dict[str, Any]) -> None:
        for name in fields["files"]:
            volume.remove(f"{root(fields)}/{name}")

    await change(call, "file.delete", {"files": "required|array", "files.*": "string"}, work)
    return no_content()


@routes.add("POST", "/servers/{server}/files/create-folder")
async def create_folder(call: Call) -> Response:
    """Make a folder."""
    await change(
        call,
        "file.create",
        {"name": "required|string"},
        lambda volume, sent: volume.make_folder(f"{root(sent)}/{sent['name']}"),
    )
    return no_content()


@routes.add("POST", "/servers/{server}/files/compress")
async def compress(call: Call) -> Response:
    """Pack files into an archive."""
    name = f"archive-{stamp(call.panel.now())}.tar.gz"
    path = await change(
        call,
        "file.archive",
        {"files": "required|array", "files.*": "string"},
        lambda volume, sent: volume.compress(root(sent), sent["files"], name),
    )
    size = len(access.find(call).runtime.files[path])
    return reply(file_object(call, name, size))


@routes.add("POST", "/servers/{server}/files/decompress")
async def decompress(call: Call) -> Response:
    """Unpack an archive."""
    await change(
        call,
        "file.create",
        {"file": "required|string"},
        lambda volume, sent: volume.decompress(root(sent), sent["file"]),
    )
    return no_content()
