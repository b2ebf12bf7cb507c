"""Files in folders and object stores: how they are reached, read and written."""

from noria.connectors.files.connector import FILE

__all__ = ["FILE"]
