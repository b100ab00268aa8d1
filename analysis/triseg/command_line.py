"""How the project's programs in Python begin and end: options, packages, a line on standard error for what went wrong,
and an exit status. Needs no other package."""
import argparse
import contextlib
import difflib
import os
import re
import sys

from triseg.files import Error


class _OutputError(Exception):
    """Standard output took no more. No OSError, so that nobody takes it for one of an input file."""


class _Spelled:
    """A stream that spells out control characters but line feeds, as \\x1b, and those that turn the direction of
    writing: what a file is named or holds must not steer a terminal."""

    def __init__(self, stream):
        self.stream = stream

    def write(self, text):
        hidden = r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]"
        return self.stream.write(re.sub(hidden, lambda c: f"\\x{ord(c[0]):02x}", text))

    def flush(self):
        self.stream.flush()


class _Output(_Spelled):
    """Standard output whose errors are _OutputError."""

    def write(self, text):
        return self._try(super().write, text)

    def flush(self):
        self._try(super().flush)

    @staticmethod
    def _try(call, *arguments):
        try:
            return call(*arguments)
        except OSError as error:
            raise _OutputError from error


class _Parser(argparse.ArgumentParser):
    """Refuses a command line in one line, with the option that is meant where one is near."""

    def error(self, message):
        known = [name for action in self._actions for name in action.option_strings if name.startswith("--")]
        wrong = re.search(r"unrecognized arguments: .*?(--[\w-]+)", message)
        near = difflib.get_close_matches(wrong[1], known, 1) if wrong else []
        report(message + (f": did you mean '{near[0]}'?" if near else "") + "; --help says what it takes")
        sys.exit(2)


def parser(description):
    """An argparse parser whose help shows the description, a script's docstring, as it is."""
    return _Parser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False)


@contextlib.contextmanager
def packages():
    """A block of imports: a package that is missing ends the program with a line and exit status 2."""
    try:
        yield
    except ModuleNotFoundError as error:
        print(f"needs {error.name}: run with /usr/bin/python3 (Debian package python3-{error.name.lower()})",
              file=sys.stderr)
        sys.exit(2)


def report(what, kind="error: "):
    """A line on standard error, behind the script's name."""
    print(f"{os.path.basename(sys.argv[0])}: {kind}" + " ".join(str(what).rstrip("\n").split("\n")), file=sys.stderr)


def run(main, failed=1):
    """Ends the program with the exit status that main() returns. An Error is reported, with exit status `failed`; so
    is standard output that is closed or takes no more. A reader that has seen enough, such as head, ends it with the
    same status and no word."""
    if sys.stdout is None:
        report("standard output: it is closed")
        sys.exit(failed)
    stdout, stderr = sys.stdout, sys.stderr and _Spelled(sys.stderr)
    stdout.reconfigure(errors="replace")  # a path need not be text
    try:
        with contextlib.redirect_stdout(_Output(stdout)), contextlib.redirect_stderr(stderr):
            try:
                status = main()
            except SystemExit as end:
                status = end.code
            except Error as error:
                report(error)
                status = failed
            except KeyboardInterrupt:
                status = 130
            sys.stdout.flush()
    except _OutputError as error:
        if not isinstance(error.__cause__, BrokenPipeError):
            report(f"standard output: {error.__cause__.strerror}")
        status = failed
        os.dup2(os.open(os.devnull, os.O_WRONLY), stdout.fileno())  # for what is left in the buffer
    sys.exit(status)
