"""Bank statements as CSV: which columns hold what, and amounts as banks of different countries write them."""

import csv
import hashlib
import io
import re
from collections import Counter
from dataclasses import dataclass
from datetime import date, datetime

from django.utils.translation import gettext as _

from core.money import Money, exponent

# The names of columns, in lower case, as banks call them.
COLUMNS = {
    "date": ("date", "booking date", "booked on", "value date", "buchungstag", "valuta", "tanggal"),
    "amount": ("amount", "credit", "paid in", "betrag", "jumlah", "kredit"),
    "text": ("reference", "description", "details", "text", "verwendungszweck", "keterangan", "remittance information"),
    "payer": ("payer", "name", "counterparty", "auftraggeber", "nama"),
    "currency": ("currency", "waehrung", "währung", "mata uang"),
}
REQUIRED = ("date", "amount", "text")
DATE_FORMATS = ("%Y-%m-%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y")
NUMBER = re.compile(r"[+-]?[0-9][0-9.,' ]*")


class StatementError(ValueError):
    """The statement cannot be read; the text tells staff why."""


@dataclass(frozen=True)
class ParsedLine:
    """Money that arrived, as a statement says it. `number` counts the equal lines of the statement from one."""

    booked_on: date
    amount: Money
    text: str
    payer: str
    number: int

    def fingerprint(self, earlier: int = 0) -> str:
        """What tells it from every other line of the account, where so many equal ones came before its statement."""
        what = [str(self.booked_on), str(self.amount.minor), self.amount.currency, self.text, self.payer]
        return hashlib.sha256("\n".join([*what, str(self.number + earlier)]).encode()).hexdigest()


def parse_statement(content: str, *, currency: str, date_format: str) -> list[ParsedLine]:
    """The lines by which money arrived; what left the account is left out. Raises StatementError.

    Equal lines of one statement are told apart by their number, so that reading it again gives the same ones.
    """
    content = content.lstrip("\ufeff").strip()
    delimiter = max(";,\t", key=content.partition("\n")[0].count)
    rows = csv.reader(io.StringIO(content), delimiter=delimiter)
    header = [name.strip().lower() for name in next(rows, [])]
    places = {
        kind: next((header.index(name) for name in names if name in header), None) for kind, names in COLUMNS.items()
    }
    if missing := [kind for kind in REQUIRED if places[kind] is None]:
        raise StatementError(_("The first line names no column for: %(columns)s.") % {"columns": ", ".join(missing)})
    seen: Counter[tuple[date, Money, str, str]] = Counter()
    lines = []
    for number, row in enumerate(rows, start=2):
        cells = {
            kind: row[place].strip() if place is not None and place < len(row) else "" for kind, place in places.items()
        }
        if not any(cells.values()):
            continue
        try:
            booked_on = datetime.strptime(cells["date"], date_format).date()  # noqa: DTZ007 - a day has no zone
            amount = parse_amount(cells["amount"], cells["currency"].upper() or currency)
        except ValueError:
            text = _("Line %(number)s cannot be read: %(date)s, %(amount)s.")
            raise StatementError(text % {"number": number, "date": cells["date"], "amount": cells["amount"]}) from None
        if amount.minor <= 0:
            continue
        what = (booked_on, amount, cells["text"][:500], cells["payer"][:140])
        seen[what] += 1
        lines.append(ParsedLine(*what, seen[what]))
    return lines


def parse_amount(text: str, currency: str) -> Money:
    """An amount as a bank writes it: "1.234,56", "1,234.56", "150.000". Raises ValueError.

    A separator before exactly three digits is one of thousands, except in a currency of three decimals.
    """
    text = text.strip()
    if not NUMBER.fullmatch(text):
        raise ValueError(text)
    digits = text.lstrip("+").replace(" ", "").replace("'", "")
    last = max(digits.rfind("."), digits.rfind(","))
    if last >= 0:
        separator, decimals = digits[last], len(digits) - last - 1
        is_only_kind = ("," if separator == "." else ".") not in digits
        is_thousands = is_only_kind and (digits.count(separator) > 1 or (decimals == 3 and exponent(currency) != 3))
        whole = re.sub("[.,]", "", digits if is_thousands else digits[:last])
        digits = whole if is_thousands else f"{whole}.{digits[last + 1 :]}"
    return Money.parse(digits, currency)
