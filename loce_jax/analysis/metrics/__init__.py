"""One file a metric: IoU, purity, cluster agreement, spread, quality, separation, overlap, confusion, retrieval."""
