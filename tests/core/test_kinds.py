"""What only plugins extend is validated by their registries."""

from typing import Any

import pytest
from django.core.exceptions import ValidationError

from billing.models import GatewayAccount
from servers.models import Provider
from support.models import Delivery


@pytest.mark.parametrize(
    ("row", "field", "registered"),
    [
        (Provider(kind="balloon"), "kind", "pterodactyl"),
        (GatewayAccount(kind="balloon"), "kind", "stripe"),
        (Delivery(channel="balloon"), "channel", "email"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_kind_that_nobody_registered_is_refused_with_those_that_are(row: Any, field: str, registered: str) -> None:
    with pytest.raises(ValidationError) as refused:
        row.clean_fields()

    (message,) = refused.value.message_dict[field]
    assert message.startswith("“balloon” is not installed. Choose one of these: ")
    assert registered in message
    setattr(row, field, registered)
    with pytest.raises(ValidationError) as refused:
        row.clean_fields()
    assert field not in refused.value.message_dict
