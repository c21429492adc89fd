"""The names that reverse DNS gives a machine's addresses."""

from django.utils.translation import gettext as _

from core import outside
from servers.drivers.base import NotOnNode
from servers.drivers.linode.client import LinodeClient, reasons_of
from servers.drivers.self_service import Refused, ReverseName

OWN_NAMES = (".ip.linodeusercontent.com", ".members.linode.com")


def reverse_names(linode: LinodeClient, machine_path: str) -> list[ReverseName]:
    """Its public IPv4 addresses with their names."""
    found = [linode.read(f"/networking/ips/{address}") for address in public_of(linode, machine_path)]
    names = {str(each["address"]): str(each["rdns"] or "") for each in found}
    return [ReverseName(address, "" if name.endswith(OWN_NAMES) else name) for address, name in names.items()]


def set_reverse_name(linode: LinodeClient, machine_path: str, address: str, name: str) -> None:
    """Name an address of this machine, and of no other. Raises Refused, NotOnNode."""
    if address not in public_of(linode, machine_path):
        raise NotOnNode(f"{address} is no address of this Linode")
    try:
        linode.write("PUT", f"/networking/ips/{address}", {"rdns": name or None})
    except outside.Rejected as error:
        if not any(field == "rdns" for field, _reason in reasons_of(error)):
            raise
        text = _("{name} does not lead to {address} yet. Add that record to your DNS first; it can take some minutes.")
        raise Refused(text.format(name=name, address=address), status=error.status, body=error.body) from None


def public_of(linode: LinodeClient, machine_path: str) -> list[str]:
    """The machine's public IPv4 addresses."""
    return [address for address in linode.read(machine_path)["ipv4"] if not address.startswith("192.168.")]
