"""Plan a search: targets, cost, and evidence from earlier runs."""
