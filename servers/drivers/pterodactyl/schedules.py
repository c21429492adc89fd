"""The schedules of a panel's servers, by its client API. Their times are in the panel's zone, which is UTC."""

from typing import Any

from django.utils.translation import gettext_lazy as _

from core import outside
from servers.drivers.pterodactyl.client import PanelClient, items_of, related
from servers.drivers.pterodactyl.self_service import client_path, raise_refused
from servers.drivers.self_service import CRON_FIELDS, RemoteSchedule, RemoteTask

SENTENCES = {"DisplayException": _("The times of the schedule are not valid, or it has nothing to do.")}


class PanelSchedules:
    """The schedules of a panel's servers."""

    _panel: PanelClient

    def schedules(self, identifier: str) -> list[RemoteSchedule]:
        """Every schedule of the server, with its tasks, by name."""
        body = self._panel.client_read(client_path(identifier, "schedules"))
        return sorted((_schedule(each) for each in items_of(body)), key=lambda schedule: (schedule.name, schedule.ref))

    def create_schedule(self, identifier: str, name: str, cron: str, task: RemoteTask) -> None:
        """Make what is missing of it: the schedule, or only its task. So a repeat after a lost answer is safe."""
        same = [each for each in self.schedules(identifier) if (each.name, each.cron) == (name, cron)]
        if any(task in each.tasks for each in same):
            return
        ref = next((each.ref for each in same if not each.tasks), "")
        if not ref:
            made = self._write(client_path(identifier, "schedules"), _fields(name, cron, is_active=True))
            ref = str(made["attributes"]["id"])
        wanted = {"action": task.action, "payload": task.payload, "time_offset": 0}
        self._write(client_path(identifier, "schedules", ref, "tasks"), wanted)

    def switch_schedule(self, identifier: str, ref: str, is_active: bool) -> None:  # noqa: FBT001
        """The panel's call replaces all fields, so what they are now is read first."""
        path = client_path(identifier, "schedules", ref)
        present = _schedule(self._panel.client_read(path)["attributes"])
        self._write(path, _fields(present.name, present.cron, is_active=is_active))

    def run_schedule(self, identifier: str, ref: str) -> None:
        """Begin its tasks now."""
        try:
            self._panel.client_write(client_path(identifier, "schedules", ref, "execute"), {})
        except outside.OutsideError as error:
            raise_refused(error, SENTENCES)
            raise

    def delete_schedule(self, identifier: str, ref: str) -> None:
        """Delete one with its tasks."""
        self._panel.client_delete(client_path(identifier, "schedules", ref))

    def _write(self, path: str, fields: dict[str, Any]) -> dict[str, Any]:
        try:
            return self._panel.client_answer(path, fields)
        except outside.OutsideError as error:
            raise_refused(error, SENTENCES)
            raise


def _schedule(attributes: dict[str, Any]) -> RemoteSchedule:
    return RemoteSchedule(
        ref=str(attributes["id"]),
        name=str(attributes["name"]),
        cron=" ".join(str(attributes["cron"][name]) for name in CRON_FIELDS),
        is_active=bool(attributes["is_active"]),
        next_at=str(attributes["next_run_at"] or ""),
        last_at=str(attributes["last_run_at"] or ""),
        tasks=[RemoteTask(str(each["action"]), str(each["payload"] or "")) for each in related(attributes, "tasks")],
    )


def _fields(name: str, cron: str, *, is_active: bool) -> dict[str, Any]:
    fields: dict[str, Any] = dict(zip(CRON_FIELDS, cron.split(), strict=True))
    return {**fields, "name": name, "is_active": is_active, "only_when_online": False}
