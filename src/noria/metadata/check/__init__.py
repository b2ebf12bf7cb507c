"""What a plan's documents say that can't be right: found without network, all at once."""

from noria.metadata.check.between import lookups_in
from noria.metadata.check.items import ITEM_TYPES, items_with_paths
from noria.metadata.check.plan import check_plan
from noria.metadata.check.sides import OPERATIONS, check_cron

__all__ = ["ITEM_TYPES", "OPERATIONS", "check_cron", "check_plan", "items_with_paths", "lookups_in"]
