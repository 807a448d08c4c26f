"""From a PyTorch network to our graph, through `torch.export`; the only files that import PyTorch."""
