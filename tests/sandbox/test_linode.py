"""The Linode stand-in is no kinder than its contract, and Linode's own client drives it unchanged."""

import json
from typing import Any

import linode_api4
import pytest
import requests
from linode_api4 import ApiError, Event, ExplicitNullValue, Instance, LinodeClient

from sandbox.client import Sandbox
from sandbox.linode.api import READING_TOKEN, TOKEN

BODY = {"region": "us-east", "type": "g6-nanode-1", "image": "linode/debian12", "root_pass": "Nb1correct-horse"}


@pytest.fixture
def linode(running_sandbox: Sandbox) -> Sandbox:
    running_sandbox.reset()
    return running_sandbox


def call(sandbox: Sandbox, method: str, path: str, token: str = TOKEN, **options: Any) -> requests.Response:
    headers = {"Authorization": f"Bearer {token}", **options.pop("headers", {})}
    return requests.request(method, f"{sandbox.base_url}/linode/v4{path}", headers=headers, timeout=10, **options)


def create(sandbox: Sandbox, **fields: Any) -> requests.Response:
    return call(sandbox, "POST", "/linode/instances", json=BODY | fields)


def filtered(sandbox: Sandbox, wanted: Any, path: str = "/linode/instances") -> requests.Response:
    return call(sandbox, "GET", path, headers={"X-Filter": json.dumps(wanted)})


def settings(sandbox: Sandbox, **changes: Any) -> None:
    assert requests.post(f"{sandbox.base_url}/_control/linode/settings", json=changes, timeout=10).ok


@pytest.mark.parametrize(
    ("fields", "refused"),
    [
        ({"label": "1st", "tags": ["ab"]}, {"label", "tags"}),
        ({"label": "a--b", "region": "us-store", "type": "huge"}, {"label", "region", "type"}),
        ({"label": "taken"}, {"label"}),
        ({"surprise": 1}, {"surprise"}),
        ({"root_pass": "weakweak"}, {"root_pass"}),
        ({"root_pass": None, "authorized_keys": ["none"]}, {"root_pass", "authorized_keys[0]"}),
        ({"stackscript_id": 1}, {"stackscript_id"}),
        ({"stackscript_id": 10079, "stackscript_data": {"colour": "red"}}, {"stackscript_data.hostname"}),
        ({"metadata": {"user_data": "not base64"}}, {"metadata.user_data"}),
        ({"metadata": {"user_data": "IyE="}, "region": "ap-west"}, {"metadata.user_data"}),
        ({"image": "linode/alpine3.19", "metadata": {"user_data": "IyE="}}, {"metadata.user_data"}),
    ],
)
def test_what_linode_refuses_is_refused_with_every_reason(
    linode: Sandbox, fields: dict[str, Any], refused: set[str]
) -> None:
    assert create(linode, label="taken").ok

    answer = create(linode, **fields)

    assert answer.status_code == 400
    assert refused <= {error["field"] for error in answer.json()["errors"]}


def test_tokens_scopes_pages_and_filters_are_checked(linode: Sandbox) -> None:
    for number in range(2):
        create(linode, label=f"web-{number}", tags=["shop", f"one-{number}"])

    assert call(linode, "GET", "/linode/instances", token="wrong").status_code == 401
    assert call(linode, "DELETE", "/linode/instances/1", token=READING_TOKEN).status_code == 403
    assert call(linode, "GET", "/regions", token="").json()["results"] == 4
    for query in ({"page_size": 24}, {"page_size": 501}, {"page": "x"}):
        assert call(linode, "GET", "/linode/instances", params=query).status_code == 400
    assert call(linode, "GET", "/linode/instances", params={"page": 2}).status_code == 404
    for wanted, count in (
        ({"tags": "shop"}, 2),
        ({"tags": "sho"}, 0),
        ({"tags": "shop", "label": "web-1"}, 1),
        ({"+or": [{"label": "web-0"}, {"label": {"+contains": "-1"}}]}, 2),
        ({"+and": [{"region": "us-east"}, {"label": {"+neq": "web-0"}}]}, 1),
    ):
        assert filtered(linode, wanted).json()["results"] == count
    ordered = filtered(linode, {"+order_by": "label", "+order": "desc"}).json()["data"]
    assert [row["label"] for row in ordered] == ["web-1", "web-0"]
    wrong_filters: list[Any] = [{"status": "running"}, {"label": {"+like": "x"}}, []]
    for wrong in wrong_filters:
        assert filtered(linode, wrong).status_code == 400


def test_states_take_their_time_and_a_busy_machine_refuses(linode: Sandbox) -> None:
    row = create(linode, label="web").json()
    path = f"/linode/instances/{row['id']}"

    def status() -> str:
        return str(call(linode, "GET", path).json()["status"])

    assert (row["status"], row["created"][-1] in "0123456789", "_jobs" in row) == ("provisioning", True, False)
    assert call(linode, "POST", f"{path}/reboot").json() == {"errors": [{"reason": "Linode busy."}]}
    linode.advance(21)
    assert status() == "booting"
    linode.advance(16)
    assert status() == "running"
    larger = {"type": "g6-standard-1", "allow_auto_disk_resize": True, "migration_type": "cold"}
    assert call(linode, "POST", f"{path}/resize", json=larger).json() == {}
    assert (status(), call(linode, "GET", path).json()["type"]) == ("migrating", "g6-nanode-1")
    linode.advance(61)
    assert (status(), call(linode, "GET", path).json()["type"]) == ("offline", "g6-standard-1")
    resized = filtered(linode, {"entity.id": row["id"], "action": "linode_resize"}, "/account/events").json()["data"]
    assert [event["status"] for event in resized] == ["finished"]
    linode.advance(21)
    assert status() == "booting"

    assert call(linode, "DELETE", path).json() == {}
    assert call(linode, "DELETE", path).status_code == 404
    assert create(linode, label="web").json()["errors"][0]["field"] == "label"
    linode.advance(31)
    assert create(linode, label="web").ok


def test_a_provision_that_fails_leaves_a_machine_that_is_off_or_none(linode: Sandbox) -> None:
    for outcome, count in (("offline", 1), ("vanished", 1)):
        settings(linode, provision=outcome, provision_seconds=0)
        create(linode)
        assert filtered(linode, {}).json()["results"] == count
        newest = call(linode, "GET", "/account/events").json()["data"][0]
        assert (newest["action"], newest["status"]) == ("linode_create", "failed")


def test_creations_are_limited_more_tightly_than_other_calls(linode: Sandbox) -> None:
    answers = [create(linode) for _ in range(21)]

    assert [answer.status_code for answer in answers] == [200] * 20 + [429]
    headers = answers[-1].headers
    assert (headers["X-RateLimit-Limit"], headers["X-RateLimit-Remaining"]) == ("20", "0")
    assert 0 < int(headers["Retry-After"]) <= 15
    assert int(headers["X-RateLimit-Reset"]) > linode.now()
    assert call(linode, "GET", "/linode/instances").ok
    settings(linode, retry_after="-3600")
    assert create(linode).headers["Retry-After"] == "-3600"


def test_linodes_own_client_drives_it(linode: Sandbox) -> None:
    settings(linode, **{f"{name}_seconds": 0 for name in ("provision", "boot", "shutdown", "rebuild", "resize")})
    client = LinodeClient(TOKEN, base_url=f"{linode.base_url}/linode/v4", retry=False)
    assert next(region.id for region in client.regions() if "Linodes" in region.capabilities) == "us-east"
    parts = {"image": "linode/debian12", "root_pass": BODY["root_pass"], "label": "castle", "tags": ["svc-1"]}

    made = client.linode.instance_create("g6-nanode-1", "us-east", **parts)
    with pytest.raises(ApiError, match="unique") as refused:
        client.linode.instance_create("g6-nanode-1", "us-east", **parts)
    assert refused.value.status == 400
    [found] = client.linode.instances(Instance.label == "castle")
    assert (found.id, found.status, list(found.tags)) == (made.id, "running", ["svc-1"])

    found.label, found.tags = "tower", ["svc-1", "suspended"]
    assert found.save()
    for act in (found.shutdown, found.boot, found.reboot):
        assert act()
    assert found.resize("g6-standard-1", allow_auto_disk_resize=True, migration_type=linode_api4.MigrationType.COLD)
    found.invalidate()
    assert (found.label, found.type.id, found.specs.memory) == ("tower", "g6-standard-1", 2048)
    linode.advance(21)
    assert found.rebuild("linode/ubuntu24.04", root_pass=BODY["root_pass"])
    events = client.account.events(Event.action == "linode_rebuild")
    assert [(event.entity.id, event.status) for event in events] == [(made.id, "finished")]

    settings(linode, dns={"castle.example.com": made.ipv4[0]})
    address = client.load(linode_api4.IPAddress, made.ipv4[0])
    address.rdns = "wrong.example.com"
    with pytest.raises(ApiError, match="does not resolve"):
        address.save()
    for name, shown in (("castle.example.com", "castle.example.com"), (ExplicitNullValue, "ip.linodeusercontent.com")):
        address.rdns = name
        address.save()
        address.invalidate()
        assert address.rdns.endswith(shown)

    assert found.delete()
    assert len(client.linode.instances()) == 0
