"""Databases that SQLAlchemy speaks to: how they are reached, read and written."""

from noria.connectors.sql.connector import SQL

__all__ = ["SQL"]
