"""python3 -m triseg.images: images and NumPy files become HDF5 files with the pixels that are computed here."""
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

import h5py
import numpy
from PIL import Image

SOURCE, PROGRAM = (os.environ[name] for name in ("TRISEG_SOURCE_DIR", "TRISEG_PROGRAM"))


def picture(width, height, start):
    """Smooth colours, so that every resampling has something to mix."""
    y, x = numpy.mgrid[:height, :width]
    planes = [(x * 3 + start) % 256, (y * 5 + start) % 256, (x + y + 7 * start) % 256]
    return numpy.stack(planes, -1).astype(numpy.uint8)


def torchvision(pixels, short, size):
    """Resize(short) and CenterCrop(size) of torchvision with an image of Pillow, by its documentation."""
    image = Image.fromarray(pixels)
    width, height = image.size
    sides = (short, int(short * height / width)) if width <= height else (int(short * width / height), short)
    image = image.resize(sides, Image.BILINEAR)
    top, left = int(round((image.size[1] - size) / 2.0)), int(round((image.size[0] - size) / 2.0))
    return numpy.asarray(image)[top:top + size, left:left + size].transpose(2, 0, 1)


class Images(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="triseg-test-")
        self.addCleanup(shutil.rmtree, self.folder)

    def at(self, *names):
        return os.path.join(self.folder, *names)

    def run_images(self, *arguments, expect=0, environment=None):
        variables = os.environ | {"PYTHONPATH": os.path.join(SOURCE, "analysis")} | (environment or {})
        done = subprocess.run([sys.executable, "-B", "-m", "triseg.images", *arguments], capture_output=True, text=True,
                              timeout=120, env=variables)
        self.assertEqual(done.returncode, expect, done.stdout + done.stderr)
        return done

    def assert_refused(self, *arguments, text):
        done = self.run_images(*arguments, expect=1)
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        self.assertIn(text, done.stderr)
        self.assertFalse(os.path.exists(self.at("out.h5")))
        self.assertEqual([name for name in os.listdir(self.folder) if name.endswith(".tmp")], [])

    def write_folder(self, test="test"):
        """Two classes; {path below the part: pixels}."""
        self.pictures = {}
        for part, count in (("train", 6), (test, 2)):
            for number, name in enumerate(("bird", "cat")):
                for i in range(count):
                    path = os.path.join(part, name, *(["more"] if i == 1 else []), f"{i}.png")
                    pixels = picture(30 + 9 * i, 40 - 3 * i, 11 * i + 50 * number)
                    os.makedirs(os.path.dirname(self.at("in", path)), exist_ok=True)
                    Image.fromarray(pixels).save(self.at("in", path))
                    self.pictures[path] = pixels

    def test_folders_become_a_file(self):
        self.write_folder()
        with open(self.at("in", "train", "cat", "notes.txt"), "w") as file:
            file.write("no image")
        done = self.run_images(self.at("in"), self.at("out.h5"), "--size", "14", "--crop", "0.875")
        self.assertIn("left out", done.stderr)
        with h5py.File(self.at("out.h5")) as file:
            self.assertEqual([name.decode() for name in file["class_names"][()]], ["bird", "cat"])
            for part, order in (("train", lambda name: hashlib.sha256(name.encode()).digest()), ("test", str)):
                names = [os.path.relpath(path, part) for path in self.pictures if path.startswith(part + "/")]
                names.sort(key=order)
                expected = [torchvision(self.pictures[os.path.join(part, name)], 16, 14) for name in names]
                numpy.testing.assert_array_equal(file[f"{part}/images"][()], numpy.stack(expected))
                self.assertEqual(file[f"{part}/labels"][()].tolist(), [int(name.startswith("cat")) for name in names])
                self.assertEqual(file[f"{part}/labels"].dtype, "<u2")
            self.assertIn(file.attrs["content_sha256"].decode(), done.stdout)
        valid = subprocess.run([PROGRAM, "validate", self.at("out.h5")], capture_output=True, text=True, timeout=60)
        self.assertEqual((valid.returncode, valid.stdout), (0, self.at("out.h5") + ": valid\n"), valid.stderr)

    def test_an_edited_file_is_not_valid(self):
        self.write_folder()
        self.run_images(self.at("in"), self.at("out.h5"), "--size", "14")
        with h5py.File(self.at("out.h5"), "r+") as file:
            file["train/images"][3, 1, 2, 5] ^= 1
        valid = subprocess.run([PROGRAM, "validate", self.at("out.h5")], capture_output=True, text=True, timeout=60)
        self.assertEqual(valid.returncode, 1, valid.stderr)
        self.assertIn("they were damaged or edited", valid.stdout)

    def test_equal_input_gives_equal_bytes(self):
        self.write_folder()
        content = []
        for threads in ("1", "3"):
            self.run_images(self.at("in"), self.at("out.h5"), "--size", "14", "--threads", threads)
            with open(self.at("out.h5"), "rb") as file:
                content.append(file.read())
            os.remove(self.at("out.h5"))
            time.sleep(1.1)  # a time in the file would be another
        self.assertEqual(content[0], content[1])

    def test_grey_images_have_one_channel(self):
        self.write_folder(test="val")
        self.run_images(self.at("in"), self.at("out.h5"), "--size", "14", "--crop", "1", "--grey")
        with h5py.File(self.at("out.h5")) as file:
            self.assertEqual(file["test/images"].shape, (4, 1, 14, 14))

    def test_unreadable_images_are_named(self):
        self.write_folder()
        broken = self.at("in", "train", "bird", "0.png")
        with open(broken, "r+b") as file:
            file.truncate(60)
        self.assert_refused(self.at("in"), self.at("out.h5"), "--size", "14",
                            text=broken + ": cannot be read as an image")
        done = self.run_images(self.at("in"), self.at("out.h5"), "--size", "14", "--skip-unreadable")
        self.assertIn("left out: " + broken, done.stderr)
        self.assertIn("1 of 12 images left out", done.stderr)
        with h5py.File(self.at("out.h5")) as file:
            self.assertEqual(file["train/images"].shape, (11, 3, 14, 14))

    def test_folders_are_refused_in_one_line(self):
        self.write_folder()
        shutil.copytree(self.at("in", "test"), self.at("in", "val"))
        self.assert_refused(self.at("in"), self.at("out.h5"), text="--test-folder")
        self.run_images(self.at("in"), self.at("both.h5"), "--size", "14", "--test-folder", "val")
        shutil.rmtree(self.at("in", "val"))
        self.assert_refused(self.at("in"), self.at("out.h5"), "--size", "1025", text="1025 x 1025")
        self.assert_refused(self.at("in"), self.at("out.h5"), "--crop", "0", text="--crop 0")
        self.assert_refused(self.at("in"), self.at("both.h5"), text="it is there already")
        os.rename(self.at("in", "test", "cat"), self.at("in", "test", "dog"))
        self.assert_refused(self.at("in"), self.at("out.h5"), text="dog: a class that the training images do not have")
        shutil.rmtree(self.at("in", "test"))
        self.assert_refused(self.at("in"), self.at("out.h5"), text="no test and no val with a folder a class")
        self.assert_refused(self.at("nothing"), self.at("out.h5"), text="nothing/train: No such file")

    def test_a_missing_pillow_is_said(self):
        self.write_folder()
        os.makedirs(self.at("none", "PIL"))
        with open(self.at("none", "PIL", "__init__.py"), "w") as file:
            file.write("raise ModuleNotFoundError(name='PIL')\n")
        path = os.pathsep.join([self.at("none"), os.path.join(SOURCE, "analysis")])
        done = self.run_images(self.at("in"), self.at("out.h5"), expect=2, environment={"PYTHONPATH": path})
        self.assertIn("python3-pil", done.stderr)

    def test_numpy_files_become_a_file(self):
        colour = numpy.stack([picture(12, 10, i) for i in range(9)])
        labels = numpy.arange(9) % 3
        forms = {"grey": colour[..., 0], "first": colour.transpose(0, 3, 1, 2), "last": colour}
        expected = {"grey": colour[..., :1].transpose(0, 3, 1, 2), "first": forms["first"], "last": forms["first"]}
        for form, images in forms.items():
            for names in (("x_train", "y_train", "x_test", "y_test"),
                          ("train_images", "train_labels", "test_images", "test_labels")):
                numpy.savez(self.at("in.npz"), **dict(zip(names, (images, labels[:, None], images[:4], labels[:4]))))
                self.run_images("--from-npz", self.at("in.npz"), self.at("out.h5"))
                with h5py.File(self.at("out.h5")) as file:
                    numpy.testing.assert_array_equal(file["train/images"][()], expected[form])
                    numpy.testing.assert_array_equal(file["test/images"][()], expected[form][:4])
                    self.assertEqual(file["train/labels"][()].tolist(), labels.tolist())
                os.remove(self.at("out.h5"))

    def test_numpy_files_are_refused_in_one_line(self):
        images, labels = numpy.zeros((4, 8, 8), numpy.uint8), numpy.arange(4)
        good = {"x_train": images, "y_train": labels, "x_test": images, "y_test": labels}
        for change, text in (({"x_train": images / 255}, "x_train: float64 (4, 8, 8), expected uint8"),
                             ({"y_train": labels[:3]}, "y_train: int64 (3,), expected a whole number for each of"),
                             ({"y_test": labels - 1}, "y_test: label -1 at 0"),
                             ({"y_test": labels + 65533}, "label 65536 at 3"),
                             ({"x_test": images[:, :7]}, "expected one size"),
                             ({"x_train": numpy.zeros((4, 3, 8, 3), numpy.uint8)}, "not as both")):
            numpy.savez(self.at("in.npz"), **(good | change))
            self.assert_refused("--from-npz", self.at("in.npz"), self.at("out.h5"), text=text)
        numpy.savez(self.at("in.npz"), x_train=images, y_train=labels)
        self.assert_refused("--from-npz", self.at("in.npz"), self.at("out.h5"), text="x_test is missing")
        numpy.savez(self.at("in.npz"), other=images)
        self.assert_refused("--from-npz", self.at("in.npz"), self.at("out.h5"),
                            text="expected x_train or train_images, found other")
        with open(self.at("in.npz"), "r+b") as file:
            file.truncate(100)
        self.assert_refused("--from-npz", self.at("in.npz"), self.at("out.h5"),
                            text="in.npz: cannot be read as an .npz file")
        self.run_images(expect=2)


if __name__ == "__main__":
    unittest.main()
