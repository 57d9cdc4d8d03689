"""Train networks alike, with several seeds, and say which is better on the same images and device."""
