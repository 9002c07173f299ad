"""Questions to models: what the family tree knows of a parent, within a number of tokens."""

from evogit.prompts.building import build
from evogit.prompts.gathering import gather
from evogit.prompts.material import Conflict, File, Instance, Material, Told
from evogit.prompts.reflecting import look_back

__all__ = ["Conflict", "File", "Instance", "Material", "Told", "build", "gather", "look_back"]
