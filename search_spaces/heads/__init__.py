"""Heads of detectors and segmentation networks.

`specs` has them as data, `taps` which feature maps of the body they read, `network` their modules; `layers`
and `channel_spaces` follow a spec for counting and narrowing. `transforms` and `named` turn a classifier
into a network with such a head.
"""
