"""The same scenarios with the release before, which most installations have."""

import os
import pathlib
import runpy
import sys

EARLIER = f"{os.environ['OUTFLOW_INSTALLED']}/python/earlier"
sys.path.insert(0, EARLIER)
os.environ["PYTHONPATH"] = f"{EARLIER}:{os.environ['PYTHONPATH']}"

import stomp  # noqa: E402

assert str(stomp.__version__).startswith(("8.", "(8,")), stomp.__version__
runpy.run_path(str(pathlib.Path(__file__).with_name("8_stomp.py")))
