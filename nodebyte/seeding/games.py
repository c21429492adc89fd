"""The game servers and add-ons that a new shop offers."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class GameSeed:
    """A game: its sizes in GB of memory, the monthly price of a GB in US cents, and what a panel
    may call its egg: pairs of the nest's name or the author, and the egg's name."""

    slug: str
    name: str
    prefix: str
    eggs: tuple[tuple[str, str], ...]
    tagline: str
    description: str
    category: str
    sizes: tuple[int, ...]
    cents_per_gb: int
    cpu_percent_per_gb: int = 50
    disk_gb_per_gb: int = 5
    environment: Mapping[str, str] = field(default_factory=dict)


PASSWORD = "{{secret}}"  # noqa: S105 - the blueprint's placeholder for a generated password per server
SURVIVAL, SANDBOX, FACTORY, PARTY = "Survival", "Sandbox", "Factory and colony", "Party and arena"
GAMES = (
    GameSeed(
        "minecraft", "Minecraft", "mc",
        (("Minecraft", "Paper"), ("Minecraft", "Minecraft Paper"), ("parker@pterodactyl.io", "Paper")),
        "Your world, your rules, up in seconds.",
        "Paper by default, the jar and version yours to choose. From a server for friends to a network's hub.",
        SANDBOX, (1, 2, 4, 8, 16), 200,
    ),
    GameSeed(
        "rust", "Rust", "rust",
        (("Rust", "Rust"), ("support@pterodactyl.io", "Rust")),
        "Raids need a machine that keeps up.",
        "Enough memory for a full map, and disk for its saves.",
        SURVIVAL, (6, 8, 12, 16), 220,
        environment={"RCON_PASS": PASSWORD},
    ),
    GameSeed(
        "palworld", "Palworld", "palworld",
        (("Palworld", "Palworld"), ("Games", "Palworld"), ("admin@ballaual.de", "Palworld")),
        "Space for every pal and every base.",
        "A dedicated server for up to 32 players, with the world's settings open to you.",
        SURVIVAL, (8, 12, 16), 210,
        environment={"ADMIN_PASSWORD": PASSWORD},
    ),
    GameSeed(
        "ark", "ARK: Survival Evolved", "ark",
        (("Games", "ARK: Survival Evolved"), ("dev@shepper.fr", "ARK: Survival Evolved")),
        "Tame, build, and keep the dinosaurs on your own map.",
        "One map to a server, any of the official ones.",
        SURVIVAL, (6, 8, 12), 220,
        environment={"ARK_ADMIN_PASSWORD": PASSWORD},
    ),
    GameSeed(
        "terraria", "Terraria", "terraria",
        (("Terraria", "Terraria Vanilla"), ("Games", "Terraria Vanilla"), ("iamkubi@gmail.com", "Terraria Vanilla")),
        "Dig, fight, explore, together.",
        "Small, light and always on; worlds of any size.",
        SANDBOX, (1, 2, 4), 180,
    ),
    GameSeed(
        "vintage-story", "Vintage Story", "vs",
        (("Games", "Vintage Story"), ("mail@wuffy.eu", "Vintage Story")),
        "A slow world deserves a steady server.",
        "Your worlds are stored on a fast disk.",
        SANDBOX, (2, 4, 8), 190,
        environment={"WORLD_WIDTH": "1024000"},
    ),
    GameSeed(
        "factorio", "Factorio", "factorio",
        (("Factorio", "Factorio"), ("Games", "Factorio"), ("parker@parkervcp.com", "Factorio")),
        "The factory must grow, also while you sleep.",
        "A headless server that saves your factory by itself.",
        FACTORY, (2, 4, 8), 190,
        environment={"SERVER_USERNAME": "unnamed"},
    ),
    GameSeed(
        "mindustry", "Mindustry", "mindustry",
        (("Games", "Mindustry"), ("sir3lit@gmail.com", "Mindustry")),
        "Conveyors, turrets and company.",
        "A small server for co-operative and versus maps.",
        FACTORY, (1, 2), 180,
    ),
    GameSeed(
        "rimworld", "RimWorld Together", "rimworld",
        (("Games", "RimWorld Together"), ("josdekurk@gmail.com", "Rimworld Together")),
        "One planet, many colonies.",
        "A shared world for your group's colonies.",
        FACTORY, (1, 2, 4), 180,
    ),
    GameSeed(
        "among-us", "Among Us", "among-us",
        (("Games", "Among Us Impostor"), ("eggs@goover.dev", "Among Us - Impostor Server")),
        "Your own lobby, with nobody sus about the ping.",
        "A private regional server.",
        PARTY, (1, 2), 180,
    ),
    GameSeed(
        "teeworlds", "Teeworlds", "teeworlds",
        (("Games", "Teeworlds"), ("parker@parkervcp.com", "Teeworlds")),
        "Fast, small, and yours.",
        "A server for every mode the game has.",
        PARTY, (1, 2), 150,
        environment={"RCON_PASSWORD": PASSWORD},
    ),
)  # fmt: skip


@dataclass(frozen=True)
class AddonSeed:
    """An add-on: what it adds, and its monthly price in US cents."""

    code: str
    name: str
    description: str
    kind: str
    quantity: int
    cents: int
    max_units: int = 1


ADDONS = (
    AddonSeed("memory-1gb", "1 GB more memory", "For more players or more mods.", "memory", 1024, 250),
    AddonSeed("disk-10gb", "10 GB more disk", "For larger worlds and more backups.", "disk", 10240, 150, max_units=10),
    AddonSeed("backups-5", "5 more backups", "Five more backups of your server at a time.", "backups", 5, 200),
    AddonSeed("port-1", "1 more port", "For a map, a voice server or a query port.", "ports", 1, 100),
)
