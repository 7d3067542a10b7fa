"""The Django project: settings, addresses, system checks."""

__version__ = "0.5.0"
