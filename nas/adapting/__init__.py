"""NetAdapt over a run folder: its plan, settings, baselines, results."""
