"""Networks as data, and the spaces they are searched in.

Start with `spec` (what a network is), then `space` (token sequences to networks and back) and
`factorized` (MnasNet's; its blocks as data are in `block_choices` and `spaces/mnasnet.yaml`), `cost`
(parameters and multiply-adds), `references` (the published networks) and `network` (the `nn.Module`;
with `onnx_export` the only file here that needs torch).
"""

from search_spaces.cost import Cost, count
from search_spaces.errors import InputError
from search_spaces.factorized import FactorizedSpace
from search_spaces.references import REFERENCES
from search_spaces.space import SearchSpace, Tokens
from search_spaces.spaces import SPACES, load_space
from search_spaces.spec import ArchSpec, BlockSpec, HeadSpec, StemSpec

__all__ = [
    "REFERENCES",
    "SPACES",
    "ArchSpec",
    "BlockSpec",
    "Cost",
    "FactorizedSpace",
    "HeadSpec",
    "InputError",
    "SearchSpace",
    "StemSpec",
    "Tokens",
    "count",
    "load_space",
]
