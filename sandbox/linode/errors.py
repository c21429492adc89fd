"""Linode's error envelope."""


class ApiError(Exception):
    """An answer with errors, each a reason and the field that it is about, or none."""

    def __init__(self, status: int, *errors: tuple[str, str]) -> None:
        super().__init__(errors)
        self.status, self.errors = status, errors

    def body(self) -> dict[str, list[dict[str, str]]]:
        """The envelope."""
        return {"errors": [({"field": field} if field else {}) | {"reason": text} for text, field in self.errors]}


BUSY = ("Linode busy.", "")
NOT_FOUND = ("Not found", "")
