"""Keys, the Accept header, the error envelope and the rate limits."""

from collections.abc import Callable

import pytest
import requests

from tests.sandbox.pterodactyl_panel import PanelUnderTest, code_of, errors_of


def test_keys_carry_their_prefix_and_have_48_characters(panel: PanelUnderTest) -> None:
    assert panel.application_key.startswith("ptla_")
    assert panel.client_key.startswith("ptlc_")
    assert len(panel.application_key) == len(panel.client_key) == 48


@pytest.mark.parametrize("spoil", [lambda key: key[:-1], lambda key: key[:-1] + "!", lambda key: "ptla_x"])
def test_a_malformed_or_wrong_key_is_401(panel: PanelUnderTest, spoil: Callable[[str], str]) -> None:
    answer = panel.application("GET", "/users", key=spoil(panel.application_key))

    assert code_of(answer) == (401, "AuthenticationException")


def test_another_scheme_than_bearer_is_401(panel: PanelUnderTest) -> None:
    answer = panel.application("GET", "/users", Authorization=f"Basic {panel.application_key}")

    assert code_of(answer) == (401, "AuthenticationException")


def test_an_application_key_is_refused_on_client_routes(panel: PanelUnderTest) -> None:
    assert code_of(panel.client("GET", "/account", key=panel.application_key)) == (403, "AccessDeniedHttpException")


def test_a_root_admins_client_key_works_on_both_apis(panel: PanelUnderTest) -> None:
    assert panel.client("GET", "/account").status_code == 200
    assert panel.application("GET", "/servers", key=panel.client_key).status_code == 200


def test_a_normal_users_client_key_is_403_on_the_application_api(panel: PanelUnderTest) -> None:
    key = panel.key_of(panel.make_user())

    assert code_of(panel.application("GET", "/users", key=key)) == (403, "AccessDeniedHttpException")


def test_a_key_bound_to_another_address_is_403(panel: PanelUnderTest) -> None:
    key = panel.key_of({"id": 1}, allowed_ips=["203.0.113.77"])

    assert code_of(panel.client("GET", "/account", key=key)) == (403, "AccessDeniedHttpException")


def test_an_application_key_without_a_right_is_403_and_includes_turn_null(panel: PanelUnderTest) -> None:
    key = panel.key_of({"id": 1}, "application", rights={"users": 0, "servers": 1})
    panel.make_server()

    assert code_of(panel.application("GET", "/users", key=key)) == (403, "AccessDeniedHttpException")
    assert code_of(panel.application("DELETE", "/servers/1", key=key)) == (403, "AccessDeniedHttpException")
    shown = panel.application("GET", "/servers/1?include=user,nest", key=key).json()["attributes"]["relationships"]
    assert shown["user"] == {"object": "null_resource", "attributes": None}
    assert shown["nest"]["object"] == "nest"


def test_an_unknown_route_is_404_even_without_a_key_and_a_wrong_verb_405(panel: PanelUnderTest) -> None:
    answer = requests.get(f"{panel.url}/api/application/nothing", headers={"Accept": "application/json"}, timeout=10)

    assert code_of(answer) == (404, "NotFoundHttpException")
    assert "X-RateLimit-Limit" not in answer.headers
    assert code_of(panel.application("PUT", "/users")) == (405, "MethodNotAllowedHttpException")


@pytest.mark.parametrize("accept", ["*/*", "text/html"])
def test_without_accept_json_a_400_401_and_422_become_redirects_and_403_and_404_html(
    panel: PanelUnderTest, accept: str
) -> None:
    unauthorized = panel.application("GET", "/users", key="ptla_none", Accept=accept)
    refused = panel.application("GET", "/users?filter[nothing]=1", Accept=accept)
    invalid = panel.application("POST", "/users", {}, Accept=accept)
    absent = panel.application("GET", "/users/999", Accept=accept)
    forbidden = panel.client("GET", "/account", key=panel.application_key, Accept=accept)

    assert (unauthorized.status_code, unauthorized.headers["location"]) == (302, f"{panel.url}/auth/login")
    assert [refused.status_code, invalid.status_code] == [302, 302]
    assert [absent.status_code, forbidden.status_code] == [404, 403]
    assert absent.headers["content-type"].startswith("text/html")
    assert panel.application("GET", "/users", Accept=accept).json()["object"] == "list"


def test_the_envelope_has_one_element_per_failed_rule(panel: PanelUnderTest) -> None:
    answer = panel.application(
        "POST", "/users", {"email": "no address", "username": "-", "first_name": 5, "last_name": "x" * 192}
    )

    assert errors_of(answer) == [
        ("email", "email"),
        ("username", "p_username"),
        ("first_name", "string"),
        ("last_name", "between"),
    ]
    assert all(each["status"] == "422" and each["code"] == "ValidationException" for each in answer.json()["errors"])


def test_malformed_json_is_400_after_the_key_check(panel: PanelUnderTest) -> None:
    headers = {"Accept": "application/json", "Content-Type": "application/json"}
    url = f"{panel.url}/api/application/users"

    assert requests.post(url, data="{", headers=headers, timeout=10).status_code == 401
    headers["Authorization"] = f"Bearer {panel.application_key}"
    assert code_of(requests.post(url, data="{", headers=headers, timeout=10)) == (400, "BadRequestHttpException")


def test_rate_limits_count_per_owner_and_api_and_answer_429_with_four_headers(panel: PanelUnderTest) -> None:
    panel.set(rate_limits={"application": 3, "client": 5})

    first = panel.application("GET", "/users")
    assert (first.headers["X-RateLimit-Limit"], first.headers["X-RateLimit-Remaining"]) == ("3", "2")
    assert panel.application("GET", "/users/999").headers["X-RateLimit-Remaining"] == "1"
    other_key_of_the_same_admin = panel.application("GET", "/users", key=panel.client_key)
    assert other_key_of_the_same_admin.headers["X-RateLimit-Remaining"] == "0"
    blocked = panel.application("GET", "/users")

    assert code_of(blocked) == (429, "ThrottleRequestsException")
    assert blocked.headers["X-RateLimit-Limit"] == "3"
    assert blocked.headers["X-RateLimit-Remaining"] == "0"
    assert 0 < int(blocked.headers["Retry-After"]) <= 60
    assert int(blocked.headers["X-RateLimit-Reset"]) > 1_600_000_000
    assert panel.client("GET", "/account").headers["X-RateLimit-Remaining"] == "4"

    panel.advance(61)
    assert panel.application("GET", "/users").headers["X-RateLimit-Remaining"] == "2"


def test_a_panel_in_maintenance_is_503(panel: PanelUnderTest) -> None:
    panel.set(is_panel_in_maintenance=True)
    assert code_of(panel.client("GET", "/account")) == (503, "HttpException")
