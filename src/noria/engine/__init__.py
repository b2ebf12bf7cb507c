"""What a run does: extract, deliver, replay."""

from noria.engine.run import Finished, reconcile_plan, run_plan
from noria.engine.workspace import Workspace

__all__ = ["Finished", "Workspace", "reconcile_plan", "run_plan"]
