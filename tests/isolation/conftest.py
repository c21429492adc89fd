"""Two tenants of one shop."""

import pytest

from tests.isolation.tenants import Room, Tenant, make_room, make_tenant


@pytest.fixture
def room(db: None) -> Room:
    """What is sold and where it is placed."""
    return make_room()


@pytest.fixture
def ada(room: Room) -> Tenant:
    """One customer."""
    return make_tenant(room, "ada7f3")


@pytest.fixture
def bob(room: Room) -> Tenant:
    """Another."""
    return make_tenant(room, "bob91c")
