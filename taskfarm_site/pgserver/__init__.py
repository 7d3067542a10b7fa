"""A database backend for people without root: PostgreSQL from PyPI, started on demand."""
