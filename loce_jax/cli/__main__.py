"""``python -m loce_jax.cli`` is the `loce` command."""

import sys

from loce_jax.cli import main

if __name__ == "__main__":
    sys.exit(main())
