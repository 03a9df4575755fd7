"""Django's users and groups in unfold's clothes, and who fails to log in."""

from typing import Any

from axes.models import AccessAttempt
from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User
from django.http import HttpRequest
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from jobs.admin.base import ModelAdmin, ReadOnlyAdmin

admin.site.unregister([User, Group])


@admin.register(User)
class StaffAdmin(UserAdmin, ModelAdmin):  # type: ignore[type-arg]
    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm


@admin.register(Group)
class RoleAdmin(GroupAdmin, ModelAdmin):
    pass


@admin.register(AccessAttempt)
class FailedLoginAdmin(ReadOnlyAdmin):
    """Deleting a row lets its user in again before the time."""

    list_display = ("attempt_time", "username", "ip_address", "failures_since_start", "user_agent")
    fields = readonly_fields = (*list_display, "path_info")
    search_fields = ("username__startswith", "ip_address__startswith")
    actions = ()

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("axes.delete_accessattempt")
