"""What a search is about to do: targets, cost, and what earlier runs tell."""
