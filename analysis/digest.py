#!/usr/bin/env python3
"""Prints the content digest of run files and whether they store the same: "as stored", or the one that a file stores.

The digest is computed anew over all stored fields, docs/run-file.md has how. Exit status: 0 if every file stores its
digest, 1 if one stores another, a file cannot be read or standard output takes no more, 2 if the command line is not
understood.
"""
import hashlib
import sys

try:
    import h5py
except ModuleNotFoundError:
    print("needs h5py: run with /usr/bin/python3 (Debian package python3-h5py)", file=sys.stderr)
    sys.exit(2)
import numpy

from script import Failure, parser, report, run

TYPES = {"|u1": "u8", "|i1": "s8", "<i4": "s32", "<u8": "u64", "<f4": "f32", "<f8": "f64"}


def _score(prefix=""):
    names = ("images", "kd_sum", "attention_sum", "both_right", "teacher_only", "student_only")
    return " ".join(prefix + name for name in names)


# The stored fields in the order of the tables of docs/run-file.md, those of all schema versions that the scripts read:
# a file of version 4 has /updates/part, from version 5 on there are /network and /updates/branch.
STORED = [path + name for path, names in (
    ("/@", "status model model_display_name model_sha256 backend data_sha256 selection attention_layers temperature "
           "attention_weight seed episodes_total repair student_images energy_add8 energy_add32 energy_multiply8 "
           "energy_multiply32 energy_sram_read64 config_hash config data engine transport ranks threads_per_rank "
           "command_line"),
    ("/network/", "input_channels input_side classes name kind in_channels out_channels kernel stride padding pool relu"),
    ("/sites/", "name record_key kind scale zero_point tmax tmax_searched init_codes mse_codes start_codes state "
                "histogram"),
    ("/episodes/", "iteration reward " + _score() + " codes tmax"),
    ("/updates/", "iteration part branch pass_share mean_reward best_reward reference_reward policy_loss value_loss "
                  "entropy approx_kl clip_fraction update_seconds iteration_seconds"),
    ("/evaluations/", "iteration " + _score("validation_") + " codes tmax"),
    ("/finalists/", _score() + " record_rewards"),
    ("/top/", "origin episode reward " + _score("validation_") + " validation_record_rewards codes tmax"),
    ("/selected/", " ".join(["top_index within_max_acc_drop", _score("test_"), _score("test_mse_"),
                             _score("test_mse_repaired_"), "repair_layer repair_channels repair_multiplier",
                             "repair_bias"])),
    ("/checkpoint/", "next_iteration optimizer_steps"),
) for name in names.split()]
TENSORS = "/checkpoint/tensors"


def _tensor_paths(file):
    paths = []
    file[TENSORS].visititems(lambda _, item: paths.append(item.name) if isinstance(item, h5py.Dataset) else None)
    return sorted(paths)


def content_digest(file):
    """64 hexadecimal digits over what is stored in an open run file. Raises TypeError if a field has a type that none
    of triseg's has."""
    sha = hashlib.sha256()
    for path in STORED + _tensor_paths(file):
        attribute = path.startswith("/@")
        holder, name = (file.attrs, path[2:]) if attribute else (file, path)
        if name not in holder:
            continue
        value = numpy.asarray(holder[name] if attribute else holder[name][()])
        text = value.dtype.kind == "S"
        type_ = "string" if text else TYPES.get(value.dtype.str)
        if not type_:
            raise TypeError(f"{path} has the type {value.dtype}")
        sha.update(f"{path} {type_} {','.join(map(str, value.shape))}\n".encode())
        sha.update(b"".join(string.split(b"\0")[0] + b"\0" for string in value.flat) if text else value.tobytes())
    return sha.hexdigest()


def main():
    from run_files import digests  # which imports this module
    arguments = parser(__doc__)
    arguments.add_argument("runs", nargs="+", metavar="RUN.h5", help="run file of triseg search")
    status = 0
    for path in arguments.parse_args().runs:
        try:
            computed, stored = digests(path)
        except Failure as failure:
            report(failure)
            status = 1
            continue
        print(f"{computed}  {path}: {'as stored' if computed == stored else f'the file stores {stored}'}")
        status |= computed != stored
    return status


if __name__ == "__main__":
    run(main)
