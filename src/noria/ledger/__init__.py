"""The ledger: pages, records, batches, attempts, watermarks and runs; the truth about every record."""

from noria.ledger.ledger import Ledger, ledger_of, open_ledger

__all__ = ["Ledger", "ledger_of", "open_ledger"]
