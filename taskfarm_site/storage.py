"""Where collected static files lie."""

from whitenoise.storage import CompressedManifestStaticFilesStorage


class HashedStorage(CompressedManifestStaticFilesStorage):  # type: ignore[misc]
    """Files with their hash in their name, those that a script imports included."""

    support_js_module_import_aggregation = True
