"""The search: its loop, settings, reward, time budget, proxy task and results."""
