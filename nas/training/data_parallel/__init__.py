"""One training in several processes, which together take the steps that one process would."""
