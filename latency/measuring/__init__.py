"""How a latency is measured: quiet, interleaved, with an interval, cached by network and device."""
