"""System checks: what a user can get wrong in the settings, said by ``manage.py check``."""
