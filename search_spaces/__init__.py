"""Networks as data, and search spaces of networks.

Start with `spec` (a network as data), then `space` (token sequences to networks and back), `spaces`
(MnasNet's space: `factorized`, with its blocks as data in `block_choices` and `mnasnet.yaml`), `heads`
(detection and segmentation), `cost` (parameters and MAdds), `references` (published networks), `layers` and
`network` (the `nn.Module`). Only `layers`, `network`, `heads.network` and `exporting` import
torch.
"""

from search_spaces.cost import Cost, count
from search_spaces.errors import InputError
from search_spaces.references import REFERENCES
from search_spaces.space import SearchesResolution, SearchSpace, Tokens
from search_spaces.spaces import SPACES, load_space
from search_spaces.spaces.elastic import ElasticSpace
from search_spaces.spaces.factorized import FactorizedSpace
from search_spaces.spec import ArchSpec, BlockSpec, HeadSpec, StemSpec

__all__ = [
    "REFERENCES",
    "SPACES",
    "ArchSpec",
    "BlockSpec",
    "Cost",
    "ElasticSpace",
    "FactorizedSpace",
    "HeadSpec",
    "InputError",
    "SearchSpace",
    "SearchesResolution",
    "StemSpec",
    "Tokens",
    "count",
    "load_space",
]
