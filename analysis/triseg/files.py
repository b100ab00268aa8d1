"""How the package opens files and refuses them: in one line, which names the file. Needs no other package."""
import contextlib
import fcntl
import os
import stat
import threading


class Error(Exception):
    """One line for the user, "FILE: what is wrong"."""


def name_of(path):
    """A path as text; bytes that are no UTF-8 are surrogates."""
    return os.fsdecode(path)


def reason(error):
    """What an exception says of a file, in one line."""
    if isinstance(error, KeyError):
        return error.args[0] if error.args else "a part is missing"
    return " ".join(str(getattr(error, "strerror", None) or error or type(error).__name__).split("\n"))


def open_input(path, **options):
    """open() for reading. Raises Error for all but regular files: a FIFO or a device could keep the reader waiting for
    ever. Raises OSError if it cannot be opened."""
    def opener(name, flags):
        descriptor = os.open(name, flags | os.O_NONBLOCK)  # waits for no writer of a FIFO
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise Error(f"{name_of(path)}: not a regular file")
        return descriptor

    try:
        return open(path, opener=opener, **options)
    except ValueError as error:  # a NUL in the name
        raise Error(f"{name_of(path)!r}: {error}") from error


def read_text(path):
    """The content of a text file. Raises Error; bytes that are no UTF-8 are replaced."""
    try:
        with open_input(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError as error:
        raise Error(f"{name_of(path)}: {reason(error)}") from error


def is_locked(path):
    """True if a process of triseg writes the file now, by the lock beside it. A file that cannot be looked at is
    not."""
    folder, name = os.path.split(os.path.realpath(name_of(path)))
    try:
        descriptor = os.open(os.path.join(folder, f".{name}.lock"), os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    except (OSError, ValueError):
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return False


@contextlib.contextmanager
def whole_file(path):
    """Gives the name of a temporary file beside `path`, for the block to write, and puts it in the place of `path`
    where the block ends: a reader sees the old file or the new one, never a part. After an exception the old one stays.
    Raises Error."""
    path = name_of(path)
    if "\0" in path:
        raise Error(f"cannot write {path!r}: a name holds no NUL")
    if os.path.lexists(path) and (os.path.islink(path) or not os.path.isfile(path)):
        raise Error(f"cannot write {path}: it is there and is no file")
    folder, name = os.path.split(path)
    temporary = os.path.join(folder, f".{name}.{os.getpid()}-{threading.get_ident()}.tmp")
    try:
        try:
            yield temporary
            with open(temporary, "rb+") as file:
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)
            raise
        descriptor = os.open(folder or ".", os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise Error(f"cannot write {path}: {reason(error)}") from error


def commit(path, content):
    """Writes a file as a whole (bytes), by whole_file. Raises Error."""
    with whole_file(path) as temporary, open(temporary, "wb") as file:
        file.write(content)
