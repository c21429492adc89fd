"""The web page: which servers the panel has, and their status."""

from html import escape

from starlette.responses import Response

from sandbox.pages import page
from sandbox.pterodactyl.panel import Panel
from sandbox.pterodactyl.rows import Node, Server

STATUS_TAGS = {None: "good", "installing": "warn", "restoring_backup": "warn"}


def overview(panel: Panel) -> Response:
    """All servers and nodes."""
    servers = "".join(server_row(panel, server) for server in panel.store.servers)
    table = (
        '<table><thead><tr><th scope="col">Server</th><th scope="col">Owner</th><th scope="col">Game</th>'
        '<th scope="col">Address</th><th scope="col">Status</th><th scope="col">Power</th></tr></thead>'
        f"<tbody>{servers}</tbody></table>"
    )
    nodes = "".join(node_tile(panel, node) for node in panel.store.nodes)
    shown = table if servers else '<p class="quiet">No server yet. The shop makes them when an order is paid.</p>'
    return page(
        "Pterodactyl stand-in",
        f'<h1>Game panel</h1><p class="quiet">A stand-in for a Pterodactyl panel.</p>'
        f'<section class="card"><h2>Servers</h2>{shown}</section>'
        f'<section class="tiles" aria-label="Nodes">{nodes}</section>'
        f'<footer>Panel address <span class="num">{escape(panel.url)}</span></footer>',
    )


def server_row(panel: Panel, server: Server) -> str:
    """One server."""
    store = panel.store
    owner, egg = store.users.get(server.user_id), store.eggs.get(server.egg_id)
    primary = store.allocations.get(server.allocation_id)
    address = f"{primary.ip}:{primary.port}" if primary else "none"
    tag = STATUS_TAGS.get(server.status, "bad")
    return (
        f'<tr><td>{escape(server.name)}<br><span class="quiet small num">{escape(server.identifier)}</span></td>'
        f"<td>{escape(owner.username if owner else 'nobody')}</td><td>{escape(egg.name if egg else 'unknown')}</td>"
        f'<td class="num">{escape(address)}</td>'
        f'<td><span class="tag {tag}">{escape(server.status or "ready")}</span></td>'
        f"<td>{escape(server.runtime.state)}</td></tr>"
    )


def node_tile(panel: Panel, node: Node) -> str:
    """One node, with what its servers use of it."""
    servers = panel.store.servers.where(node_id=node.id)
    allocations = panel.store.allocations.where(node_id=node.id)
    free = len([each for each in allocations if each.server_id is None])
    memory = sum(server.memory for server in servers)
    return (
        f'<div class="card"><h2>{escape(node.name)}</h2><dl class="rows"><div><dt>Servers</dt>'
        f'<dd class="num">{len(servers)}</dd></div><div><dt>Memory</dt>'
        f'<dd class="num">{memory} of {node.memory} MiB</dd>'
        f'</div><div><dt>Free ports</dt><dd class="num">{free} of {len(allocations)}</dd></div></dl></div>'
    )
