"""The Tripay stand-in as one application, and the callbacks it sends between requests."""

from starlette.applications import Starlette

from sandbox.frame import Frame, ServiceApp
from sandbox.tripay.api import Api
from sandbox.tripay.control import TripayControl
from sandbox.tripay.delivery import CallbackSender
from sandbox.tripay.hosted import CheckoutPage
from sandbox.tripay.merchant import Merchant


def build(frame: Frame) -> ServiceApp:
    """The stand-in over an empty account; saved state is loaded afterwards."""
    merchant = Merchant(frame)

    def save() -> None:
        frame.state.save(merchant)

    sender = CallbackSender(merchant, save)

    def commit() -> None:
        save()
        sender.tick()

    api = Api(merchant, sender, commit)
    return ServiceApp(
        app=Starlette(routes=[*api.routes(), *CheckoutPage(merchant, commit).routes()]),
        content=merchant,
        refuse=api.refuse,
        control_routes=TripayControl(merchant, sender, commit).routes(),
        background=sender,
        title="Tripay",
    )
