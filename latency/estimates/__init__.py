"""Latencies that are estimated: from MAdds, from tables of pieces, from published figures."""
