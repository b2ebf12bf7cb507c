"""What a run does: extract, deliver, replay."""

from noria.engine.run import Finished, run_plan
from noria.engine.workspace import Workspace

__all__ = ["Finished", "Workspace", "run_plan"]
