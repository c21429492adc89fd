"""Users, and what goes wrong when they are made in parallel."""

from tests.sandbox.pterodactyl_panel import PanelUnderTest, at_once, code_of, errors_of, user_body


def test_a_user_is_made_with_a_lower_case_name_and_found_by_its_external_id(panel: PanelUnderTest) -> None:
    answer = panel.application("POST", "/users", user_body(username="Ann.Lee", external_id="Acc-7"))

    assert answer.status_code == 201
    made = answer.json()
    assert made["meta"]["resource"].endswith(f"/api/application/users/{made['attributes']['id']}")
    assert made["attributes"]["username"] == "ann.lee"
    assert "password" not in made["attributes"]
    assert panel.application("GET", "/users/external/acc-7").json()["attributes"]["external_id"] == "Acc-7"
    assert panel.application("GET", "/users/external/acc").status_code == 404


def test_a_repeated_user_is_422_unique_whatever_the_case(panel: PanelUnderTest) -> None:
    panel.make_user()

    answer = panel.application(
        "POST", "/users", user_body(email="ANN@example.test", username="ANN", external_id="ACC-1")
    )

    assert errors_of(answer) == [("external_id", "unique"), ("email", "unique"), ("username", "unique")]


def test_the_external_id_of_users_is_unique_only_in_validation_so_a_race_makes_two(panel: PanelUnderTest) -> None:
    panel.set(race_delay_ms=350)
    bodies = [user_body(email=f"a{n}@example.test", username=f"ann{n}") for n in range(2)]

    answers = panel.post_at_once("/api/application/users", bodies)

    assert [answer.status_code for answer in answers] == [201, 201]
    assert [user["external_id"] for user in panel.state("users")[1:]] == ["acc-1", "acc-1"]


def test_racing_creates_with_one_address_make_one_user_and_the_losers_get_500(panel: PanelUnderTest) -> None:
    panel.set(race_delay_ms=350)

    answers = at_once([lambda: panel.application("POST", "/users", user_body())] * 4)

    assert sorted(answer.status_code for answer in answers) == [201, 500, 500, 500]
    lost = {code_of(answer)[1] for answer in answers if answer.status_code == 500}
    assert lost <= {"QueryException", "DataValidationException"}
    assert len(panel.state("users")) == 2


def test_overlapping_creates_without_a_password_leave_one_201_and_500s(panel: PanelUnderTest) -> None:
    panel.set(password_reset_ms=350)
    bodies = [
        user_body(email=f"a{n}@example.test", username=f"ann{n}", external_id=f"acc-{n}", password=...)
        for n in range(4)
    ]

    answers = panel.post_at_once("/api/application/users", bodies)

    assert sorted(answer.status_code for answer in answers) == [201, 500, 500, 500]
    assert {code_of(answer) for answer in answers if answer.status_code == 500} == {(500, "QueryException")}
    assert len(panel.state("users")) == 2


def test_overlapping_creates_with_a_password_all_succeed(panel: PanelUnderTest) -> None:
    bodies = [user_body(email=f"a{n}@example.test", username=f"ann{n}", external_id=f"acc-{n}") for n in range(8)]

    answers = panel.post_at_once("/api/application/users", bodies)

    assert {answer.status_code for answer in answers} == {201}


def test_patching_a_user_demands_four_fields_keeps_what_is_omitted_and_clears_on_null(panel: PanelUnderTest) -> None:
    user = panel.make_user(language="de")
    path = f"/users/{user['id']}"

    assert [field for field, rule in errors_of(panel.application("PATCH", path, {"external_id": "x"}))] == [
        "email",
        "username",
        "first_name",
        "last_name",
    ]
    kept = panel.application("PATCH", path, user_body(external_id=..., password=..., first_name="Anna")).json()
    assert kept["attributes"] | {"updated_at": ""} == user | {"first_name": "Anna", "updated_at": ""}
    cleared = panel.application("PATCH", path, user_body(external_id=None)).json()
    assert cleared["attributes"]["external_id"] is None
