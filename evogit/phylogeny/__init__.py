"""The family tree of a run."""

from evogit.phylogeny.clades import Clades
from evogit.phylogeny.graph import Phylogeny
from evogit.phylogeny.interop import to_networkx

__all__ = ["Clades", "Phylogeny", "to_networkx"]
