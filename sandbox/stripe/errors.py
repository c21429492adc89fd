"""Stripe's error answers, one constructor per kind the stand-in gives."""

from typing import Any

from sandbox.state import JsonObject

DOCS = "https://docs.stripe.com/error-codes/"


class StripeError(Exception):
    """An answer in Stripe's error form; `is_stored` is whether an idempotency key remembers it."""

    def __init__(self, status: int, kind: str, message: str, **details: Any) -> None:
        super().__init__(message)
        self.status = status
        self.is_stored: bool = details.pop("is_stored", False)
        self.body: JsonObject = {"type": kind, "message": message}
        self.body.update({key: value for key, value in details.items() if value is not None})
        if "code" in self.body:
            self.body["doc_url"] = DOCS + self.body["code"].replace("_", "-")


def invalid(message: str, *, param: str | None = None, code: str | None = None) -> StripeError:
    """400: a parameter makes no sense; nothing ran, so no key remembers it."""
    return StripeError(400, "invalid_request_error", message, param=param, code=code)


def unknown_parameter(param: str) -> StripeError:
    """400: the parameter does not exist in this API version."""
    return invalid(f"Received unknown parameter: {param}", param=param, code="parameter_unknown")


def missing_parameter(param: str) -> StripeError:
    """400: a required parameter was left out."""
    return invalid(f"Missing required param: {param}.", param=param, code="parameter_missing")


def missing_resource(noun: str, identity: str, param: str | None) -> StripeError:
    """404 for an id in the path, 400 for one in a parameter."""
    message = f"No such {noun}: '{identity}'"
    status = 404 if param is None else 400
    return StripeError(status, "invalid_request_error", message, param=param or "id", code="resource_missing")


def wrong_state(message: str, *, code: str | None = None, **details: Any) -> StripeError:
    """400: the parameters are fine but the object's state forbids it; a key remembers it."""
    return StripeError(400, "invalid_request_error", message, code=code, is_stored=True, **details)


def card(message: str, *, code: str, decline_code: str | None, **details: Any) -> StripeError:
    """402: the bank refused the charge."""
    return StripeError(402, "card_error", message, code=code, decline_code=decline_code, is_stored=True, **details)


def unauthorized(message: str) -> StripeError:
    """401: no key, or not one of ours."""
    return StripeError(401, "invalid_request_error", message)


def key_reused(key: str) -> StripeError:
    """400: the idempotency key belongs to other parameters."""
    return StripeError(
        400,
        "idempotency_error",
        "Keys for idempotent requests can only be used with the same parameters they were first used with. "
        f"Try using a key other than '{key}' if you meant to execute a different request.",
    )


def key_in_use(key: str) -> StripeError:
    """409: the first request under this key is still running."""
    return StripeError(
        409,
        "idempotency_error",
        f"There is currently another in-progress request using this Idempotent Key: {key}. Please try again later.",
        code="idempotency_key_in_use",
    )


def armed(status: int) -> StripeError:
    """The answer of an armed status fault, in the form Stripe gives that status; 5xx are remembered by keys."""
    kinds = {
        401: ("invalid_request_error", "Invalid API Key provided: sk_test_****", None),
        403: ("invalid_request_error", "The provided key does not have the required permissions.", None),
        404: ("invalid_request_error", "No such resource.", "resource_missing"),
        409: ("invalid_request_error", "This object cannot be accessed right now; try again.", "lock_timeout"),
        429: ("invalid_request_error", "Request rate limit exceeded.", "rate_limit"),
    }
    default = ("api_error" if status >= 500 else "invalid_request_error", "An unknown error occurred", None)
    kind, message, code = kinds.get(status, default)
    return StripeError(status, kind, message, code=code, is_stored=status >= 500)
