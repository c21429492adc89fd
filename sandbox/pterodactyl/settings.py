"""What tests may set on the stand-in: durations, outcomes, outages and limits."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

CHOICES = {
    "install_outcome": {"success", "fail", "stuck", "node_restart"},
    "backup_outcome": {"success", "fail"},
    "node_mode": {"up", "refuse", "hang", "drop", "slow", "error", "panel_dies"},
}


class BadSetting(ValueError):
    """An unknown setting, or a value it cannot have; the text says which."""


@dataclass(slots=True)
class Settings:
    """The behaviour of the panel and its nodes; durations are seconds of the sandbox clock unless said otherwise."""

    install_seconds: float = 3.0
    install_outcome: str = "success"
    power_seconds: float = 1.0
    backup_seconds: float = 2.0
    backup_outcome: str = "success"
    restore_seconds: float = 2.0
    stats_cache_seconds: float = 20.0

    # Real time, because the caller waits for it.
    node_mode: str = "up"
    node_mode_calls: int | None = None
    node_status: int = 500
    node_timeout_seconds: float = 15.0
    node_slow_seconds: float = 5.0
    call_min_ms: float = 0.0
    call_max_ms: float = 0.0
    race_delay_ms: float = 0.0
    password_reset_ms: float = 40.0

    rate_limits: dict[str, int] = field(default_factory=lambda: {"application": 240, "client": 720})
    backup_throttle_limit: int = 2
    backup_throttle_seconds: float = 600.0

    token_seconds: float = 600.0
    token_warning_seconds: float = 60.0
    token_check_seconds: float = 30.0
    stats_seconds: float = 1.0
    output_seconds: float = 5.0
    allowed_origins: list[str] = field(default_factory=list)

    is_panel_in_maintenance: bool = False

    def change(self, wanted: Mapping[str, Any]) -> None:
        """Change some settings: all that are given, or none.

        Raises BadSetting.
        """
        defaults = {each.name: getattr(Settings(), each.name) for each in fields(Settings)}
        for name, value in wanted.items():
            if name not in defaults:
                raise BadSetting(f"no setting is named {name}")
            if name in CHOICES and value not in CHOICES[name]:
                raise BadSetting(f"{name} is one of {', '.join(sorted(CHOICES[name]))}")
            default = defaults[name]
            types = {float: (float, int), type(None): (int, type(None))}.get(type(default), (type(default),))
            if not isinstance(value, types) or isinstance(value, bool) != isinstance(default, bool):
                raise BadSetting(f"{name} cannot be {value!r}")
        for name, value in wanted.items():
            setattr(self, name, {**self.rate_limits, **value} if name == "rate_limits" else value)
