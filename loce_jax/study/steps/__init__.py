"""The steps of `loce analyze`, a file a step: embeddings of one layer in, numbers, tables and pictures out."""
