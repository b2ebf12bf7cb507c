"""What a plan's documents say that can't be right: found without network, all at once."""

from noria.metadata.check.between import lookups_in
from noria.metadata.check.merging import OPERATIONS
from noria.metadata.check.plan import check_plan
from noria.metadata.check.rules import check_cron
from noria.metadata.check.tree import items_with_paths

__all__ = ["OPERATIONS", "check_cron", "check_plan", "items_with_paths", "lookups_in"]
