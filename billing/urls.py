"""URLs of billing: invoices and webhooks."""

from django.urls import path

from billing import method_views, payment_views, transfer_views, views, webhooks

app_name = "billing"
urlpatterns = [
    path("invoices/", views.invoices, name="invoices"),
    path("invoices/pay-all/", payment_views.pay_due, name="pay_all"),
    path("invoices/<uuid:pk>/", views.invoice, name="invoice"),
    path("invoices/<uuid:pk>/pay/", payment_views.pay, name="pay"),
    path("invoices/<uuid:pk>/confirm/", payment_views.confirm_charge, name="confirm_charge"),
    path("payment-methods/", method_views.payment_methods, name="payment_methods"),
    path("payment-methods/add/", method_views.add_method, name="add_method"),
    path("payment-methods/portal/", method_views.portal, name="portal"),
    path("payment-methods/<uuid:pk>/default/", method_views.make_default, name="method_default"),
    path("payment-methods/<uuid:pk>/remove/", method_views.remove, name="method_remove"),
    path("invoices/<uuid:pk>/pdf/", views.invoice_pdf, name="invoice_pdf"),
    path("credit-notes/<uuid:pk>/pdf/", views.credit_note_pdf, name="credit_note_pdf"),
    path("transfers/<uuid:pk>/", transfer_views.transfer, name="transfer"),
    path("webhooks/<slug:gateway>/", webhooks.receive, name="webhook"),
]
