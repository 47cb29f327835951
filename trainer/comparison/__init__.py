"""`forewarn-train compare`: bundles and methods side by side, at the same budget, on the same devices."""
