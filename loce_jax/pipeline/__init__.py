"""From a plan to a finished run: what work there is, how one chunk is read, solved, measured and stored."""
