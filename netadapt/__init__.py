"""Layer-wise refinement of a found network to a target latency: it arrives with a later release."""
