"""Identifiers are RFC 9562 version 7: ordered by time, otherwise random."""

import time
from uuid import UUID

import pytest

from core.ids import uuid7

RFC_EXAMPLE_MS = 0x017F22E279B0  # RFC 9562, appendix A.6


def test_version_and_variant_bits_are_set() -> None:
    for identifier in [uuid7() for _ in range(1000)]:
        assert identifier.version == 7
        assert identifier.variant == "specified in RFC 4122"


def test_the_first_48_bits_are_unix_milliseconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time_ns", lambda: RFC_EXAMPLE_MS * 1_000_000 + 999_999)

    assert uuid7().int >> 80 == RFC_EXAMPLE_MS
    assert str(uuid7()).startswith("017f22e2-79b0-7")


def test_a_later_millisecond_sorts_later(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(RFC_EXAMPLE_MS, RFC_EXAMPLE_MS + 500))
    monkeypatch.setattr(time, "time_ns", lambda: next(clock) * 1_000_000)

    made = [uuid7() for _ in range(500)]

    assert made == sorted(made)
    assert [str(one) for one in made] == sorted(str(one) for one in made)


def test_a_hundred_thousand_of_one_millisecond_all_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time_ns", lambda: RFC_EXAMPLE_MS * 1_000_000)

    assert len({uuid7() for _ in range(100_000)}) == 100_000


def test_every_random_bit_is_random(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time_ns", lambda: 0)
    fixed = 0x7 << 76 | 0x2 << 62
    ones = zeros = 0
    for _ in range(200):
        ones |= uuid7().int
        zeros |= ~uuid7().int

    assert ones & ~(0xF << 76) & ~(0x3 << 62) == 2**80 - 1 & ~(0xF << 76) & ~(0x3 << 62)
    assert zeros & (2**80 - 1) & ~(0xF << 76) & ~(0x3 << 62) == 2**80 - 1 & ~(0xF << 76) & ~(0x3 << 62)
    assert UUID(int=ones & fixed).int == fixed
