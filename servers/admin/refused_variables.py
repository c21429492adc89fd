"""The staff action that corrects the egg variables whose values were refused, and tries again."""

from typing import Any

from django import forms
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import UnfoldAdminTextInputWidget

from core.admin_base import ActionContext, ActionError, ActionForm, StaffAction
from core.masking import is_secret_name
from servers import services
from servers.builds import SECRET, environment_of
from servers.eggs import rules
from servers.models import EggVariable, Server, ServerStatus


class VariablesForm(ActionForm):
    """One field for each refused variable, with what is wrong with it; values that may be secret are not shown."""

    def __init__(self, *args: Any, row: Server, **kwargs: Any) -> None:
        super().__init__(*args, row=row, **kwargs)
        refused = EggVariable.objects.filter(
            egg=row.blueprint.egg, env_variable__in=row.variable_errors, is_present=True
        )
        self.variables = {variable.env_variable: variable for variable in refused.order_by("position")}
        customers = set(row.variables.filter(is_set_by_staff=False).values_list("env_variable", flat=True))
        generated = {name for name, value in row.blueprint.environment.items() if value == SECRET}
        values = environment_of(row).values
        for name, variable in self.variables.items():
            is_shown = name not in customers | generated and not is_secret_name(name)
            self.fields[name] = forms.CharField(
                label=variable.name,
                required=False,
                initial=values[name] if is_shown else "",
                widget=UnfoldAdminTextInputWidget,
                # unfold prints help texts unescaped, and the panel writes these.
                help_text=format_html("{} ({})", row.variable_errors[name], variable.rules),
            )

    def clean(self) -> dict[str, Any] | None:
        """Check the rules that are known here; the panel checks the others."""
        for name, variable in self.variables.items():
            for violation in rules.violations(variable.rules, self.cleaned_data.get(name, "")):
                self.add_error(name, str(violation.message))
        cleaned: dict[str, Any] | None = super().clean()
        return cleaned


def correct_variables(server: Server, context: ActionContext) -> str:
    """Store the values for this server only, and try again."""
    values = {name: context.data[name] for name in server.variable_errors if name in context.data}
    if not services.correct_variables(server_id=server.pk, values=values, actor=context.user, at=context.at):
        raise ActionError(_("The server is being set up again already."))
    return _("Saved. A worker sets up %(server)s again now.") % {"server": server}


CORRECT_VARIABLES = StaffAction(
    name="correct_variables",
    label=gettext_lazy("Correct settings"),
    run=correct_variables,
    permissions=("servers.change_server",),
    form=VariablesForm,
    description=gettext_lazy("The values count for this server only. A worker then sets it up again."),
    is_available=lambda server: server.status == ServerStatus.FAILED and bool(server.variable_errors),
    icon="edit_note",
)
