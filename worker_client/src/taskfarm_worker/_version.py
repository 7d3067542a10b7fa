"""The one place that states the version of the client."""

__version__ = "0.5.0"
