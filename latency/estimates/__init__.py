"""Estimated latencies: from MAdds, from tables of pieces, from published figures."""
