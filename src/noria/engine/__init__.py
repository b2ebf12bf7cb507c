"""What a run does: extract, deliver, replay."""

from noria.engine.run import Finished, assist_plan, reconcile_plan, run_plan
from noria.engine.workspace import Workspace

__all__ = ["Finished", "Workspace", "assist_plan", "reconcile_plan", "run_plan"]
