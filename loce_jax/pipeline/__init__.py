"""From a plan to a finished run: which work there is, and how one chunk of it is done."""
