"""What run files store, and reading it without more than h5py and numpy."""
from triseg import hdf5

VERSIONS = (4, 5, 6, 7)


def _score(prefix=""):
    names = ("images", "kd_sum", "attention_sum", "both_right", "teacher_only", "student_only")
    return " ".join(prefix + name for name in names)


# The stored fields, which the digest is over, in the order of the tables of docs/run-file.md. Those of all versions: a
# file of version 4 has /updates/part, from version 5 on there are /network and /updates/branch, from version 7 on
# /network/nodes.
STORED = [path + name for path, names in (
    ("/@", "status model model_display_name model_sha256 backend data_sha256 selection attention_layers temperature "
           "attention_weight seed episodes_total repair student_images energy_add8 energy_add32 energy_multiply8 "
           "energy_multiply32 energy_sram_read64 config_hash config data engine transport ranks threads_per_rank "
           "command_line"),
    ("/network/", "input_channels input_side input_height input_width classes all_sites name kind in_channels "
                  "out_channels kernel stride padding pool relu"),
    ("/network/nodes/", "name operation inputs channels height width window_height window_width stride_y stride_x "
                        "dilation_y dilation_x pad_top pad_left pad_bottom pad_right ceil groups count_padding relu"),
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
TENSORS = "/checkpoint/tensors/"


def read(path, check=True):
    """(content, digest computed anew) of a run file. Raises Error for what is no run file, or, unless `check` is False,
    stores another digest."""
    content = hdf5.read(path, "triseg-run", "a run file of triseg search", VERSIONS)
    tensors = sorted(path for path in content.values if path.startswith(TENSORS) and "@" not in path)
    digest = content.digest(STORED + tensors)
    if check:
        hdf5.check(content, digest)
    return content, digest
