"""The family tree of a run."""

from evogit.phylogeny.advances import advance
from evogit.phylogeny.askings import Asking, askings
from evogit.phylogeny.clades import Clades, clades_of
from evogit.phylogeny.contributions import Contribution, by_agent, by_operator
from evogit.phylogeny.earlier import still_open, to_measure_again
from evogit.phylogeny.graph import Phylogeny
from evogit.phylogeny.interop import attributes, to_networkx
from evogit.phylogeny.keeping import Keep, chosen
from evogit.phylogeny.learned import Learned, lessons, worth_telling
from evogit.phylogeny.takeover import Takeover, takeover
from evogit.phylogeny.trials import Trials

__all__ = [
    "Asking", "Clades", "Contribution", "Keep", "Learned", "Phylogeny", "Takeover", "Trials", "advance", "askings",
    "attributes", "by_agent", "by_operator", "chosen", "clades_of", "lessons", "still_open", "takeover",
    "to_measure_again", "to_networkx", "worth_telling",
]  # fmt: skip
