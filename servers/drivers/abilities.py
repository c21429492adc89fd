"""What only some providers can do: small protocols beside the core `servers.drivers.base.Driver`.

A driver has an ability when it has its methods. Who uses one asks `isinstance(driver, Power)`, and never for the
vendor's name. What a provider has is listed by the protocols of `servers.drivers.inventory`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable
from uuid import UUID

from servers.drivers.base import Account, PowerAction, RemoteServer, ServerSpec, Usage


@dataclass(frozen=True)
class AccountOwner:
    """The user that an account at the provider is for; `key` is our user's id."""

    key: UUID
    email: str
    first_name: str
    last_name: str


@runtime_checkable
class Accounts(Protocol):
    """A provider where every server belongs to an account of its owner."""

    def account_of(self, owner: AccountOwner) -> Account:
        """The owner's account, created if necessary. One call at a time per provider. Raises AccountConflict."""

    def update_account(self, account: Account, owner: AccountOwner) -> Account:
        """Give the account its owner's present address and name. Raises AccountConflict, AccountNotFound."""


@runtime_checkable
class ComparedCreation(Protocol):
    """A provider that takes no key of ours when it creates a server: only what it had before tells what was created.

    Of each account's servers one is created at a time.
    """

    def before_create(self, spec: ServerSpec) -> Mapping[str, Any]:
        """What `find` will compare with after a lost answer: JSON, stored before `create` as `Attempt.note`.

        Raises AccountNotFound, and Rejected where `create` would.
        """


@runtime_checkable
class Power(Protocol):
    """A provider whose servers can be started and stopped."""

    def send_power_action(self, identifier: str, action: PowerAction) -> None:
        """Start, stop, restart or kill it; the outcome shows later. Raises WrongState, NotOnNode."""


@runtime_checkable
class UsageFigures(Protocol):
    """A provider that says what a server uses, and so whether it runs."""

    def usage(self, identifier: str) -> Usage:
        """What it uses; may be some seconds old. Raises WrongState, NotOnNode."""


@runtime_checkable
class Reinstall(Protocol):
    """A provider that can install a server again."""

    def reinstall(self, spec: ServerSpec, remote: RemoteServer) -> None:
        """Install again from the start; a machine or a container from its spec's build. Raises NotOnNode.

        `DriverFacts.reinstall_keeps_data` says what is lost.
        """


@runtime_checkable
class HiddenVariables(Protocol):
    """A provider whose games have settings that their customers cannot see."""

    def set_hidden_variables(self, ref: str, values: Mapping[str, str]) -> None:
        """Give the server with this ref other values, which it gets at its next start. Safe to repeat.

        Raises Rejected where customers could see one of them.
        """


@runtime_checkable
class SharedAccess(Protocol):
    """A provider where the owner of a server lets others in by themselves, beside what our pages know."""

    def guests(self, identifier: str) -> Sequence[str]:
        """The refs of all who were let in beside the owner. Raises WrongState."""

    def remove_guest(self, identifier: str, ref: str) -> None:
        """They are not let in any more; already removed is fine. Raises WrongState."""


@runtime_checkable
class AllowedImages(Protocol):
    """A provider that makes servers only from images which its operator allows."""

    def allowed_images(self) -> Sequence[str]:
        """The images, as the operator lists them; none where that list is not valid. Makes no call."""

    def image_problem(self, image: str) -> str:
        """Why nothing is built from this image; empty where it may be. Makes no call."""


@runtime_checkable
class Suspension(Protocol):
    """A provider that can keep a server stopped."""

    def suspend(self, remote: RemoteServer) -> None:
        """Stop it and keep it stopped. Raises NotOnNode."""

    def resume(self, remote: RemoteServer) -> None:
        """Lift a suspension; nothing is started. Raises NotOnNode."""


@runtime_checkable
class FinalBackup(Protocol):
    """A provider that keeps a copy of a server's disk after the server is gone."""

    def keep_final_backup(self, spec: ServerSpec, remote: RemoteServer) -> bool:
        """Have the copy made; whether it is there. Called again until it is, makes one copy. Raises Rejected."""
