"""What tests may set on the stand-in: durations, outcomes, outages and limits."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

INSTALL_OUTCOMES = {"success", "fail", "stuck", "node_restart"}
NODE_MODES = {"up", "refuse", "hang", "drop", "slow", "error", "panel_dies"}


class BadSetting(ValueError):
    """An unknown setting, or a value it cannot have; the text says which."""


@dataclass(slots=True)
class Settings:
    """The panel's and its nodes' behaviour; durations are seconds of the sandbox clock unless said otherwise."""

    install_seconds: float = 3.0
    install_outcome: str = "success"
    power_seconds: float = 1.0
    backup_seconds: float = 2.0
    backup_outcome: str = "success"
    restore_seconds: float = 2.0
    stats_cache_seconds: float = 20.0

    # Waiting on a node takes real time, as the caller does.
    node_mode: str = "up"
    node_modes: dict[str, str] = field(default_factory=dict)
    node_mode_calls: int | None = None
    node_status: int = 500
    node_timeout_seconds: float = 15.0
    node_slow_seconds: float = 5.0
    race_delay_ms: float = 0.0
    password_reset_ms: float = 40.0

    rate_limits: dict[str, int] = field(default_factory=lambda: {"application": 240, "client": 720})
    rate_limit_seconds: float = 60.0
    backup_throttle_limit: int = 2
    backup_throttle_seconds: float = 600.0

    token_seconds: float = 600.0
    token_warning_seconds: float = 60.0
    token_check_seconds: float = 30.0
    stats_seconds: float = 1.0
    chatter_seconds: float = 5.0
    allowed_origins: list[str] = field(default_factory=list)

    is_two_factor_forced: bool = False
    is_panel_in_maintenance: bool = False
    is_auto_allocation_enabled: bool = False
    auto_allocation_ports: list[int] = field(default_factory=lambda: [27000, 27099])

    def change(self, wanted: Mapping[str, Any]) -> None:
        """Take over some settings; all or none.

        Raises BadSetting.
        """
        for name, value in wanted.items():
            check_setting(name, value)
        for name, value in wanted.items():
            merged = {**self.rate_limits, **value} if name == "rate_limits" else value
            setattr(self, name, merged)

    def dump(self) -> dict[str, Any]:
        """The settings as plain JSON."""
        return asdict(self)


def check_setting(name: str, value: object) -> None:
    """Refuse a setting that does not exist or cannot have this value.

    Raises BadSetting.
    """
    default = {each.name: getattr(Settings(), each.name) for each in fields(Settings)}
    if name not in default:
        raise BadSetting(f"no setting is named {name}")
    modes = value.values() if name == "node_modes" and isinstance(value, dict) else [value]
    if name in {"node_mode", "node_modes"} and not set(modes) <= NODE_MODES:
        raise BadSetting(f"{name} is one of {', '.join(sorted(NODE_MODES))}")
    if name == "install_outcome" and value not in INSTALL_OUTCOMES:
        raise BadSetting(f"install_outcome is one of {', '.join(sorted(INSTALL_OUTCOMES))}")
    if not _is_like(value, default[name]):
        raise BadSetting(f"{name} cannot be {value!r}")


def _is_like(value: object, default: object) -> bool:
    """Whether a value has the type of the default; any number stands for a number."""
    if default is None:
        return value is None or isinstance(value, int)
    if isinstance(default, bool):
        return isinstance(value, bool)
    if isinstance(default, int | float):
        return isinstance(value, int | float) and not isinstance(value, bool)
    return isinstance(value, type(default))
