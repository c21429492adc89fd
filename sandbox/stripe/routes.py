"""Every API call of the stand-in, as one table."""

from sandbox.stripe import (
    customers,
    events,
    invoices,
    payment_intents,
    payment_methods,
    portal,
    prices,
    refunds,
    renewals,
    session_fields,
    sessions,
    setup_intents,
    subscriptions,
)
from sandbox.stripe.endpoints import delete, get, get_all, get_list, get_object, post
from sandbox.stripe.schema import Choice, Spec, Text, Url

OF_CUSTOMER: dict[str, Spec] = {"customer": Text()}
OF_PAYMENT: dict[str, Spec] = {"charge": Text(), "payment_intent": Text()}
METHOD_TYPE: dict[str, Spec] = {"type": Choice("card", "us_bank_account")}

ENDPOINTS = [
    get_all("/v1/balance_transactions", "balance_transaction", {"source": Text(), "type": Text()}),
    get("/v1/balance_transactions/{id}", "balance_transaction"),
    post("/v1/billing_portal/sessions", portal.create, {"customer": Text(), "return_url": Url()}, ("customer",)),
    get_all("/v1/charges", "charge", {"customer": Text(), "payment_intent": Text()}),
    get("/v1/charges/{id}", "charge"),
    post("/v1/checkout/sessions", sessions.create, session_fields.FIELDS, ("mode",)),
    get_all("/v1/checkout/sessions", "checkout.session", sessions.FILTERS),
    get("/v1/checkout/sessions/{id}", "checkout.session"),
    post("/v1/checkout/sessions/{id}/expire", sessions.expire_call),
    get_list("/v1/checkout/sessions/{id}/line_items", sessions.list_line_items),
    post("/v1/customers", customers.create, customers.CREATE_FIELDS),
    get_all("/v1/customers", "customer"),
    get("/v1/customers/{id}", "customer"),
    post("/v1/customers/{id}", customers.update, customers.UPDATE_FIELDS),
    get_list("/v1/customers/{id}/payment_methods", payment_methods.list_of_customer, METHOD_TYPE),
    get_all("/v1/disputes", "dispute", OF_PAYMENT),
    get("/v1/disputes/{id}", "dispute"),
    get_list("/v1/events", events.list_events, events.FILTERS),
    get_object("/v1/events/{id}", events.retrieve),
    get_list("/v1/invoice_payments", invoices.list_payments, invoices.PAYMENT_FILTERS),
    get("/v1/invoices/{id}", "invoice"),
    post("/v1/invoices/{id}/pay", renewals.pay, {"payment_method": Text()}),
    post("/v1/payment_intents", payment_intents.create, payment_intents.CREATE_FIELDS, ("amount", "currency")),
    get_all("/v1/payment_intents", "payment_intent", OF_CUSTOMER),
    get("/v1/payment_intents/{id}", "payment_intent"),
    post("/v1/payment_intents/{id}/cancel", payment_intents.cancel_call, payment_intents.CANCEL_FIELDS),
    post("/v1/payment_intents/{id}/confirm", payment_intents.confirm_call, payment_intents.CONFIRM_FIELDS),
    get("/v1/payment_methods/{id}", "payment_method"),
    post("/v1/payment_methods/{id}/attach", payment_methods.attach_call, OF_CUSTOMER, ("customer",)),
    post("/v1/payment_methods/{id}/detach", payment_methods.detach_call),
    post("/v1/prices", prices.create, prices.FIELDS, prices.REQUIRED),
    post("/v1/refunds", refunds.create, refunds.FIELDS),
    get_all("/v1/refunds", "refund", OF_PAYMENT),
    get("/v1/refunds/{id}", "refund"),
    post("/v1/setup_intents", setup_intents.create, setup_intents.FIELDS),
    get_all("/v1/setup_intents", "setup_intent", OF_CUSTOMER),
    get("/v1/setup_intents/{id}", "setup_intent"),
    post("/v1/setup_intents/{id}/confirm", setup_intents.confirm, {"payment_method": Text()}),
    get_list("/v1/subscriptions", subscriptions.list_call, subscriptions.FILTERS),
    get("/v1/subscriptions/{id}", "subscription"),
    post("/v1/subscriptions/{id}", subscriptions.update, subscriptions.UPDATE_FIELDS),
    delete("/v1/subscriptions/{id}", subscriptions.cancel),
]
