"""The Hytale stand-in as one application: OAuth, profiles and sessions, and the page on which a person approves."""

from collections.abc import Callable
from html import escape
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from sandbox.control import ControlError, json_body
from sandbox.frame import Frame, ServiceApp
from sandbox.hytale.accounts import CLIENT, HOST, SCOPE, Accounts, Refused
from sandbox.pages import page
from sandbox.state import JsonObject

DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
type Work = Callable[[Request, JsonObject], Response]


class Api:
    """Hytale's calls: OAuth takes forms, everything else JSON."""

    def __init__(self, accounts: Accounts, base_url: str) -> None:
        self._accounts, self._base_url = accounts, base_url

    def routes(self) -> list[BaseRoute]:
        """Every call, and the page of a device code."""
        calls: list[tuple[str, str, Work]] = [
            ("POST", "/oauth2/device/auth", self.begin_device),
            ("POST", "/oauth2/token", self.token),
            ("GET", "/my-account/get-profiles", self.profiles),
            ("POST", "/game-session/new", self.open_session),
            ("POST", "/game-session/refresh", self.renew_session),
            ("DELETE", "/game-session", self.end_session),
        ]
        found: list[BaseRoute] = [Route(path, self._serving(work), methods=[method]) for method, path, work in calls]
        return [*found, Route("/device", self.device_page, methods=["GET", "POST"])]

    async def refuse(self, request: Request, status: int) -> Response:
        """An armed status fault."""
        return self._error(request, Refused(status, "temporarily_unavailable"))

    def _serving(self, work: Work) -> Callable[[Request], object]:
        async def serve(request: Request) -> Response:
            try:
                if "json" in request.headers.get("content-type", ""):
                    return work(request, await json_body(request))
                return work(request, await _form(request))
            except Refused as error:
                return self._error(request, error)

        return serve

    def _error(self, request: Request, error: Refused) -> Response:
        """OAuth's own form; the others' is not known."""
        form = "json" if "/oauth2/" in request.url.path else self._accounts.settings["errors"]
        if form == "json":
            return JSONResponse({"error": error.error, "error_description": "invented"}, status_code=error.status)
        return PlainTextResponse(error.error if form == "text" else "", status_code=error.status)

    def begin_device(self, _request: Request, form: JsonObject) -> Response:
        """A code, and where a person enters it."""
        if form.get("client_id") != CLIENT or form.get("scope") != SCOPE:
            raise Refused(400, "invalid_client" if form.get("client_id") != CLIENT else "invalid_scope")
        begun, address = self._accounts.begin_device(), f"{self._base_url}/device"
        complete = f"{address}?user_code={begun['user_code']}"
        begun |= {"verification_uri": address, "verification_uri_complete": complete}
        return JSONResponse(begun | {"interval": self._accounts.settings["interval"]})

    def token(self, _request: Request, form: JsonObject) -> Response:
        """Tokens for a device code or for a refresh token."""
        if form.get("client_id") != CLIENT:
            raise Refused(400, "invalid_client")
        if form.get("grant_type") == DEVICE_GRANT:
            return JSONResponse(self._accounts.redeem_device(str(form.get("device_code"))))
        if form.get("grant_type") != "refresh_token":
            raise Refused(400, "unsupported_grant_type")
        return JSONResponse(self._accounts.redeem_refresh(str(form.get("refresh_token"))))

    def profiles(self, request: Request, _body: JsonObject) -> Response:
        """The profiles of the account; none where it does not own the game."""
        account = self._accounts.signed_in(_bearer(request))
        return JSONResponse({"owner": account["owner"], "profiles": account["profiles"]})

    def open_session(self, request: Request, body: JsonObject) -> Response:
        """Another session."""
        return JSONResponse(self._accounts.open_session(_bearer(request), body.get("uuid")))

    def renew_session(self, request: Request, _body: JsonObject) -> Response:
        """What a server that runs asks for by itself."""
        return JSONResponse(self._accounts.renew_session(_bearer(request)))

    def end_session(self, request: Request, _body: JsonObject) -> Response:
        """Its slot is free."""
        self._accounts.end_session(_bearer(request))
        return Response(status_code=204)

    async def device_page(self, request: Request) -> Response:
        """Approve or deny a code. Works without JavaScript."""
        code = request.query_params.get("user_code", "")
        if request.method == "POST":
            answer = (await _form(request)).get("answer")
            is_done = self._accounts.decide(code, "approved" if answer == "approve" else "denied")
            text = "Done. You can close this page." if is_done else "This code is not valid any more."
            return page("Hytale", f'<div class="card"><h1>{text}</h1></div>', width="narrow")
        buttons = "".join(
            f'<button class="{style}" name="answer" value="{answer}">{label}</button>'
            for answer, label, style in (("approve", "Approve", "go"), ("deny", "Deny", ""))
        )
        form = f'<form class="card" method="post"><h1>Sign in a server</h1><p>Code: {escape(code)}</p>{buttons}</form>'
        return page("Hytale", form, width="narrow")


async def _form(request: Request) -> JsonObject:
    return dict(parse_qsl((await request.body()).decode("utf-8", "replace")))


def _bearer(request: Request) -> str:
    return request.headers.get("authorization", "").removeprefix("Bearer ")


class HytaleControl:
    """The handlers of `/_control/hytale`."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts

    def routes(self) -> list[BaseRoute]:
        """Every control route."""
        return [
            Route("/state", self.state, methods=["GET"]),
            Route("/settings", self.change_settings, methods=["POST"]),
            Route("/accounts/{name}", self.change_account, methods=["POST"]),
            Route("/decide", self.decide, methods=["POST"]),
            Route("/end-all", self.end_all, methods=["POST"]),
        ]

    async def state(self, _request: Request) -> Response:
        """The tokens of live sessions with their profiles, and the refresh tokens that work."""
        live = self._accounts.live_sessions()
        return JSONResponse({"sessions": live, "refresh": self._accounts.refresh, "codes": self._accounts.codes})

    async def change_settings(self, request: Request) -> Response:
        """Change some of `SETTINGS`."""
        wanted = await json_body(request)
        if strange := set(wanted) - set(self._accounts.settings):
            raise ControlError(f"no such setting: {', '.join(sorted(strange))}")
        self._accounts.settings |= wanted
        return JSONResponse(self._accounts.settings)

    async def change_account(self, request: Request) -> Response:
        """Change an account's profiles or limit; a new name is a new account."""
        name = request.path_params["name"]
        known = self._accounts.accounts.setdefault(name, HOST | {"owner": f"owner of {name}"})
        known |= await json_body(request)
        return JSONResponse(known)

    async def decide(self, request: Request) -> Response:
        """Play the person: `user_code`, `answer` (approved or denied), and of which `account`."""
        body = await json_body(request)
        if not self._accounts.decide(str(body["user_code"]), str(body["answer"]), str(body.get("account", "host"))):
            raise ControlError("no such code is pending")
        return JSONResponse(body)

    async def end_all(self, _request: Request) -> Response:
        """Play the owner who ends all sessions on the account's page."""
        self._accounts.end_all()
        return JSONResponse({})


def build(frame: Frame) -> ServiceApp:
    """The stand-in with one account; saved state is loaded afterwards."""
    accounts = Accounts(frame)
    api = Api(accounts, f"{frame.base_url}/{accounts.name}")
    frame.is_session_live = accounts.is_live
    return ServiceApp(
        app=Starlette(routes=api.routes()),
        content=accounts,
        refuse=api.refuse,
        control_routes=HytaleControl(accounts).routes(),
        title="Hytale",
        home="/device",
    )
