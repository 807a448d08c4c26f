"""How much is done at once: every batch size of a run, and what it trades.

A `chunk` is stored as one file per layer, a `batch` goes through network and solver together.  None of these numbers
changes a result beyond rounding; `IMAGES_PER_CHUNK` and `MAX_PARTS` decide which files a run has.
"""

IMAGES_PER_FORWARD = 8  # in one pass through the network, on each device; the compiled program's fixed size
IMAGES_PER_BATCH = 32  # whose activations are solved together, unless memory is less; see `loce_jax.pipeline.memory`
IMAGES_PER_CHUNK = 32  # in one unit of work: what is lost at most when a process is killed
CHUNKS_OPEN = 2  # read at once: one that is worked on, one that is being read
IMAGES_PER_ITERATION = 256  # of the loop that XLA solves them in on an accelerator; 1 on a CPU, whose cache holds one
CONCEPTS_PER_CALL = 4  # of one image in one call of the solver, where it is compiled for a number of them
MAX_PARTS = 32  # of the images, whose statistics are stored; each is a file of 8 c^2 bytes for a layer of c channels
