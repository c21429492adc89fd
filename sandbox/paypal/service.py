"""The PayPal stand-in as one application, and the webhooks it sends between requests."""

from starlette.applications import Starlette

from sandbox.frame import Frame, ServiceApp
from sandbox.paypal.account import Account
from sandbox.paypal.api import Api
from sandbox.paypal.control import PayPalControl
from sandbox.paypal.delivery import WebhookSender
from sandbox.paypal.hosted import ApprovalPage


def build(frame: Frame) -> ServiceApp:
    """The stand-in over an empty account; saved state is loaded afterwards."""
    account = Account(frame)

    def save() -> None:
        frame.state.save(account)

    sender = WebhookSender(account, save)

    def commit() -> None:
        save()
        sender.tick()

    api = Api(account, commit)
    return ServiceApp(
        app=Starlette(routes=[*api.routes(), *ApprovalPage(account, commit).routes()]),
        content=account,
        refuse=api.refuse,
        control_routes=PayPalControl(account, sender, commit).routes(),
        background=sender,
        title="PayPal",
    )
