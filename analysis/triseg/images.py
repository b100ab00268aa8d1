"""Makes the HDF5 file of a data set, for triseg's --data, of folders of images or of a NumPy file.

  python3 -m triseg.images FOLDER OUT.h5 --size 224 --crop 0.875
  python3 -m triseg.images --from-npz FILE.npz OUT.h5

FOLDER has a folder a class: FOLDER/train/CLASS/... and FOLDER/test/CLASS/..., or val in the place of test;
--test-folder names the one to take where both are there. Classes are the folders of train in the order of their names.
Images are files of the usual endings at any depth; others are left out. Each is converted to RGB, its shorter side
resized to int(SIZE / CROP) pixels (bilinear, antialiased), and its centre of SIZE x SIZE cut out, as torchvision's
Resize and CenterCrop do it. Test images keep the order of their paths. Training images are mixed, since triseg
validates on the last of them: they lie in the order of the SHA-256 of CLASS/FILE.

A NumPy file has uint8 images and whole-number labels under x_train, y_train, x_test, y_test or train_images,
train_labels, test_images, test_labels. Images are N x H x W, N x C x H x W or N x H x W x C, and are taken in their
order and size.

Needs h5py and numpy, and Pillow for folders. Equal input and options give equal bytes. Exit status: 0, or 1 and a line
on standard error; then OUT.h5 is not there.
"""
import concurrent.futures
import hashlib
import math
import os
import zipfile

from triseg import __version__, command_line
from triseg.files import Error, name_of, open_input, reason, whole_file

with command_line.packages():
    import h5py
    import numpy

ENDINGS = (".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
NPZ_NAMES = ({"train": ("x_train", "y_train"), "test": ("x_test", "y_test")},
             {"train": ("train_images", "train_labels"), "test": ("test_images", "test_labels")})
CHUNK_BYTES = 1 << 16  # of whole images, one at least: what triseg reads for one image
PIECE_BYTES = 1 << 25  # written and read at once
LARGEST_SIDE, LARGEST_CLASSES = 1024, 1 << 16


def digest(file):
    """content_sha256 of an open file: what triseg computes of any data set (docs/run-file.md, Data sets)."""
    labels = {part: file[f"{part}/labels"][()] for part in ("train", "test")}
    type_ = "u1" if all((values < 256).all() for values in labels.values()) else "<u2"
    sha = hashlib.sha256()
    for part, values in labels.items():
        images = file[f"{part}/images"]
        sha.update((" x ".join(map(str, images.shape)) + ";").encode())
        for piece in pieces(images):
            sha.update(images[piece].tobytes())
        sha.update(values.astype(type_).tobytes())
    return sha.hexdigest()


def pieces(images):
    """Slices of an array's first axis, of about PIECE_BYTES."""
    step = max(1, PIECE_BYTES // max(1, math.prod(images.shape[1:])))
    return [slice(begin, min(begin + step, len(images))) for begin in range(0, len(images), step)]


class _Writer:
    """Takes the parts of a data set and writes them to a file of h5py."""

    def __init__(self, file, classes, preparation):
        self.file = file
        for name, value in {"format": "triseg-images", "creator": "triseg.images", "creator_version": __version__,
                            "preparation": preparation}.items():
            file.attrs[name] = numpy.bytes_(value.encode())
        if classes:
            names = [name.encode(errors="surrogateescape") for name in classes]
            self._create("class_names", numpy.array(names, dtype=h5py.string_dtype("utf-8", max(map(len, names)))))

    def _create(self, name, values):
        self.file.create_dataset(name, data=values, chunks=values.shape, fletcher32=True, track_times=False)

    def part(self, name, size, batches):
        """Writes a part. batches: (images (n, channels, height, width), labels (n)), one by one."""
        rows = max(1, CHUNK_BYTES // math.prod(size))
        images = self.file.create_dataset(f"{name}/images", (0, *size), "u1", maxshape=(None, *size),
                                          chunks=(rows, *size), fletcher32=True, track_times=False)
        labels = []
        for pixels, classes in batches:
            images.resize(len(images) + len(pixels), axis=0)
            images[len(images) - len(pixels):] = pixels
            labels.extend(classes)
        if not labels:
            raise Error(f"{self.file.filename}: no {name} images are left")
        self._create(f"{name}/labels", numpy.array(labels, dtype="<u2"))


def write(out, classes, preparation, parts):
    """Writes OUT.h5 and returns its digest. parts: by name (size, batches) as _Writer.part takes them. Raises Error."""
    out = name_of(out)
    if os.path.lexists(out):
        raise Error(f"{out}: it is there already: remove it, or choose another name")
    try:
        with whole_file(out) as temporary:
            with h5py.File(temporary, "w") as file:
                writer = _Writer(file, classes, preparation)
                for name, (size, batches) in parts.items():
                    writer.part(name, size, batches)
            with h5py.File(temporary, "r+") as file:  # what has been written, not what was meant to be
                file.attrs["content_sha256"] = numpy.bytes_(digest(file))
                return file.attrs["content_sha256"].decode()
    except (RuntimeError, ValueError) as error:  # h5py's, of a full disk
        raise Error(f"cannot write {out}: {reason(error)}") from error


def check_side(size):
    if not 1 <= size <= LARGEST_SIDE:
        raise Error(f"images of {size} x {size}: triseg takes sides of 1 to {LARGEST_SIDE} pixels")


def classes_in(folder):
    """The folders in a folder, sorted by name; hidden ones are left out. Raises Error."""
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith("."))
    except OSError as error:
        raise Error(f"{folder}: {reason(error)}") from error


def files_in(folder):
    """(the paths of the images below a folder, relative to it, sorted; how many other files there are)."""
    def stop(error):
        raise Error(f"{error.filename}: {reason(error)}") from error

    names = [os.path.relpath(os.path.join(at, name), folder)
             for at, _, files in os.walk(folder, onerror=stop, followlinks=True) for name in files]
    images = sorted(name for name in names if name.lower().endswith(ENDINGS))
    return images, len(names) - len(images)


def list_part(folder, classes):
    """[(path relative to the folder, class)] of a part, sorted by class and path. Raises Error."""
    unknown = sorted(set(classes_in(folder)) - set(classes))
    if unknown:
        raise Error(f"{os.path.join(folder, unknown[0])}: a class that the training images do not have")
    listed, others = [], 0
    for number, name in enumerate(classes):
        place = os.path.join(folder, name)
        images, more = files_in(place) if os.path.isdir(place) else ([], 0)
        listed += [(os.path.join(name, image), number) for image in images]
        others += more
    if others:
        command_line.report(f"left out: {folder}: {others} files whose names are not of images", "")
    if not listed:
        raise Error(f"{folder}: no images in folders of classes ({' '.join(ENDINGS)})")
    return listed


def test_folder(folder, chosen):
    """Where the test images are. Raises Error."""
    names = [chosen] if chosen else ["test", "val"]
    places = [os.path.join(folder, name) for name in names]
    found = [place for place in places if os.path.isdir(place) and classes_in(place)]
    if not found:
        raise Error(f"{folder}: no {' and no '.join(names)} with a folder a class: a search reports on test images "
                    "that it has never seen")
    if len(found) > 1:
        raise Error(f"{folder}: has both test and val: say which one has the test images, with --test-folder")
    return found[0]


def resized(image, size, crop):
    """An image of Pillow as torchvision's Resize(int(size / crop)) and CenterCrop(size) leave it."""
    short = int(size / crop)
    width, height = image.size
    sides = (short, int(short * height / width)) if width <= height else (int(short * width / height), short)
    if sides != image.size:
        image = image.resize(sides, resample=2)  # bilinear; with antialiasing, as Pillow always does
    left, top = (int(round((side - size) / 2.0)) for side in sides)
    return image.crop((left, top, left + size, top + size))


def load(path, size, crop, grey):
    """Pixels (channels, size, size) of a file, or the Error that says why there are none."""
    from PIL import Image
    try:
        with open_input(path, mode="rb") as file, Image.open(file) as image:
            pixels = numpy.asarray(resized(image.convert("L" if grey else "RGB"), size, crop))
        return pixels[None] if grey else pixels.transpose(2, 0, 1)
    except Error as error:
        return error
    except Exception as error:  # Pillow's decoders raise nearly everything
        return Error(f"{path}: cannot be read as an image: {reason(error)}")


def image_batches(folder, listed, o):
    """The batches of a part, decoded by several threads. Raises Error at an image that cannot be read, unless those are
    to be skipped."""
    step = max(1, PIECE_BYTES // ((1 if o.grey else 3) * o.size * o.size))
    skipped = 0
    with concurrent.futures.ThreadPoolExecutor(o.threads) as pool:
        for begin in range(0, len(listed), step):
            batch = listed[begin:begin + step]
            images = pool.map(lambda item: load(os.path.join(folder, item[0]), o.size, o.crop, o.grey), batch)
            kept = []
            for pixels, (_, number) in zip(images, batch):
                if not isinstance(pixels, Error):
                    kept.append((pixels, number))
                elif o.skip_unreadable:
                    skipped += 1
                    command_line.report(pixels, "left out: ")
                else:
                    raise Error(f"{pixels}; --skip-unreadable leaves such images out")
            if kept:
                yield numpy.stack([pixels for pixels, _ in kept]), [number for _, number in kept]
    if skipped:
        command_line.report(f"{folder}: {skipped} of {len(listed)} images left out", "")


def from_folder(o):
    """Raises Error."""
    with command_line.packages():
        import PIL  # noqa: F401  before hours of work
    folder, size = name_of(o.input), (1 if o.grey else 3, o.size, o.size)
    check_side(o.size)
    if not 0 < o.crop <= 1:
        raise Error(f"--crop {o.crop:g}: expected more than 0 and at most 1")
    train = os.path.join(folder, "train")
    classes = classes_in(train)
    if not 1 <= len(classes) <= LARGEST_CLASSES:
        raise Error(f"{train}: {len(classes)} folders of classes, expected 1 to {LARGEST_CLASSES}")
    test = test_folder(folder, o.test_folder)
    training = sorted(list_part(train, classes), key=lambda item: hashlib.sha256(os.fsencode(item[0])).digest())
    preparation = f"shorter side {int(o.size / o.crop)} (bilinear), centre {o.size} x {o.size}"
    return write(o.out, classes, f"{'grey' if o.grey else 'RGB'}, {preparation}",
                 {"train": (size, image_batches(train, training, o)),
                  "test": (size, image_batches(test, list_part(test, classes), o))})


def first_channels(images, name):
    """Images as (N, channels, height, width). Raises Error."""
    if images.dtype != numpy.uint8 or images.ndim not in (3, 4):
        raise Error(f"{name}: {images.dtype} {images.shape}, expected uint8 images as N x H x W, N x C x H x W or "
                    "N x H x W x C; values from 0 to 1 are multiplied by 255 and rounded before")
    if images.ndim == 3:
        return images[:, None]
    first, last = (images.shape[axis] in (1, 3, 4) for axis in (1, 3))
    if first == last:
        raise Error(f"{name}: {images.shape}, expected 1, 3 or 4 channels as the second or the last dimension, not as "
                    "both")
    return images if first else images.transpose(0, 3, 1, 2)


def npz_part(arrays, path, names):
    """(size, batches) of a part. Raises Error."""
    for name in names:
        if name not in arrays:
            raise Error(f"{path}: {name} is missing")
    images = first_channels(arrays[names[0]], f"{path}: {names[0]}")
    labels = arrays[names[1]]
    if labels.dtype.kind not in "iu" or labels.shape not in ((len(images),), (len(images), 1)):
        raise Error(f"{path}: {names[1]}: {labels.dtype} {labels.shape}, expected a whole number for each of the "
                    f"{len(images)} images")
    labels = labels.reshape(-1)
    wrong = numpy.flatnonzero((labels < 0) | (labels >= LARGEST_CLASSES))
    if len(wrong):
        raise Error(f"{path}: {names[1]}: label {labels[wrong[0]]} at {wrong[0]}, expected 0 to {LARGEST_CLASSES - 1}")
    for side in images.shape[2:]:
        check_side(side)
    return images.shape[1:], ((numpy.ascontiguousarray(images[piece]), labels[piece]) for piece in pieces(images))


def from_npz(o):
    """Raises Error."""
    path = name_of(o.from_npz)
    try:
        with open_input(path, mode="rb") as file, numpy.load(file) as arrays:
            if not isinstance(arrays, numpy.lib.npyio.NpzFile):
                raise Error(f"{path}: one array, expected an .npz file of several")
            found = [names for names in NPZ_NAMES if names["train"][0] in arrays.files]
            if not found:
                raise Error(f"{path}: expected x_train or train_images, found {', '.join(arrays.files) or 'nothing'}")
            used = [name for part in found[0].values() for name in part]
            others = [name for name in arrays.files if name not in used]
            if others:
                command_line.report(f"left out: {path}: {', '.join(others)}", "")
            parts = {part: npz_part(arrays, path, names) for part, names in found[0].items()}
            if parts["train"][0] != parts["test"][0]:
                raise Error(f"{path}: training images of {parts['train'][0]}, test images of {parts['test'][0]} "
                            "(channels, height, width), expected one size")
            return write(o.out, None, "as in a NumPy file", parts)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise Error(f"{path}: cannot be read as an .npz file: {reason(error)}") from error


def main():
    arguments = command_line.parser(__doc__)
    arguments.add_argument("input", nargs="?", metavar="FOLDER", help="folder of the folders train and test or val")
    arguments.add_argument("out", metavar="OUT.h5", help="file to write")
    arguments.add_argument("--from-npz", metavar="FILE.npz", help="take this file, not a folder")
    arguments.add_argument("--size", type=int, default=224, help="side of the images in pixels (%(default)s)")
    arguments.add_argument("--crop", type=float, default=0.875,
                           help="part of the shorter side that is kept (%(default)s)")
    arguments.add_argument("--grey", action="store_true", help="one channel instead of three")
    arguments.add_argument("--test-folder", metavar="NAME", help="folder beside train (test or val)")
    arguments.add_argument("--skip-unreadable", action="store_true",
                           help="leave out images that cannot be read, and name them")
    arguments.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)),
                           help="images decoded at once (%(default)s)")
    o = arguments.parse_args()
    if (o.input is None) == (o.from_npz is None):
        arguments.error("expected FOLDER OUT.h5 or --from-npz FILE.npz OUT.h5")
    if o.threads < 1:
        arguments.error(f"--threads {o.threads}: expected 1 or more")
    sha256 = from_folder(o) if o.from_npz is None else from_npz(o)
    print(f"{o.out}: content_sha256 {sha256}")
    return 0


def program():
    command_line.run(main)


if __name__ == "__main__":
    program()
