"""Applies Python statements to an HDF5 file, which they know as f. Usage: edit_file.py FILE STATEMENTS"""
import sys

import h5py
import numpy

with h5py.File(sys.argv[1], "r+") as f:
    exec(sys.argv[2], {"f": f, "h5py": h5py, "numpy": numpy})
