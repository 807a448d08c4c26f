"""The steps of `loce analyze`, a file per step: embeddings of one layer in, numbers, tables and pictures out."""
