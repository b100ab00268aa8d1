"""Writes the content of an HDF5 file anew in many ways, as other tools would. Usage: rewrite_file.py FROM FOLDER"""
import os
import shutil
import subprocess
import sys

import h5py

source, folder = sys.argv[1:]


def repack(name, *options):
    subprocess.run(["h5repack", *options, source, os.path.join(folder, f"h5repack-{name}.h5")], check=True)


def copy(name, libver, userblock_size=0, **options):
    """A copy by h5py in a format from `libver` to that of HDF5 1.10, for what h5py's HDF5 knows beyond it triseg's need
    not read. More than eight attributes of an object lie in dense storage where the format has it."""
    path = os.path.join(folder, f"h5py-{name}.h5")
    with h5py.File(source, "r") as old, h5py.File(path, "w", libver=(libver, "v110"),
                                                  userblock_size=userblock_size) as new:
        def visit(path, of):
            if isinstance(of, h5py.Group):
                to = new.require_group(path)
            else:
                filters = options if of.shape and 0 not in of.shape else {}
                to = new.create_dataset(path, data=of[()], dtype=of.dtype, **filters)
            for key in of.attrs:
                to.attrs.create(key, of.attrs[key], dtype=of.attrs.get_id(key).dtype)

        for key in old.attrs:
            new.attrs.create(key, old.attrs[key], dtype=old.attrs.get_id(key).dtype)
        old.visititems(visit)


def copy_objects(name):
    """h5copy takes one object at a time and no attributes of the file itself."""
    path = os.path.join(folder, f"h5copy-{name}.h5")
    with h5py.File(source, "r") as old:
        for group in old:
            subprocess.run(["h5copy", "-i", source, "-o", path, "-s", group, "-d", group], check=True)
        with h5py.File(path, "r+") as new:
            for key in old.attrs:
                new.attrs.create(key, old.attrs[key], dtype=old.attrs.get_id(key).dtype)


for libver in ("earliest", "v108", "v110"):
    copy(libver, libver)
copy("gzip", "v110", compression="gzip", compression_opts=9, chunks=True)
copy("user-block", "v110", userblock_size=512)
if shutil.which("h5repack"):
    repack("plain")
    repack("latest", "--latest")
    repack("earliest", "--low=0", "--high=1")
    repack("links", "--latest", "--compact=0", "--indexed=0")
    repack("contiguous", "-l", "CONTI")
    repack("compact", "-l", "COMPA")
    repack("unfiltered", "-f", "NONE")
    repack("gzip", "-f", "SHUF", "-f", "GZIP=9")
    repack("checksum", "--latest", "-f", "FLET")
    repack("scale-offset", "-f", "SOFF=0,IN")
    repack("nbit", "-f", "NBIT")
    repack("page", "-S", "PAGE", "-G", "4096")
    copy_objects("plain")
