"""What there is to choose among: regions, sizes and images."""

from sandbox.state import JsonObject

FEATURES = ["backups", "ipv6", "metadata"]


def _size(slug: str, cores: int, memory: int, disk: int, cents: int, regions: list[str]) -> JsonObject:
    return {
        "slug": slug,
        "memory": memory,
        "vcpus": cores,
        "disk": disk,
        "transfer": cores * 1.0,
        "price_monthly": cents / 100,
        "price_hourly": round(cents / 67200, 5),
        "regions": regions,
        "available": True,
        "description": "Basic",
    }


SIZES = {
    size["slug"]: size
    for size in (
        _size("s-1vcpu-1gb", 1, 1024, 25, 600, ["fra1", "nyc3", "sgp1"]),
        _size("s-1vcpu-2gb", 1, 2048, 50, 1200, ["fra1", "nyc3", "sgp1"]),
        _size("s-2vcpu-4gb", 2, 4096, 80, 2400, ["fra1", "sgp1"]),
    )
}
REGIONS = {
    slug: {
        "name": name,
        "slug": slug,
        "features": FEATURES,
        "available": True,
        "sizes": [size["slug"] for size in SIZES.values() if slug in size["regions"]],
    }
    for slug, name in (("fra1", "Frankfurt 1"), ("nyc3", "New York 3"), ("sgp1", "Singapore 1"))
}
IMAGES = {
    slug: {
        "id": 150_000_001 + number,
        "name": name,
        "distribution": distribution,
        "slug": slug,
        "public": True,
        "regions": sorted(REGIONS),
        "created_at": "2025-06-01T00:00:00Z",
        "min_disk_size": 7,
        "type": "base",
        "size_gigabytes": 0.6,
        "description": f"{distribution} {name}",
        "tags": [],
        "status": "available",
    }
    for number, (slug, name, distribution) in enumerate(
        (("debian-12-x64", "12 x64", "Debian"), ("ubuntu-24-04-x64", "24.04 (LTS) x64", "Ubuntu"))
    )
}


def image_of(wanted: object) -> JsonObject | None:
    """An image by its slug or number."""
    return next((image for image in IMAGES.values() if wanted in (image["slug"], image["id"])), None)
