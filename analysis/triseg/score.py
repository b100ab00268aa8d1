"""Figures from the sums that run files store, and their intervals. KD is in nats (less is better), accuracies are in percent."""
import numpy

Z_975 = 1.959963984540054  # the 97.5 % quantile of the normal distribution


def score(values, prefix=""):
    """(KD, attention, accuracy of the teacher, of the student) from the sums among `values`, numbers or arrays by name; NaN
    without images."""
    names = ("images", "kd_sum", "attention_sum", "both_right", "teacher_only", "student_only")
    images, kd, attention, both, teacher, student = (numpy.asarray(values[prefix + name], dtype=float) for name in names)
    with numpy.errstate(divide="ignore", invalid="ignore"):
        return kd / images, attention / images, 100 * (both + teacher) / images, 100 * (both + student) / images


def wilson_95(percent, images):
    """Confidence bounds of a share [percent] (Wilson 1927); NaN without images.

    >>> low, high = wilson_95(90.0, 1000)
    >>> print(f"{low:.2f} to {high:.2f}")
    87.98 to 91.71
    """
    p, images = percent / 100, images or numpy.nan
    centre, half = p + Z_975**2 / (2 * images), Z_975 * numpy.sqrt(p * (1 - p) / images + Z_975**2 / (4 * images * images))
    return tuple(100 * (centre + side * half) / (1 + Z_975**2 / images) for side in (-1, 1))
