"""Django's users and groups in unfold's clothes, and who fails to log in."""

from typing import Any

from axes.models import AccessAttempt
from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User
from django.http import HttpRequest, HttpResponse
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from jobs.admin.audit import Audited
from jobs.admin.base import ReadOnlyAdmin

admin.site.unregister([User, Group])


@admin.register(User)
class StaffAdmin(UserAdmin, Audited):  # type: ignore[type-arg]
    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    kept_back = frozenset({"password", "password1", "password2", "usable_password"})

    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> HttpResponse:  # noqa: A002
        answer = super().user_change_password(request, id, form_url)
        if answer.status_code == 302:
            self.record(request, User.objects.get(pk=id), "password changed")
        return answer


@admin.register(Group)
class RoleAdmin(GroupAdmin, Audited):
    pass


@admin.register(AccessAttempt)
class FailedLoginAdmin(ReadOnlyAdmin, Audited):
    """Deleting a row lets its user in again before the time."""

    list_display = ("attempt_time", "username", "ip_address", "failures_since_start", "user_agent")
    fields = readonly_fields = (*list_display, "path_info")
    search_fields = ("username__startswith", "ip_address__startswith")
    actions = ()

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("axes.delete_accessattempt")
