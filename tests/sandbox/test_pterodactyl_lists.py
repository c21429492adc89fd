"""Lists, includes, and the calls that are traps: details, build, startup, databases, allocations."""

from typing import Any

import pytest

from tests.sandbox.pterodactyl_panel import TERRARIA_ENVIRONMENT, PanelUnderTest, at_once, code_of, errors_of


def build_body(server: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A build that changes nothing but what is given."""
    features = {"databases": 1, "allocations": 2, "backups": 2}
    return {"allocation": server["allocation"], "limits": server["limits"], "feature_limits": features, **changes}


def test_a_page_has_fifty_rows_and_the_next_link_carries_only_the_page(panel: PanelUnderTest) -> None:
    found = panel.application("GET", "/nodes/1/allocations?filter[server_id]=0").json()

    assert found["meta"]["pagination"] == {
        "total": 80,
        "count": 50,
        "per_page": 50,
        "current_page": 1,
        "total_pages": 2,
        "links": {"next": f"{panel.url}/api/application/nodes/1/allocations?page=2"},
    }


def test_pages_may_be_any_size_and_lie_beyond_the_end(panel: PanelUnderTest) -> None:
    everything = panel.application("GET", "/nodes/1/allocations?per_page=100000").json()
    beyond = panel.application("GET", "/nodes/1/allocations?page=99").json()
    middle = panel.application("GET", "/nodes/1/allocations?page=2&per_page=30").json()["meta"]["pagination"]

    assert (len(everything["data"]), everything["meta"]["pagination"]["links"]) == (80, {})
    assert (beyond["data"], beyond["meta"]["pagination"]["total"]) == ([], 80)
    assert set(middle["links"]) == {"previous", "next"}
    assert panel.application("GET", "/nodes/1/allocations?per_page=0").json()["meta"]["pagination"]["per_page"] == 15
    assert code_of(panel.application("GET", "/nodes/1/allocations?per_page=-1")) == (500, "QueryException")
    assert code_of(panel.application("GET", "/nodes/1/allocations?per_page=x")) == (500, "TypeError")
    assert panel.application("GET", "/nodes/1/allocations?page=x").json()["meta"]["pagination"]["current_page"] == 1


def test_filters_find_parts_without_regard_to_case_and_a_comma_means_or(panel: PanelUnderTest) -> None:
    for name in ("svc-1", "svc-10", "Other-1"):
        panel.make_server(external_id=name)

    def found(query: str) -> list[str]:
        rows = panel.application("GET", f"/servers?{query}").json()["data"]
        return [row["attributes"]["external_id"] for row in rows]

    assert found("filter[external_id]=SVC-1") == ["svc-1", "svc-10"]
    assert found("filter[external_id]=svc-10,other") == ["svc-10", "Other-1"]
    assert found("filter[external_id]=s%25-10") == ["svc-10"]
    assert found("filter=svc") == ["svc-1", "svc-10", "Other-1"]


def test_an_unknown_filter_is_400(panel: PanelUnderTest) -> None:
    assert code_of(panel.application("GET", "/servers?filter[owner]=1")) == (400, "InvalidFilterQuery")
    assert panel.application("GET", "/nests?filter[name]=zzz").json()["data"]


def test_allocations_are_filtered_exactly_by_address_port_and_server(panel: PanelUnderTest) -> None:
    server = panel.make_server()

    def count(query: str) -> int:
        total: int = panel.application("GET", f"/nodes/1/allocations?{query}").json()["meta"]["pagination"]["total"]
        return total

    assert count("filter[port]=25565") == 1
    assert count("filter[port]=2556") == 0
    assert count("filter[ip]=203.0.113.10") == 80
    assert count(f"filter[server_id]={server['id']}") == 1
    assert count("filter[server_id]=false") == 79
    assert count("filter[server_id]=") == 80


def test_includes_nest_two_deep_and_unknown_names_are_ignored(panel: PanelUnderTest) -> None:
    server = panel.make_server()
    path = f"/servers/{server['id']}"

    shown = panel.application("GET", f"{path}?include=allocations.node.location,egg,variables,nonsense").json()
    related = shown["attributes"]["relationships"]
    assert set(related) == {"allocations", "egg", "variables"}
    node = related["allocations"]["data"][0]["attributes"]["relationships"]["node"]
    assert node["attributes"]["name"] == "US-East-1"
    assert "relationships" not in node["attributes"]
    variable = related["variables"]["data"][0]
    assert (variable["object"], variable["attributes"]["server_value"]) == ("server_variable", "latest")
    assert variable["attributes"]["created_at"].endswith("Z")
    assert "relationships" not in panel.application("GET", f"{path}?include=nonsense").json()["attributes"]
    assert panel.application("GET", "/nests/1/eggs/16").status_code == 404


def test_a_nodes_allocated_resources_are_the_sums_of_its_servers(panel: PanelUnderTest) -> None:
    for number in range(2):
        panel.make_server(external_id=f"svc-{number}")

    node = panel.application("GET", "/nodes/1").json()["attributes"]

    assert node["allocated_resources"] == {"memory": 2048, "disk": 4096}


def test_allocations_are_made_repeatably_and_refused_by_their_own_codes(panel: PanelUnderTest) -> None:
    def make(ip: str, *ports: Any) -> Any:
        return panel.application("POST", "/nodes/1/allocations", {"ip": ip, "ports": list(ports)})

    before = len(panel.state("allocations"))
    assert make("192.0.2.200", "30000-30009", "30005").status_code == 204
    assert make("192.0.2.200", "30009-30000").status_code == 204
    assert len(panel.state("allocations")) == before + 10
    assert code_of(make("192.0.2.1", "1024")) == (400, "PortOutOfRangeException")
    assert code_of(make("192.0.2.1", "2000-3000")) == (400, "TooManyPortsInRangeException")
    assert code_of(make("192.0.2.1", "many")) == (400, "InvalidPortMappingException")
    assert errors_of(make("192.0.2.1", 30000)) == [("ports.0", "string")]
    held = panel.make_server()["allocation"]
    assert code_of(panel.application("DELETE", f"/nodes/1/allocations/{held}")) == (
        400,
        "ServerUsingAllocationException",
    )
    assert panel.application("DELETE", f"/nodes/2/allocations/{held}").status_code == 404


def test_patching_details_without_the_external_id_erases_it(panel: PanelUnderTest) -> None:
    server = panel.make_server(description="mine")
    path = f"/servers/{server['id']}/details"

    kept = panel.application("PATCH", path, {"name": "x", "user": 1, "external_id": "svc-1", "description": "d"})
    assert kept.json()["attributes"]["external_id"] == "svc-1"
    erased = panel.application("PATCH", path, {"name": "x", "user": 1}).json()["attributes"]

    assert (erased["external_id"], erased["description"]) == (None, "")
    panel.make_server(external_id="svc-2")
    taken = panel.application("PATCH", path, {"name": "x", "user": 1, "external_id": "SVC-2"})
    assert errors_of(taken) == [("external_id", "unique")]
    assert errors_of(panel.application("PATCH", path, {})) == [("name", "required"), ("user", "required")]


def test_patching_the_build_ignores_allocations_that_are_taken(panel: PanelUnderTest) -> None:
    server, other = panel.make_server(), panel.make_server(external_id="svc-2")
    free, elsewhere = panel.free_allocation(), panel.free_allocation(100)
    path = f"/servers/{server['id']}/build"

    body = build_body(server, add_allocations=[other["allocation"], free, 99999, elsewhere], remove_allocations=[12345])
    answer = panel.application("PATCH", path + "?include=allocations", body)

    held = answer.json()["attributes"]["relationships"]["allocations"]["data"]
    assert [each["attributes"]["id"] for each in held] == [server["allocation"], free]


def test_patching_the_build_guards_the_primary_allocation(panel: PanelUnderTest) -> None:
    server, other = panel.make_server(), panel.make_server(external_id="svc-2")
    free = panel.free_allocation()
    path, own = f"/servers/{server['id']}/build", server["allocation"]

    lost = panel.application("PATCH", path, build_body(server, remove_allocations=[own]))
    assert code_of(lost) == (400, "DisplayException")
    stolen = panel.application("PATCH", path, build_body(server, allocation=other["allocation"]))
    assert errors_of(stolen) == [("allocation", "unique")]
    foreign = panel.application("PATCH", path, build_body(server, allocation=free))
    assert code_of(foreign) == (400, "DisplayException")
    moved = panel.application("PATCH", path, build_body(server, add_allocations=[free], remove_allocations=[own]))
    assert moved.json()["attributes"]["allocation"] == free
    assert [each["server_id"] for each in panel.state("allocations") if each["id"] in (own, free)] == [
        None,
        server["id"],
    ]


def test_patching_the_build_without_an_allocation_limit_clears_it_and_takes_limits_at_top_level(
    panel: PanelUnderTest,
) -> None:
    server = panel.make_server()
    path = f"/servers/{server['id']}/build"
    features = {"databases": None, "backups": None}

    answer = panel.application("PATCH", path, build_body(server, feature_limits=features)).json()["attributes"]
    assert answer["feature_limits"] == {"databases": None, "allocations": None, "backups": 0}

    flat = {"memory": 1, "swap": 0, "disk": 2, "io": 10, "cpu": 3}
    body = {"allocation": server["allocation"], "feature_limits": features, **flat}
    assert panel.application("PATCH", path, body).json()["attributes"]["limits"] == {
        **flat,
        "threads": None,
        "oom_disabled": True,
    }
    missing = {"allocation": server["allocation"], "feature_limits": features, "limits": {"memory": 1}}
    assert {field for field, _rule in errors_of(panel.application("PATCH", path, missing))} == {
        "limits.swap",
        "limits.disk",
        "limits.io",
        "limits.cpu",
    }


def test_patching_the_startup_replaces_all_variables_or_none(panel: PanelUnderTest) -> None:
    server = panel.make_server()
    path = f"/servers/{server['id']}/startup"
    body = {"startup": "./new", "egg": 16, "image": "an/image:1", "skip_scripts": False, "environment": {}}

    kept = panel.application("PATCH", path, body).json()["attributes"]["container"]
    assert (kept["startup_command"], kept["environment"]["WORLD_NAME"]) == ("./new", "world")
    partial = panel.application("PATCH", path, body | {"environment": {"WORLD_NAME": "w2"}})
    assert ("environment.MAX_PLAYERS", "required") in errors_of(partial)
    whole = panel.application("PATCH", path, body | {"environment": TERRARIA_ENVIRONMENT | {"WORLD_NAME": "w2"}})
    assert whole.json()["attributes"]["container"]["environment"]["WORLD_NAME"] == "w2"


def test_database_calls_ignore_the_server_in_the_path(panel: PanelUnderTest) -> None:
    server, other = panel.make_server(), panel.make_server(external_id="svc-2")
    path = f"/servers/{server['id']}/databases"
    made = panel.application("POST", path + "?include=password,host", {"database": "shop", "remote": "%", "host": 1})

    assert made.status_code == 201
    attributes = made.json()["attributes"]
    assert attributes["database"] == f"s{server['id']}_shop"
    assert attributes["relationships"]["password"]["attributes"]["password"]
    other_path = f"/servers/{other['id']}/databases/{attributes['id']}"
    assert panel.application("GET", other_path).json()["attributes"]["server"] == server["id"]
    assert panel.application("POST", f"{other_path}/reset-password").status_code == 204
    full = panel.application("POST", path, {"database": "more", "remote": "%", "host": 1})
    assert code_of(full) == (400, "TooManyDatabasesException")
    assert panel.application("DELETE", other_path).status_code == 204
    assert panel.state("databases") == []
    assert errors_of(panel.application("POST", path, {"database": "a b", "remote": "x", "host": 9})) == [
        ("database", "alpha_dash"),
        ("remote", "regex"),
        ("host", "exists"),
    ]


def test_parallel_deletes_are_204_or_404(panel: PanelUnderTest) -> None:
    server = panel.make_server()

    answers = at_once([lambda: panel.application("DELETE", f"/servers/{server['id']}")] * 4)

    assert sorted(answer.status_code for answer in answers) == [204, 404, 404, 404]


@pytest.mark.parametrize("path", ["/servers/x", "/servers/external/a/b", "/servers/external/a%2Fb", "/nodes/99"])
def test_what_is_not_there_is_404(panel: PanelUnderTest, path: str) -> None:
    assert code_of(panel.application("GET", path)) == (404, "NotFoundHttpException")
