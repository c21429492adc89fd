"""Creating servers: three validations, one external id, one pool of ports, automatic deployment."""

import time
from concurrent.futures import ThreadPoolExecutor

from tests.sandbox.pterodactyl_panel import PanelUnderTest, code_of, errors_of

RACE_CODES = {"QueryException", "DataValidationException"}


def test_a_create_answers_201_with_the_whole_server_still_installing(panel: PanelUnderTest) -> None:
    body = panel.server_body(limits={"memory": "1024", "swap": -1, "disk": 0, "io": 10, "cpu": 0, "threads": "0,2-3"})

    answer = panel.application("POST", "/servers", body)

    assert answer.status_code == 201
    assert "meta" not in answer.json()
    server = answer.json()["attributes"]
    assert (server["status"], server["suspended"], server["description"]) == ("installing", False, "")
    assert server["identifier"] == server["uuid"][:8]
    assert server["limits"] == {
        "memory": 1024,
        "swap": -1,
        "disk": 0,
        "io": 10,
        "cpu": 0,
        "threads": "0,2-3",
        "oom_disabled": True,
    }
    assert server["feature_limits"] == {"databases": 1, "allocations": 2, "backups": 2}
    assert (server["user"], server["node"], server["nest"], server["egg"]) == (1, 1, 4, 16)
    assert server["container"]["installed"] == 0
    environment = server["container"]["environment"]
    assert environment["PASSWORD"] == ""
    assert environment["P_SERVER_LOCATION"] == "us-east"
    assert environment["P_SERVER_UUID"] == server["uuid"]


def test_the_fields_are_validated_before_deployment_and_that_before_the_egg_variables(panel: PanelUnderTest) -> None:
    wrong_everywhere = panel.deployed_body(name=None, environment={}, deploy={"locations": [99]})
    assert errors_of(panel.application("POST", "/servers", wrong_everywhere)) == [("name", "required")]

    no_node = panel.deployed_body(environment={}, deploy={"locations": [99]})
    assert code_of(panel.application("POST", "/servers", no_node)) == (400, "NoViableNodeException")

    only_variables = panel.deployed_body(environment={"WORLD_DIFFICULTY": "9"})
    assert errors_of(panel.application("POST", "/servers", only_variables)) == [
        ("environment.TERRARIA_VERSION", "required"),
        ("environment.WORLD_NAME", "required"),
        ("environment.WORLD_SIZE", "required"),
        ("environment.WORLD_DIFFICULTY", "max"),
        ("environment.MAX_PLAYERS", "required"),
        ("environment.SERVER_MOTD", "required"),
    ]
    assert panel.state("servers") == []


def test_an_empty_body_names_every_required_field(panel: PanelUnderTest) -> None:
    fields = {field for field, _rule in errors_of(panel.application("POST", "/servers", {}))}

    assert fields >= {
        "name",
        "user",
        "egg",
        "docker_image",
        "startup",
        "environment",
        "limits.memory",
        "feature_limits",
    }
    assert "allocation.default" in fields
    assert "external_id" not in fields


def test_a_json_number_is_no_string_and_an_empty_deploy_is_refused_twice(panel: PanelUnderTest) -> None:
    assert errors_of(panel.application("POST", "/servers", panel.server_body(external_id=7))) == [
        ("external_id", "string")
    ]
    assert errors_of(panel.application("POST", "/servers", panel.server_body(allocation=..., deploy={}))) == [
        ("deploy", "required"),
        ("allocation.default", "required"),
    ]
    assert errors_of(panel.application("POST", "/servers", panel.server_body(docker_image="~image"))) == [
        ("docker_image", "regex")
    ]


def test_a_repeated_create_names_the_external_id_and_the_allocation_whatever_the_case(panel: PanelUnderTest) -> None:
    body = panel.server_body(external_id="svc-A")
    assert panel.application("POST", "/servers", body).status_code == 201

    repeated = panel.application("POST", "/servers", body | {"external_id": "SVC-a "})

    assert errors_of(repeated) == [("external_id", "unique"), ("allocation.default", "exists")]
    assert panel.application("GET", "/servers/external/sVC-a").json()["attributes"]["external_id"] == "svc-A"


def test_racing_creates_with_one_external_id_make_exactly_one_row_and_the_losers_get_422_or_500(
    panel: PanelUnderTest,
) -> None:
    panel.set(race_delay_ms=350)
    bodies = [panel.server_body(allocation={"default": panel.free_allocation(n)}) for n in range(6)]

    answers = panel.post_at_once("/api/application/servers", bodies)

    statuses = [answer.status_code for answer in answers]
    assert statuses.count(201) == 1
    assert statuses.count(500) == 5
    assert {code_of(answer)[1] for answer in answers if answer.status_code == 500} <= RACE_CODES
    assert len(panel.state("servers")) == 1


def test_racing_creates_on_one_allocation_leave_one_201_and_one_500(panel: PanelUnderTest) -> None:
    panel.set(race_delay_ms=350)
    bodies = [panel.server_body(external_id=f"svc-{n}") for n in range(2)]

    answers = panel.post_at_once("/api/application/servers", bodies)

    assert sorted(answer.status_code for answer in answers) == [201, 500]
    assert len([each for each in panel.state("allocations") if each["server_id"]]) == 1


def test_the_row_is_visible_and_its_external_id_taken_while_the_create_waits_for_the_node(
    panel: PanelUnderTest,
) -> None:
    panel.set(node_mode="slow", node_slow_seconds=0.8)
    body = panel.server_body()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(panel.application, "POST", "/servers", body)
        time.sleep(0.3)
        seen = panel.application("GET", "/servers/external/svc-1")
        repeated = panel.application("POST", "/servers", panel.server_body())
        assert not waiting.done()
        answer = waiting.result()

    assert seen.json()["attributes"]["status"] == "installing"
    assert errors_of(repeated) == [("external_id", "unique")]
    assert answer.status_code == 201


def test_a_deleted_server_frees_its_allocations_and_its_external_id(panel: PanelUnderTest) -> None:
    body = panel.server_body(allocation={"default": panel.free_allocation(), "additional": [panel.free_allocation(1)]})
    first = panel.application("POST", "/servers", body).json()["attributes"]
    assert len([each for each in panel.state("allocations") if each["server_id"] == first["id"]]) == 2

    assert panel.application("DELETE", f"/servers/{first['id']}").status_code == 204

    assert not [each for each in panel.state("allocations") if each["server_id"]]
    again = panel.application("POST", "/servers", body)
    assert again.status_code == 201
    assert again.json()["attributes"]["id"] > first["id"]


def test_additional_allocations_are_checked_for_being_free_but_not_for_their_node(panel: PanelUnderTest) -> None:
    elsewhere = next(each["id"] for each in panel.state("allocations") if each["node_id"] == 2)
    body = panel.server_body(allocation={"default": panel.free_allocation(), "additional": [elsewhere]})
    assert panel.application("POST", "/servers", body).status_code == 201

    taken = {"default": panel.free_allocation(), "additional": [elsewhere, 99999]}
    answer = panel.application("POST", "/servers", panel.server_body(external_id="svc-2", allocation=taken))

    assert errors_of(answer) == [("allocation.additional.0", "exists"), ("allocation.additional.1", "exists")]


def test_racing_creates_may_all_list_one_additional_allocation_and_the_later_write_wins(panel: PanelUnderTest) -> None:
    panel.set(race_delay_ms=350)
    shared = panel.free_allocation(9)
    bodies = [
        panel.server_body(
            external_id=f"svc-{n}", allocation={"default": panel.free_allocation(n), "additional": [shared]}
        )
        for n in range(3)
    ]

    answers = panel.post_at_once("/api/application/servers", bodies)

    assert {answer.status_code for answer in answers} == {201}
    assert len([each for each in panel.state("allocations") if each["server_id"]]) == 4


def test_deploy_reassigns_even_another_servers_primary_when_it_is_listed_as_additional(panel: PanelUnderTest) -> None:
    first = panel.make_server()
    body = panel.deployed_body(external_id="svc-2") | {"allocation": {"additional": [first["allocation"]]}}

    second = panel.application("POST", "/servers", body).json()["attributes"]

    allocation = next(each for each in panel.state("allocations") if each["id"] == first["allocation"])
    assert allocation["server_id"] == second["id"]


def test_deploy_sums_the_resources_of_servers_and_refuses_a_full_node(panel: PanelUnderTest) -> None:
    panel.seed({"memory": 2048, "disk": 9000, "allocations": 9})
    for n in range(2):
        assert panel.application("POST", "/servers", panel.deployed_body(external_id=f"svc-{n}")).status_code == 201

    full = panel.application("POST", "/servers", panel.deployed_body(external_id="svc-9"))

    assert code_of(full) == (400, "NoViableNodeException")
    unlimited = {"memory": 0, "swap": 0, "disk": 0, "io": 500, "cpu": 0}
    fits_a_full_node = panel.deployed_body(external_id="svc-10", limits=unlimited)
    assert panel.application("POST", "/servers", fits_a_full_node).status_code == 201
    not_checked = panel.application("POST", "/servers", panel.server_body(external_id="svc-11"))
    assert not_checked.status_code == 201


def test_concurrent_deploys_overshoot_a_node_and_may_collide_on_a_port(panel: PanelUnderTest) -> None:
    panel.seed({"memory": 1024, "disk": 9000, "allocations": 9})
    panel.set(race_delay_ms=350)
    bodies = [panel.deployed_body(external_id=f"svc-{n}", deploy={"port_range": [f"{25565 + n}"]}) for n in range(2)]
    overshot = panel.post_at_once("/api/application/servers", bodies)
    assert [answer.status_code for answer in overshot] == [201, 201]

    panel.seed({"memory": 9000, "disk": 9000, "allocations": 1})
    bodies = [panel.deployed_body(external_id=f"svc-{n}") for n in range(2)]
    collided = panel.post_at_once("/api/application/servers", bodies)
    assert sorted(answer.status_code for answer in collided) == [201, 500]


def test_deploy_treats_minus_one_as_ninety_nine_hundredths(panel: PanelUnderTest) -> None:
    panel.seed({"memory": 1000, "disk": 9000, "allocations": 9, "memory_overallocate": -1})
    limits = {"swap": 0, "disk": 100, "io": 500, "cpu": 0}

    over = panel.application("POST", "/servers", panel.deployed_body(limits=limits | {"memory": 991}))
    fits = panel.application("POST", "/servers", panel.deployed_body(limits=limits | {"memory": 990}))

    assert code_of(over) == (400, "NoViableNodeException")
    assert fits.status_code == 201


def test_deploy_uses_public_nodes_only_and_ignores_maintenance(panel: PanelUnderTest) -> None:
    size = {"memory": 9000, "disk": 9000, "allocations": 5}
    panel.seed(size | {"public": False}, size | {"maintenance_mode": True})

    server = panel.application("POST", "/servers", panel.deployed_body()).json()["attributes"]

    assert server["node"] == 2


def test_deploy_picks_free_ports_at_random_within_the_range_and_refuses_when_there_is_none(
    panel: PanelUnderTest,
) -> None:
    picked = set()
    for n in range(5):
        deploy = {"locations": [1], "port_range": ["25600-25620", "nonsense"]}
        body = panel.deployed_body(external_id=f"svc-{n}", deploy=deploy)
        picked.add(panel.application("POST", "/servers", body).json()["attributes"]["allocation"])
    ports = sorted(each["port"] for each in panel.state("allocations") if each["id"] in picked)

    assert len(picked) == 5
    assert ports[0] >= 25600
    assert ports[-1] <= 25620
    assert ports != list(range(25600, 25605))
    none = panel.deployed_body(external_id="svc-9", deploy={"port_range": ["1025"]})
    assert code_of(panel.application("POST", "/servers", none)) == (400, "NoViableAllocationException")
    dedicated = panel.deployed_body(external_id="svc-9", deploy={"locations": [1], "dedicated_ip": "false"})
    assert code_of(panel.application("POST", "/servers", dedicated)) == (400, "NoViableAllocationException")
