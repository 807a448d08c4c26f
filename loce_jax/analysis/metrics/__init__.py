"""One file per metric: IoU, purity, cluster agreement, spread, quality, separation, overlap, confusion, retrieval."""
