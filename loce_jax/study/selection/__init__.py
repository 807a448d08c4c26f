"""What an analysis looks at: which rows of a run, at which layers, with which photographs."""
