"""What Linode sells: regions, types, images and StackScripts."""

from sandbox.state import JsonObject

REGIONS: dict[str, JsonObject] = {
    name: {
        "id": name,
        "label": label,
        "country": country,
        "capabilities": capabilities,
        "status": "ok",
        "site_type": "core",
        "resolvers": {"ipv4": "192.0.2.5", "ipv6": "2001:db8::5"},
        "placement_group_limits": {"maximum_pgs_per_customer": 100, "maximum_linodes_per_pg": 5},
    }
    for name, label, country, capabilities in (
        ("us-east", "Newark, NJ", "us", ["Linodes", "Metadata", "Block Storage"]),
        ("eu-central", "Frankfurt, DE", "de", ["Linodes", "Metadata"]),
        ("ap-west", "Mumbai, IN", "in", ["Linodes"]),
        ("us-store", "Store only", "us", ["Object Storage"]),
    )
}
TYPES: dict[str, JsonObject] = {
    name: {"disk": disk, "memory": memory, "vcpus": vcpus, "gpus": 0, "transfer": transfer}
    for name, disk, memory, vcpus, transfer in (
        ("g6-nanode-1", 25600, 1024, 1, 1000),
        ("g6-standard-1", 51200, 2048, 1, 2000),
        ("g6-standard-2", 81920, 4096, 2, 4000),
    )
}
IMAGES = {"linode/debian12": ["cloud-init"], "linode/ubuntu24.04": ["cloud-init"], "linode/alpine3.19": []}
# By their number: the images they run on, and their fields with what each is without a value; None: it needs one.
STACKSCRIPTS: dict[int, JsonObject] = {
    10079: {"images": ["linode/debian12"], "fields": {"hostname": None, "admin_email": "root@localhost"}}
}
