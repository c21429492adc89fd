"""A killed sandbox goes on where it was, and the mailbox and start page do their part."""

import smtplib
from email.message import EmailMessage
from pathlib import Path

import requests

from sandbox import client
from tests.sandbox.stripe_shop import SECRET, Receiver, StripeShop, session_params


def test_everything_survives_a_kill(tmp_path: Path, receiver: Receiver) -> None:
    with client.start(tmp_path) as (process, sandbox):
        shop = StripeShop(sandbox)
        session = shop.v1.checkout.sessions.create(session_params(), {"idempotency_key": "k1"})
        paid = shop.charge()
        sandbox.stripe_endpoint(receiver.url, SECRET)
        sandbox.stripe_settings(gaps=[0.05, 0.05])
        receiver.answers = [500] * 2
        process.kill()
        process.wait()

    with client.start(tmp_path) as (_process, sandbox):
        shop = StripeShop(sandbox)
        assert shop.v1.payment_intents.retrieve(paid.id).status == "succeeded"
        again = shop.v1.checkout.sessions.create(session_params(), {"idempotency_key": "k1"})
        assert again.id == session.id
        old_port_page = sandbox.pay(f"{sandbox.stripe_url}/c/pay/{session.id}")
        assert old_port_page.is_accepted
        sandbox.settle_webhooks()
    assert "checkout.session.completed" in receiver.kinds


def test_a_reset_forgets_one_service_only(shop: StripeShop) -> None:
    shop.make_customer()
    send_mail(shop.sandbox, "ada@example.com", "Hello")

    shop.sandbox.reset("stripe")

    assert shop.sandbox.stripe_state().get("customer", []) == []
    assert len(shop.sandbox.mails()) == 1


def test_mail_is_kept_by_reader_with_its_links(shop: StripeShop) -> None:
    send_mail(shop.sandbox, "ada@example.com", "Confirm at https://shop.example/confirm?a=1&b=2 please")
    send_mail(shop.sandbox, "bob@example.com", "Hello")

    (mail,) = shop.sandbox.mails("Ada@example.com")

    assert mail["subject"] == "Grüße"
    assert mail["links"] == ["https://shop.example/confirm?a=1&b=2"]
    page = requests.get(f"{shop.sandbox.base_url}/mail/{mail['number']}", timeout=5)
    assert '<a href="https://shop.example/confirm?a=1&amp;b=2">' in page.text
    assert "<script>" not in page.text
    assert requests.get(f"{shop.sandbox.base_url}/mail/99", timeout=5).status_code == 404


def test_the_start_page_leads_everywhere(shop: StripeShop) -> None:
    start = requests.get(shop.sandbox.base_url, timeout=5)

    for path in ("/mail", "/stripe/", "/pterodactyl/"):
        assert f'href="{path}"' in start.text
        assert requests.get(shop.sandbox.base_url + path, timeout=5).status_code == 200


def send_mail(sandbox: client.Sandbox, to: str, text: str) -> None:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "shop@example.com", to, "Grüße"
    message.set_content(text)
    message.add_alternative(f"<p>{text}</p><script>alert(1)</script>", subtype="html")
    assert sandbox.smtp_port is not None
    with smtplib.SMTP("127.0.0.1", sandbox.smtp_port) as smtp:
        smtp.send_message(message)
