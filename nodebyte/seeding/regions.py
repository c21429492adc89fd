"""The regions of a demo: those of the stand-in panel's locations."""

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True)
class RegionSeed:
    """A region, by the code of the location that it is for."""

    code: str
    city: str
    country: str
    latitude: Decimal
    longitude: Decimal


REGIONS = (
    RegionSeed("eu", "Falkenstein", "DE", Decimal("50.48"), Decimal("12.37")),
    RegionSeed("us-east", "Ashburn", "US", Decimal("39.04"), Decimal("-77.49")),
    RegionSeed("us-west", "Hillsboro", "US", Decimal("45.52"), Decimal("-122.99")),
)
