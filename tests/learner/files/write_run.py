"""Writes a run file by h5py, laid out by the tables of docs/run-file.md alone. Usage: write_run.py TABLES.md FILE"""
import re
import sys

import h5py
import numpy
from content_digest import ContentDigest, tables

TYPES = {"u8": "u1", "s8": "i1", "s32": "i4", "u64": "u8", "f32": "f4", "f64": "f8"}
L, N, U, E, F, K, R, P = 4, 6, 3, 1, 0, 2, 1, 1
REPAIRED = {"conv2": 16, "fc1": 120, "fc2": 84, "fc3": 10}
SIZES = {"Y": 7, "I": 1, "A": 0, "L": L, "N": N, "U": U, "E": E, "F": F, "K": K, "R": R, "P": P, "M": len(REPAIRED),
         "C": sum(REPAIRED.values())}
SITES = ["conv1", "conv2", "fc1", "fc2"]
IMAGES, RIGHT, TEACHER, STUDENT = 32, 20, 5, 3
EPISODE_KD = [(i + 1) / 3 for i in range(N)]

codes = numpy.array([[[1 + i + s, 2 + i + s, 3 + i + s, 4 + i + s] for s in range(L)] for i in range(N)], "u1")
special = {
    "/@format": "triseg-run", "/@status": "finished", "/@model": "lenet5", "/@model_display_name": "LeNet-5",
    "/@seed": 2**63, "/@schema_version": 7, "/@repair": "layer", "/@attention_layers": "conv1,conv2",
    "/@config": "episodes-per-update = 2\n", "/@episodes_total": N, "/@attention_weight": 0.0,
    "/network/input_channels": 3, "/network/input_height": 32, "/network/input_width": 32, "/network/classes": 10,
    "/network/nodes/name": ["conv1", "conv1.pool", "conv2", "conv2.pool", "fc1", "fc2", "fc3"],
    "/network/nodes/operation": ["convolution", "maximum"] * 2 + ["convolution"] * 3,
    "/network/nodes/inputs": [[i - 1] for i in range(7)], "/network/nodes/channels": [6, 6, 16, 16, 120, 84, 10],
    "/network/nodes/height": [28, 14, 10, 5, 1, 1, 1], "/network/nodes/width": [28, 14, 10, 5, 1, 1, 1],
    "/network/nodes/window_height": [5, 2, 5, 2, 5, 1, 1], "/network/nodes/window_width": [5, 2, 5, 2, 5, 1, 1],
    "/network/nodes/stride_y": [1, 2, 1, 2, 1, 1, 1], "/network/nodes/stride_x": [1, 2, 1, 2, 1, 1, 1],
    "/network/nodes/dilation_y": 1, "/network/nodes/dilation_x": 1, "/network/nodes/groups": 1,
    "/network/nodes/relu": [1, 0, 1, 0, 1, 1, 0],
    "/sites/name": SITES, "/sites/kind": ["conv", "conv", "fc", "fc"], "/sites/scale": 0.25, "/sites/zero_point": 0,
    "/sites/record_key": [f"block_output.{s}" if s[0] == "c" else f"classifier.{s}.out" for s in SITES],
    "/sites/tmax": 40, "/episodes/tmax": 40, "/evaluations/tmax": 40, "/top/tmax": 40, "/sites/init_codes": codes[0],
    "/sites/mse_codes": codes[1], "/sites/start_codes": codes[1],
    "/sites/histogram": numpy.arange(L * 256).reshape(L, 256),
    "/episodes/iteration": [i // 2 for i in range(N)], "/episodes/codes": codes, "/episodes/kd_sum": EPISODE_KD,
    "/episodes/kd": [x / IMAGES for x in EPISODE_KD], "/episodes/reward": [-x / IMAGES for x in EPISODE_KD],
    "/updates/iteration": [0, 1, 2], "/updates/clip_fraction": 0.25, "/evaluations/codes": codes[:E],
    "/top/origin": ["episode", "init"], "/top/episode": [3, 0], "/top/codes": codes[[3, 0]],
    "/top/reward": [-EPISODE_KD[3] / IMAGES, -1], "/selected/top_index": 1, "/selected/codes": codes[0],
    "/selected/tmax": 40, "/top/validation_record_rewards": -8.0, "/selected/test_mcnemar_p": 0.7265625,
    "/selected/within_error_of_best": 2, "/selected/gap_kd": 0.0, "/selected/gap_accuracy_student": 0.0,
    "/selected/repair_layer": list(REPAIRED), "/selected/repair_channels": list(REPAIRED.values()),
    "/selected/repair_multiplier": 0.5, "/selected/repair_bias": -7,
    "/checkpoint/next_iteration": 3,
}


def wilson(right, n):
    z = 1.959963984540054
    p = right / n
    centre, half = p + z * z / (2 * n), z * (p * (1 - p) / n + z * z / (4 * n * n)) ** 0.5
    return [100 * (centre - half) / (1 + z * z / n), 100 * (centre + half) / (1 + z * z / n)]


def largest_drop(b, c, n):
    """Tango's upper score bound (1998, Statistics in Medicine 17:891) of the share b/n - c/n."""
    low, high = (b - c) / n, 1.0
    for _ in range(64):
        d = (low + high) / 2
        linear = -b - c + (2 * n - b + c) * d
        q = ((linear**2 + 8 * n * c * d * (1 - d)) ** 0.5 - linear) / (4 * n)
        if (b - c - n * d) / (n * (2 * q + d * (1 - d))) ** 0.5 > -1.959963984540054:
            low = d
        else:
            high = d
    return high


def drop(b, c, n):
    return [-100 * largest_drop(c, b, n), 100 * largest_drop(b, c, n)]


intervals = {"test_accuracy_student": wilson(RIGHT + STUDENT, IMAGES),
             "test_accuracy_teacher": wilson(RIGHT + TEACHER, IMAGES),
             "test_accuracy_drop": drop(TEACHER, STUDENT, IMAGES)}


# The layers of LeNet-5: side and channels of the input, channels of the output, kernel, side of the output. None pads.
LENET = [(32, 3, 6, 5, 28), (14, 6, 16, 5, 10), (1, 400, 120, 1, 1), (1, 120, 84, 1, 1), (1, 84, 10, 1, 1)]
ADD8, ADD32, MULTIPLY8, MULTIPLY32, SRAM64 = ENERGIES = 1.0, 2.0, 4.0, 8.0, 64.0
special |= {f"/@energy_{name}": energy
            for name, energy in zip(("add8", "add32", "multiply8", "multiply32", "sram_read64"), ENERGIES)}


def cost(rows):
    """The cost model of docs/cost-model.md for codes (L, 4): figures by the names they have in the file."""
    total = dict.fromkeys(("covered", "activations", "entropy_bits", "coded_bits", "multiplications", "skipped",
                           "constant", "energy", "energy_exact", "energy_exact_skipping"), 0.0)
    site = {}
    for i, (side, inputs, outputs, kernel, out_side) in enumerate(LENET):
        m = out_side**2 * outputs * inputs * kernel**2
        weights, read = 8 * outputs * inputs * kernel**2, side**2 * inputs
        exact = skipping = staircase = m * (MULTIPLY8 + ADD32) + 8 * read + weights
        if i:
            q, count = numpy.arange(256), special["/sites/histogram"][i - 1]
            share = lambda where: count[where].sum() / count.sum()
            t1, v1, t2, v2 = (int(x) for x in rows[i - 1])
            passed = share(q > 40)
            shares = {"zero": share(q <= t1), "v1": share((q > t1) & (q <= t2)), "v2": share((q > t2) & (q <= 40)),
                      "passed": passed, "exact_zero": share(q == 0)}
            p = numpy.array([shares["zero"], shares["v1"], shares["v2"]] + list(count[41:] / count.sum()))
            p = p[p > 0]
            bits = {"entropy_bits": -(p * numpy.log2(p)).sum(), "coded_bits": 2 + 8 * passed}
            made = LENET[i - 1][4]**2 * LENET[i - 1][2]
            skipping = m * (1 - shares["exact_zero"]) * (MULTIPLY8 + ADD32) + 8 * read + weights
            staircase = (m * ((shares["v1"] + shares["v2"]) * ADD32 + passed * (MULTIPLY8 + ADD32))
                         + out_side**2 * outputs * 2 * (MULTIPLY32 + ADD32) + made * 3 * ADD8 +
                         bits["coded_bits"] * read + weights)
            for name, value in (shares | bits |
                                {"multiplications": m, "energy": staircase, "energy_exact": exact}).items():
                site.setdefault("site_" + name, []).append(value)
            total["activations"] += made
            total["covered"] += made * (1 - passed)
            total["skipped"] += m * shares["zero"]
            total["constant"] += m * (shares["v1"] + shares["v2"])
            for name, value in bits.items():
                total[name] += made * value
        for name, value in (("multiplications", m), ("energy", staircase), ("energy_exact", exact),
                            ("energy_exact_skipping", skipping)):
            total[name] += value
    total["coverage"] = total.pop("covered") / total["activations"]
    for name in ("entropy_bits", "coded_bits"):
        total[name] /= total["activations"]
    for name in ("skipped", "constant"):
        total[name] /= total["multiplications"]
    return total | site


special["/top/passed"] = special["/sites/histogram"][:, 41:].sum() / special["/sites/histogram"].sum()
special |= {f"/selected/{name}": value for name, value in cost(special["/selected/codes"]).items()}
for column in ("coverage", "energy"):
    special["/top/" + column] = [cost(row)[column] for row in special["/top/codes"]]
# Both rows of /top pass as much and score alike, so the one of less energy is the front.
best = min(range(K), key=lambda row: special["/top/energy"][row])
special |= {"/pareto/top_index": best, "/pareto/coverage": special["/top/coverage"][best],
            "/pareto/energy": special["/top/energy"][best]}


def value_of(path):
    if path in special:
        return special[path]
    name = path.split("/")[-1]
    bound = re.fullmatch(r"(.*)_(low|high)", name)
    if bound:
        return intervals[bound[1]][bound[2] == "high"]
    # The columns of a score, whatever their prefix.
    for end, value in {"kd_sum": 8.0, "attention_sum": 0.0, "both_right": RIGHT, "teacher_only": TEACHER,
                       "student_only": STUDENT, "student_images": 1, "images": IMAGES, "kd": 8.0 / IMAGES,
                       "attention": 0.0, "accuracy_teacher": 100 * (RIGHT + TEACHER) / IMAGES,
                       "accuracy": 100 * (RIGHT + STUDENT) / IMAGES,
                       "accuracy_student": 100 * (RIGHT + STUDENT) / IMAGES}.items():
        if name.endswith(end):
            return value
    return 0


def text_type(strings):
    return h5py.string_dtype("utf-8", max((len(s.encode()) for s in strings), default=0) or 1)


with h5py.File(sys.argv[2], "w") as file:
    digest = ContentDigest()

    def put(attrs, name, value):
        attrs.create(name, value, dtype=text_type([value]) if isinstance(value, str) else None)

    for path, type_, shape, units, meaning, columns, kind in tables(open(sys.argv[1]).read()):
        dims = [SIZES[d] if d in SIZES else int(d) for d in shape.strip("[]").split(",")] if shape else []
        value = value_of(path)
        if type_ == "string":
            value = value if value else "text" if not dims else ["text"] * dims[0]
        else:
            value = numpy.broadcast_to(numpy.asarray(value), dims).astype(TYPES[type_])[()]
        if kind.startswith("stored"):
            digest.add(path, value)
        if path.startswith("/@"):
            if path != "/@content_sha256":
                put(file.attrs, path[2:], value)
            continue
        if type_ == "string":
            dataset = file.create_dataset(path, data=value, dtype=text_type(value))
        else:
            dataset = file.create_dataset(path, data=value)
        for name, label in (("units", units), ("long_name", meaning), ("columns", columns)):
            if label:
                put(dataset.attrs, name, label)
        if "may differ" in kind:
            put(dataset.attrs, "may_differ", numpy.uint8(1))
    tensor = numpy.arange(6, dtype="f4").reshape(2, 3) / 2
    file["/checkpoint/tensors/a/b"] = tensor
    digest.add("/checkpoint/tensors/a/b", tensor)
    put(file.attrs, "content_sha256", digest.hex())
