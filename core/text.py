"""What may stand in a text that others read."""

import unicodedata

from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

# Persian and Indic words and joined emoji need these two; every other format character hides or turns text around.
JOINERS = frozenset("\u200c\u200d")
INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def validate_visible(text: str) -> None:
    """Raise ValidationError for control characters and marks of direction: they make one name look like another."""
    if any(unicodedata.category(each) in INVISIBLE and each not in JOINERS for each in text):
        raise ValidationError(_("Remove the invisible characters: a name may hold no control or direction marks."))
