"""What staff say of single servers of an import: a CSV whose first line names the columns."""

import csv
import io
from collections.abc import Sequence
from datetime import date

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.utils.translation import gettext as _

from orders.adoption import TERMS

COLUMNS = ("ref", "email", "plan", "term", "billed_from")
MAX_CHARACTERS, MAX_CELL = 4_000_000, 191


class MappingError(ValueError):
    """The mapping cannot be read; the text says where."""


def parse_mapping(content: str) -> list[dict[str, str]]:
    """A row for each server: its number at the provider, and what is not to be decided by the import itself.

    Empty cells are left out. Raises MappingError.
    """
    content = content.lstrip("\ufeff").strip()
    if not content:
        return []
    if len(content) > MAX_CHARACTERS or "\x00" in content:
        raise MappingError(_("This is too long, or no text."))
    delimiter = max(";,\t", key=content.partition("\n")[0].count)
    try:
        lines = list(csv.reader(io.StringIO(content), delimiter=delimiter, strict=True))
    except csv.Error as error:
        raise MappingError(_("This is no CSV: %(error)s.") % {"error": error}) from error
    header = [name.strip().lower() for name in lines[0]]
    if "ref" not in header or len(set(header)) < len(header) or set(header) - set(COLUMNS):
        raise MappingError(_("The first line names columns: ref, and any of email, plan, term and billed_from."))
    rows: dict[str, dict[str, str]] = {}
    for number, cells in enumerate(lines[1:], start=2):
        row = {name: cell.strip() for name, cell in zip(header, cells, strict=False) if cell.strip()}
        if not row:
            continue
        if problem := row_problem(row, cells, header):
            raise MappingError(_("Line %(number)s: %(problem)s") % {"number": number, "problem": problem})
        if row["ref"] in rows:
            raise MappingError(_("Line %(number)s: %(ref)s is there twice.") % {"number": number, "ref": row["ref"]})
        rows[row["ref"]] = row
    return list(rows.values())


def row_problem(row: dict[str, str], cells: Sequence[str], header: Sequence[str]) -> str:
    """What is wrong with a line; empty where nothing is."""
    if len(cells) > len(header) or any(len(cell) > MAX_CELL for cell in row.values()):
        return _("it has too many cells, or one that is too long.")
    if "ref" not in row:
        return _("it names no server.")
    if row.get("term", TERMS[0]) not in TERMS:
        return _("the term is one of %(terms)s.") % {"terms": ", ".join(TERMS)}
    try:
        validate_email(row.get("email", "a@example.com"))
        date.fromisoformat(row.get("billed_from", "2026-01-01"))
    except (ValidationError, ValueError):
        return _("the email address or the date is wrong. A date is written as 2026-12-31.")
    return ""
