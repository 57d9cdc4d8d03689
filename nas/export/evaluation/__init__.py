"""What an exported network, or a checkpoint, does on images."""
