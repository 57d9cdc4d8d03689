"""How weights are updated and averaged."""
