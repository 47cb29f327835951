"""The `anomaly` head: what a device does against its own normal, learnt from its first rows, without a label."""
