"""The rows of the panel's tables; times are unix seconds of the sandbox clock, sizes are MiB."""

from dataclasses import dataclass, field
from typing import Any, ClassVar


@dataclass(slots=True, kw_only=True)
class Row:
    """An id and the two times that every table has. `changes` counts what was written into any row."""

    changes: ClassVar[int] = 0

    id: int = 0
    created_at: float = 0.0
    updated_at: float = 0.0

    def __setattr__(self, name: str, value: object) -> None:
        """Write a column."""
        object.__setattr__(self, name, value)
        Row.changes += 1


@dataclass(slots=True, kw_only=True)
class User(Row):
    """An account on the panel."""

    uuid: str
    username: str
    email: str
    first_name: str
    last_name: str
    external_id: str | None = None
    language: str = "en"
    is_root_admin: bool = False
    password: str = ""


@dataclass(slots=True, kw_only=True)
class ApiKey(Row):
    """A bearer key: an identifier of 16 characters and a secret of 32."""

    user_id: int
    identifier: str
    secret: str
    description: str = ""
    allowed_ips: list[str] = field(default_factory=list)
    rights: dict[str, int] = field(default_factory=dict)

    @property
    def is_application(self) -> bool:
        """Whether the key was made in the admin area."""
        return self.identifier.startswith("ptla_")


@dataclass(slots=True, kw_only=True)
class Location(Row):
    """Where nodes are."""

    short: str
    long: str | None = None


@dataclass(slots=True, kw_only=True)
class Node(Row):
    """A machine that runs game servers."""

    uuid: str
    name: str
    location_id: int
    fqdn: str
    memory: int
    disk: int
    token: str
    is_public: bool = True
    description: str | None = None
    scheme: str = "http"
    is_behind_proxy: bool = False
    is_under_maintenance: bool = False
    memory_overallocate: int = 0
    disk_overallocate: int = 0
    upload_size: int = 100
    daemon_listen: int = 8080
    daemon_sftp: int = 2022
    daemon_base: str = "/var/lib/pterodactyl/volumes"


@dataclass(slots=True, kw_only=True)
class Allocation(Row):
    """An address and port of a node, assigned to at most one server."""

    node_id: int
    ip: str
    port: int
    ip_alias: str | None = None
    notes: str | None = None
    server_id: int | None = None


@dataclass(slots=True, kw_only=True)
class Nest(Row):
    """A group of eggs."""

    uuid: str
    name: str
    author: str = "support@nodebyte.test"
    description: str | None = None


@dataclass(slots=True, kw_only=True)
class EggVariable:
    """One setting of an egg, with the rules a value must meet."""

    id: int
    name: str
    env_variable: str
    default_value: str
    rules: str
    description: str = ""
    is_user_viewable: bool = True
    is_user_editable: bool = True


@dataclass(slots=True, kw_only=True)
class Egg(Row):
    """How one kind of game server is installed and started."""

    uuid: str
    nest_id: int
    name: str
    author: str
    description: str
    docker_images: dict[str, str]
    startup: str
    features: list[str] = field(default_factory=list)
    config: dict[str, Any] = field(default_factory=dict)
    script: dict[str, Any] = field(default_factory=dict)
    file_denylist: list[str] | None = None
    variables: list[EggVariable] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class Server(Row):
    """A game server: the panel's row, with what its node stores about it."""

    uuid: str
    name: str
    user_id: int
    node_id: int
    allocation_id: int
    nest_id: int
    egg_id: int
    startup: str
    image: str
    memory: int
    swap: int
    disk: int
    io: int
    cpu: int
    external_id: str | None = None
    description: str = ""
    status: str | None = "installing"
    threads: str | None = None
    is_oom_disabled: bool = True
    is_skipping_scripts: bool = False
    database_limit: int | None = 0
    allocation_limit: int | None = 0
    backup_limit: int = 0
    installed_at: float | None = None
    environment: dict[str, str] = field(default_factory=dict)
    subusers: list[int] = field(default_factory=list)
    runtime: "Runtime" = field(default_factory=lambda: Runtime())

    @property
    def identifier(self) -> str:
        """The short id: the first eight characters of the uuid."""
        return self.uuid[:8]


@dataclass(slots=True, kw_only=True)
class Runtime:
    """What the node stores about a server; ``is_known`` is false while the node has nothing."""

    is_known: bool = False
    state: str = "offline"
    since_at: float = 0.0
    is_reinstall: bool = False
    should_start: bool = False
    files: dict[str, str] = field(default_factory=dict)
    console: list[str] = field(default_factory=list)
    stats: dict[str, Any] | None = None
    stats_until_at: float = 0.0


@dataclass(slots=True, kw_only=True)
class Backup(Row):
    """A copy of a server's files; ``completed_at`` is None while the node works on it."""

    server_id: int
    uuid: str
    name: str
    ignored_files: list[str] = field(default_factory=list)
    is_successful: bool = False
    is_locked: bool = False
    checksum: str | None = None
    size_bytes: int = 0
    completed_at: float | None = None
    deleted_at: float | None = None
    files: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class DatabaseHost(Row):
    """A MariaDB server that game databases are made on."""

    name: str
    host: str
    port: int
    username: str
    node_id: int | None = None


@dataclass(slots=True, kw_only=True)
class Database(Row):
    """A game server's database."""

    server_id: int
    host_id: int
    database: str
    username: str
    remote: str
    password: str
    max_connections: int | None = 0


@dataclass(slots=True, kw_only=True)
class Schedule(Row):
    """When a game server's tasks are run; its times are in the panel's zone."""

    server_id: int
    name: str
    cron: dict[str, str]
    is_active: bool = False
    is_only_when_online: bool = False
    last_run_at: float | None = None
    tasks: list[dict[str, Any]] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class Job(Row):
    """Work of the node that ends at ``due_at``: an install, a power change, a backup or a restore."""

    due_at: float
    kind: str
    server_id: int
    detail: dict[str, Any] = field(default_factory=dict)
