"""The admin of users and groups: Django's own, with the columns that matter here."""

from typing import TYPE_CHECKING, Any

from axes.models import AccessFailureLog, AccessLog
from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User
from django.db.models import Count, QuerySet
from django.http import HttpRequest

if TYPE_CHECKING:  # generic for the type checker alone
    AnyAdmin = admin.ModelAdmin[Any]
    DjangoUserAdmin = UserAdmin[User]
else:
    AnyAdmin = object
    DjangoUserAdmin = UserAdmin

admin.site.unregister(User)
admin.site.unregister(Group)
# Failed logins are counted per name and address; these books of single logins are not kept.
admin.site.unregister(AccessLog)
admin.site.unregister(AccessFailureLog)


class Searched(AnyAdmin):
    """Searched for any words, also by the fields of a form that complete names."""

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """What has the words; PostgreSQL refuses to look for a NUL, which nothing has."""
        return super().get_search_results(request, queryset, search_term.replace("\x00", ""))


@admin.register(User)
class FarmUserAdmin(Searched, DjangoUserAdmin):
    """Users. Whoever owns runs or workers cannot be deleted; deactivate the account instead."""

    list_display = ("username", "email", "is_active", "is_staff", "is_superuser", "last_login")
    list_filter = ("is_active", "is_staff", "is_superuser", "groups")
    show_facets = admin.ShowFacets.NEVER
    show_full_result_count = False
    list_per_page = 50


@admin.register(Group)
class FarmGroupAdmin(Searched, GroupAdmin):
    """Groups. The members of a run's group may see, work and change the run."""

    list_display = ("name", "members")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Group]:
        """With the number of members."""
        groups: QuerySet[Group] = super().get_queryset(request)
        return groups.annotate(member_count=Count("user"))

    @admin.display(description="members", ordering="member_count")
    def members(self, group: Any) -> int:
        """How many users are in it."""
        return int(group.member_count)
