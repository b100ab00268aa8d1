"""Figures from the sums that run files store, and their intervals. KD is in nats (less is better), accuracies are in
percent."""
import numpy

Z_975 = 1.959963984540054  # the 97.5 % quantile of the normal distribution

# The same of Student's t at 1, 2, ... degrees of freedom.
T_975 = (12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622, 2.2281,
         2.2010, 2.1788, 2.1604, 2.1448, 2.1314, 2.1199, 2.1098, 2.1009, 2.0930, 2.0860,
         2.0796, 2.0739, 2.0687, 2.0639, 2.0595, 2.0555, 2.0518, 2.0484, 2.0452, 2.0423)


def score(values, prefix=""):
    """(KD, attention, accuracy of the teacher, of the student) from the sums among `values`, numbers or arrays by name;
    NaN without images."""
    names = ("images", "kd_sum", "attention_sum", "both_right", "teacher_only", "student_only")
    images, kd, attention, both, teacher, student = (numpy.asarray(values[prefix + n], dtype=float) for n in names)
    with numpy.errstate(divide="ignore", invalid="ignore"):
        return kd / images, attention / images, 100 * (both + teacher) / images, 100 * (both + student) / images


def wilson_95(percent, images):
    """Confidence bounds of a share [percent] (Wilson 1927); NaN without images.

    >>> low, high = wilson_95(90.0, 1000)
    >>> print(f"{low:.2f} to {high:.2f}")
    87.98 to 91.71
    """
    p, images, z = percent / 100, images or numpy.nan, Z_975
    centre, half = p + z * z / (2 * images), z * numpy.sqrt(p * (1 - p) / images + z * z / (4 * images * images))
    return tuple(100 * (centre + side * half) / (1 + z * z / images) for side in (-1, 1))


def mean_and_half_95(values):
    """Mean and half the width of its 95 % interval (Student's t); None for one value, of which nothing is known.

    >>> mean, half = mean_and_half_95([0.10, 0.12, 0.14])
    >>> print(f"{mean:.3f} ± {half:.3f}")
    0.120 ± 0.050
    """
    values = numpy.asarray(values, dtype=float)
    n = len(values)
    if n < 2:
        return float(values.mean()), None
    t = T_975[n - 2] if n - 2 < len(T_975) else Z_975 + 2.5 / (n - 1)
    return float(values.mean()), float(t * values.std(ddof=1) / numpy.sqrt(n))


def shown(value, format_):
    """The number in this format; "-" if it is not defined, as a multiple of 0 is not."""
    return format(value, format_) if numpy.isfinite(value) else "-"
