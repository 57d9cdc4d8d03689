"""Reports: self-contained pages with charts and tables."""
