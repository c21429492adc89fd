"""URLs of the wallet."""

from django.urls import path

from billing import payment_views, wallet_views

app_name = "wallet"
urlpatterns = [
    path("wallet/", wallet_views.wallet, name="wallet"),
    path("wallet/statement.csv", wallet_views.statement_csv, name="statement"),
    path("wallet/top-up/", wallet_views.top_up, name="top_up"),
    path("wallet/automatic/", wallet_views.save_auto_top_up, name="auto_top_up"),
    path("wallet/top-ups/<uuid:pk>/confirm/", payment_views.confirm_top_up, name="confirm_top_up"),
    path("wallet/top-ups/<uuid:pk>/pay/", wallet_views.pay_top_up, name="pay_top_up"),
]
