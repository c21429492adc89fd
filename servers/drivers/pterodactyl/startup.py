"""How a panel's servers start, by its client API."""

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext_lazy as _

from core import outside
from servers.drivers.pterodactyl.client import PanelClient, items_of, validation_errors
from servers.drivers.pterodactyl.self_service import client_path, raise_refused
from servers.drivers.self_service import Refused, RemoteStartup, RemoteVariable

SENTENCES = {"BadRequestHttpException": _("This is set for you and cannot be changed here.")}


class PanelStartup:
    """Variables and images of a panel's servers."""

    _panel: PanelClient

    def startup(self, identifier: str) -> RemoteStartup:
        """The variables that users may see, and the images of the egg."""
        listed = self._panel.client_read(client_path(identifier, "startup"))
        server = self._panel.client_read(client_path(identifier))["attributes"]
        images = (listed.get("meta") or {}).get("docker_images")
        return RemoteStartup(
            variables=[
                RemoteVariable(
                    name=str(each["name"]),
                    description=str(each["description"] or ""),
                    env_variable=str(each["env_variable"]),
                    value=str(each["server_value"] if each["server_value"] is not None else ""),
                    is_editable=bool(each["is_editable"]),
                    rules=str(each["rules"]),
                )
                for each in items_of(listed)
            ],
            image=str(server["docker_image"]),
            images={str(label): str(image) for label, image in images.items()} if isinstance(images, dict) else {},
        )

    def set_variable(self, identifier: str, env_variable: str, value: str) -> None:
        """Give a variable another value, which the panel checks by the egg's rules."""
        self._put(client_path(identifier, "startup", "variable"), {"key": env_variable, "value": value}, env_variable)

    def set_image(self, identifier: str, image: str) -> None:
        """Choose another of the egg's images."""
        self._put(client_path(identifier, "settings", "docker-image"), {"docker_image": image}, image)

    def set_hidden_variables(self, ref: str, values: Mapping[str, str]) -> None:
        """By the application API. It replaces the rest of the startup too, which is sent as it is."""
        path = f"/servers/{int(ref)}"
        server = self._panel.read(path)["attributes"]
        container, present = server["container"], server["container"]["environment"]
        body = {
            "startup": container["startup_command"],
            "egg": int(server["egg"]),
            "image": container["image"],
            "skip_scripts": False,
            "environment": {name: str(value) for name, value in present.items() if value is not None} | dict(values),
        }
        try:
            self._panel.write("PATCH", f"{path}/startup", body)
        except outside.OutsideError as error:
            # The panel's own text of a refusal may repeat a value.
            reason = f"the panel did not take the hidden variables: {error.status or 'no answer'}"
            raise type(error)(reason, status=error.status, retry_after=error.retry_after, code=error.code) from None

    def _put(self, path: str, fields: dict[str, Any], name: str) -> None:
        try:
            self._panel.client_write(path, fields, method="PUT")
        except outside.OutsideError as error:
            raise_refused(error, SENTENCES)
            said = [each.detail for each in validation_errors(error)]
            if said:
                raise Refused(f"{name}: {' '.join(said)}", status=error.status, code=error.code) from None
            raise
