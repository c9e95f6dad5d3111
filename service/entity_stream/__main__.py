"""`python -m entity_stream`: the same as the command `entity-stream`."""

import sys

from entity_stream.cli import main

sys.exit(main())
