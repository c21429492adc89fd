"""DigitalOcean's own client drives the stand-in unchanged, and the stand-in is no kinder than the contract."""

from typing import Any

import pytest
import requests
from azure.core.exceptions import HttpResponseError
from pydo import Client

from sandbox.client import Sandbox
from sandbox.digitalocean.account import TOKEN

PLAIN = {"enforce_https": False}  # for each call: the client sends its token over https only
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGZ5dQ0Rz3m1yX0M1b5v9oU1h3l8Yx2x7o6W0m0r5c9K ada@example.com"


@pytest.fixture
def cloud(running_sandbox: Sandbox) -> Sandbox:
    running_sandbox.reset()
    return running_sandbox


@pytest.fixture
def client(cloud: Sandbox) -> Any:
    """The official client; it repeats nothing by itself."""
    return Client(token=TOKEN, endpoint=cloud.digitalocean_url, retry_total=0)


def make(client: Any, **fields: Any) -> dict[str, Any]:
    """A droplet that begins to be made."""
    body = {"name": "svc-1", "region": "sgp1", "size": "s-1vcpu-1gb", "image": "debian-12-x64", "tags": ["svc-1"]}
    answer = client.droplets.create(body={**body, **fields}, **PLAIN)
    return dict(answer["droplet"])


def get(cloud: Sandbox, path: str, token: str = TOKEN) -> requests.Response:
    headers = {"Authorization": f"Bearer {token}"}
    return requests.get(f"{cloud.digitalocean_url}/v2{path}", headers=headers, timeout=5)


def test_the_official_client_leads_a_droplet_through_its_life(cloud: Sandbox, client: Any) -> None:
    key = client.ssh_keys.create(body={"name": "ada", "public_key": KEY}, **PLAIN)["ssh_key"]
    droplet = make(client, ssh_keys=[key["fingerprint"]], user_data="#cloud-config\n")
    number = droplet["id"]
    assert (droplet["status"], droplet["networks"]["v4"], droplet["locked"]) == ("new", [], True)

    cloud.advance(5)
    made = client.droplets.get(droplet_id=number, **PLAIN)["droplet"]
    assert made["status"] == "active"
    assert [each["type"] for each in made["networks"]["v4"]] == ["private", "public"]
    for kind, fields in (
        ("shutdown", {}),
        ("resize", {"size": "s-1vcpu-2gb"}),
        ("power_on", {}),
        ("rename", {"name": "b.example"}),
    ):
        action = client.droplet_actions.post(droplet_id=number, body={"type": kind, **fields}, **PLAIN)["action"]
        assert action["status"] == "in-progress"
        cloud.advance(1)
    listed = client.droplet_actions.list(droplet_id=number, **PLAIN)["actions"]
    assert [each["type"] for each in listed] == ["rename", "power_on", "resize", "shutdown", "create"]
    changed = client.droplets.list(tag_name="svc-1", **PLAIN)["droplets"][0]
    assert (changed["size_slug"], changed["disk"], changed["name"]) == ("s-1vcpu-2gb", 25, "b.example")
    resources = {"resources": [{"resource_id": str(number), "resource_type": "droplet"}]}
    client.tags.create(body={"name": "suspended"}, **PLAIN)
    client.tags.assign_resources(tag_id="suspended", body=resources, **PLAIN)
    client.tags.unassign_resources(tag_id="suspended", body=resources, **PLAIN)
    assert {each["slug"] for each in client.regions.list(**PLAIN)["regions"]} == {"fra1", "nyc3", "sgp1"}
    assert len(client.sizes.list(**PLAIN)["sizes"]) == 3

    client.droplets.destroy(droplet_id=number, **PLAIN)

    assert client.droplets.get(droplet_id=number, **PLAIN)["id"] == "not_found"  # its client raises nothing for a 404
    assert (cloud.digitalocean_state()["mails"], cloud.digitalocean_state()["refused"]) == ([], [])


def test_the_same_creation_twice_makes_two_and_lists_and_tags_come_later(cloud: Sandbox, client: Any) -> None:
    numbers = {make(client)["id"], make(client)["id"]}

    assert len(numbers) == 2
    assert client.droplets.list(**PLAIN)["droplets"] == []
    cloud.advance(0.6)
    assert {each["id"] for each in client.droplets.list(name="SVC-1", **PLAIN)["droplets"]} == numbers
    assert client.droplets.list(tag_name="svc-1", **PLAIN)["droplets"] == []
    cloud.advance(0.6)
    assert {each["id"] for each in client.droplets.list(tag_name="svc-1", **PLAIN)["droplets"]} == numbers


@pytest.mark.parametrize(("outcome", "status"), [("errored", 200), ("vanished", 404)])
def test_a_creation_can_fail(cloud: Sandbox, client: Any, outcome: str, status: int) -> None:
    cloud.digitalocean_settings(create_outcome=outcome)
    number = make(client)["id"]
    cloud.advance(5)

    answer = get(cloud, f"/droplets/{number}")

    assert answer.status_code == status
    if status == 200:
        assert (answer.json()["droplet"]["status"], answer.json()["droplet"]["networks"]["v4"]) == ("new", [])


def test_one_action_at_a_time_and_a_resize_only_when_off(cloud: Sandbox, client: Any) -> None:
    number = make(client)["id"]

    def message_of(body: dict[str, Any]) -> str:
        with pytest.raises(HttpResponseError) as refused:
            client.droplet_actions.post(droplet_id=number, body=body, **PLAIN)
        assert refused.value.status_code == 422
        return str(refused.value.response.json()["message"])

    assert "pending event" in message_of({"type": "reboot"})
    cloud.advance(5)
    assert "powered off" in message_of({"type": "resize", "size": "s-1vcpu-2gb"})
    assert "powered on" in message_of({"type": "power_on"})
    assert "type is invalid" in message_of({"type": "password_reset"})


@pytest.mark.parametrize(
    "wrong",
    [
        *({"name": "no spaces"}, {"region": "moon1"}, {"size": "s-2vcpu-4gb", "region": "nyc3"}, {"image": "dos"}),
        *({"ssh_keys": ["aa:bb"]}, {"tags": ["a b"]}, {"tags": "svc-1"}, {"user_data": "x" * 65_537}),
    ],
    ids=str,
)
def test_what_is_not_valid_is_refused(cloud: Sandbox, client: Any, wrong: dict[str, Any]) -> None:
    with pytest.raises(HttpResponseError) as refused:
        make(client, **wrong)

    assert refused.value.status_code == 422
    assert cloud.digitalocean_state()["droplets"] == {}


def test_without_a_key_a_password_is_mailed_to_the_owner(cloud: Sandbox, client: Any) -> None:
    make(client)

    assert len(cloud.digitalocean_state()["mails"]) == 1


def test_pages_link_only_where_there_are_others_and_with_whole_addresses(cloud: Sandbox, client: Any) -> None:
    for _number in range(3):
        make(client)
    cloud.advance(5)

    whole = get(cloud, "/droplets").json()
    first, second = get(cloud, "/droplets?per_page=2").json(), get(cloud, "/droplets?per_page=2&page=2").json()

    assert (whole["links"], whole["meta"]) == ({}, {"total": 3})
    assert (set(first["links"]["pages"]), set(second["links"]["pages"])) == ({"next", "last"}, {"first", "prev"})
    assert first["links"]["pages"]["next"] == f"{cloud.digitalocean_url}/v2/droplets?page=2&per_page=2"
    assert [get(cloud, f"/droplets?per_page={size}").status_code for size in (0, 201)] == [400, 400]


def test_calls_are_counted_by_the_hour_and_by_the_minute(cloud: Sandbox) -> None:
    cloud.digitalocean_settings(calls_per_hour=4, calls_per_minute=2)

    answers = [get(cloud, "/regions") for _number in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert [answer.headers["ratelimit-remaining"] for answer in answers] == ["3", "2", "0"]
    assert 0 < int(answers[2].headers["retry-after"]) <= 61
    cloud.advance(61)
    assert [get(cloud, "/regions").status_code for _number in range(2)] == [200, 200]
    cloud.advance(61)
    beyond = get(cloud, "/regions")
    assert (beyond.status_code, beyond.json()["id"], "retry-after" in beyond.headers) == (
        429,
        "too_many_requests",
        False,
    )
    cloud.advance(int(beyond.headers["ratelimit-reset"]) - int(cloud.now()))
    assert get(cloud, "/regions").status_code == 200


def test_nothing_is_done_by_a_tag_and_nothing_without_the_token(cloud: Sandbox, client: Any) -> None:
    number = make(client)["id"]
    cloud.advance(5)

    with pytest.raises(HttpResponseError):
        client.droplets.destroy_by_tag(tag_name="svc-1", **PLAIN)
    with pytest.raises(HttpResponseError):
        client.droplet_actions.post_by_tag(tag_name="svc-1", body={"type": "power_off"}, **PLAIN)

    assert len(cloud.digitalocean_state()["refused"]) == 2
    assert get(cloud, f"/droplets/{number}").json()["droplet"]["status"] == "active"
    assert get(cloud, "/droplets", token="another").json()["id"] == "unauthorized"
