"""One file a metric: IoU, purity, separation, overlap, confusion, retrieval, cluster agreement, comparison."""
