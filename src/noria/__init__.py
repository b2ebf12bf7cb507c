"""noria: pulls records out of business systems, keeps every one in a ledger, maps and delivers them."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("noria")
except PackageNotFoundError:  # running from a source tree that was never installed
    __version__ = "0+unknown"
