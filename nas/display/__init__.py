"""Show progress on a terminal, or log it elsewhere."""
