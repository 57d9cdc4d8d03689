"""Images: found, checked, decoded, split, and handed to training as batches of uint8."""
