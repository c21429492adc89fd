"""URLs of a customer's orders."""

from django.urls import path

from orders import views
from orders.changes import views as changes
from orders.transfers import views as transfers
from orders.waitlist import views as waitlist

app_name = "orders"
urlpatterns = [
    path("orders/", views.order_list, name="list"),
    path("orders/<uuid:pk>/", views.progress, name="progress"),
    path("orders/<uuid:pk>/pay/", views.pay, name="pay"),
    path("orders/<uuid:pk>/pay/with/", views.choose_payment, name="choose_payment"),
    path("orders/<uuid:pk>/confirm/", views.confirm_charge, name="confirm_charge"),
    path("orders/<uuid:pk>/cancel/", views.cancel, name="cancel"),
    path("waitlist/", waitlist.waitlist, name="waitlist"),
    path("waitlist/<uuid:pk>/leave/", waitlist.leave, name="leave_waitlist"),
    path("servers/<uuid:pk>/transfer/", transfers.offer, name="offer_server"),
    path("server-transfers/<uuid:pk>/", transfers.transfer, name="transfer"),
    path("server-transfers/<uuid:pk>/answer/", transfers.answer, name="answer_transfer"),
    path("server-transfers/<uuid:pk>/cancel/", transfers.cancel, name="cancel_transfer"),
    path("servers/<uuid:pk>/plan/", changes.choose, name="choose_plan"),
    path("plan-changes/<uuid:pk>/", changes.plan_change, name="plan_change"),
    path("plan-changes/<uuid:pk>/confirm/", changes.confirm, name="confirm_plan_change"),
    path("plan-changes/<uuid:pk>/pay/", changes.pay, name="pay_plan_change"),
    path("plan-changes/<uuid:pk>/confirm-charge/", changes.confirm_charge, name="confirm_plan_change_charge"),
    path("plan-changes/<uuid:pk>/cancel/", changes.cancel, name="cancel_plan_change"),
]
