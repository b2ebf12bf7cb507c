"""Connector NAME for noria."""
