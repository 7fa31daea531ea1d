"""Lets torchvision load beside a CPU build of torch; Python runs this when it starts.

PyPI's torchvision is built for CUDA. Without CUDA its own operators do not load, and describing
them to torch fails, which ends the import of all of it. vLLM's processors need its resizing alone,
which is written in Python. A torchvision built for CPUs (pytorch.org) loses nothing here.
"""

import sys
from types import ModuleType

sys.modules["torchvision._meta_registrations"] = ModuleType("torchvision._meta_registrations")
