"""What templates ask about accounts."""

from django import template
from django.contrib.auth import get_user_model

register = template.Library()


@register.simple_tag
def no_accounts_yet() -> bool:
    """Whether this is a fresh installation that nobody can log in to."""
    return not get_user_model().objects.exists()
