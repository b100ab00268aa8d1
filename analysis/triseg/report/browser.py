"""Chromium without a window, over the pipe of its DevTools protocol: pictures and PDFs of a page, and tests of it."""
import base64
import fcntl
import json
import os
import pathlib
import select
import shutil
import subprocess
import tempfile
import time

from triseg.files import Error

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
OPTIONS = ("--headless=new", "--remote-debugging-pipe", "--disable-gpu", "--hide-scrollbars", "--no-first-run",
           "--disable-extensions", "--disable-background-networking", "--disable-component-update",
           "--disable-dev-shm-usage", "--force-color-profile=srgb")
LOCAL = ("file:", "data:", "about:")
SECONDS = 60  # to wait for an answer


def program():
    """Chromium's path; None where there is none."""
    return next((found for found in map(shutil.which, NAMES) if found), None)


class Browser:
    """A page in Chromium; a context manager. Raises Error if there is no Chromium or it does not answer.

    problems: what went wrong on the page so far, a text each: errors and warnings of its console, exceptions, and
    requests to a network.
    """

    def __init__(self):
        path = program()
        if not path:
            raise Error("Chromium: it is not there (Debian package chromium)")
        self._folder = tempfile.TemporaryDirectory(prefix="triseg-chromium-", ignore_cleanup_errors=True)
        self._process, self._to, self._from = _start([path, *OPTIONS, f"--user-data-dir={self._folder.name}",
                                                      *(["--no-sandbox"] if os.geteuid() == 0 else []), "about:blank"])
        self._buffer, self._count, self._session, self._loaded, self.problems = b"", 0, None, False, []
        try:
            target = self.call("Target.createTarget", url="about:blank")["targetId"]
            self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
            for domain in ("Page", "Runtime", "Log", "Network"):
                self.call(f"{domain}.enable")
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Ends the process."""
        for descriptor in (self._to, self._from):
            os.close(descriptor)
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._folder.cleanup()

    def open(self, path, width=1280, height=900, scheme="light", media="", density=1):
        """Loads a file into a window of this size; scheme: "light" or "dark"; media: "print" or as on a screen;
        density: pixels of a picture in the place of one."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=density,
                  mobile=False)
        self.call("Emulation.setEmulatedMedia", media=media,
                  features=[{"name": "prefers-color-scheme", "value": scheme}])
        self._loaded = False
        self.call("Page.navigate", url=pathlib.Path(path).resolve().as_uri())
        until = time.monotonic() + SECONDS
        while not self._loaded:
            self._take(until)

    def evaluate(self, expression):
        """The value of an expression of JavaScript. Raises Error if it throws."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise Error(f"Chromium: {answer['exceptionDetails'].get('exception', {}).get('description', expression)}")
        return answer["result"].get("value")

    def mouse(self, kind, x, y, **more):
        """An event of the mouse, "mouseMoved", "mousePressed" or "mouseReleased", in pixels of the window."""
        self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)

    def picture(self, name=None, margin=8):
        """PNG (bytes) of the window, or of the element of this id, which must not be larger."""
        more = {}
        if name:
            box = self.evaluate(f"""(() => {{ const e = document.getElementById({json.dumps(name)}); e.scrollIntoView();
                const b = e.getBoundingClientRect(); return [b.x + scrollX, b.y + scrollY, b.width, b.height]; }})()""")
            x, y, width, height = box
            more["clip"] = {"x": x - margin, "y": y - margin, "width": width + 2 * margin,
                            "height": height + 2 * margin, "scale": 1}
        return base64.b64decode(self.call("Page.captureScreenshot", format="png", **more)["data"])

    def pdf(self):
        """PDF (bytes) of the page on A4."""
        millimetres = {"paperWidth": 210, "paperHeight": 297, "marginTop": 14, "marginBottom": 14, "marginLeft": 13,
                       "marginRight": 13}
        return base64.b64decode(self.call("Page.printToPDF", printBackground=True,
                                          **{name: value / 25.4 for name, value in millimetres.items()})["data"])

    def call(self, method, **parameters):
        """The answer to a command of the protocol."""
        self._count += 1
        command = {"id": self._count, "method": method, "params": parameters}
        if self._session:
            command["sessionId"] = self._session
        data = json.dumps(command).encode() + b"\0"
        while data:
            data = data[os.write(self._to, data):]
        until = time.monotonic() + SECONDS
        while True:
            message = self._take(until)
            if message.get("id") == self._count:
                if "error" in message:
                    raise Error(f"Chromium: {method}: {message['error']['message']}")
                return message["result"]

    def _take(self, until):
        """The next message, an event among them noted."""
        while b"\0" not in self._buffer:
            if not select.select([self._from], [], [], max(0, until - time.monotonic()))[0]:
                raise Error(f"Chromium: no answer within {SECONDS} s")
            data = os.read(self._from, 1 << 20)
            if not data:
                raise Error(f"Chromium: it ended ({self._process.wait()})")
            self._buffer += data
        text, self._buffer = self._buffer.split(b"\0", 1)
        message = json.loads(text)
        self._note(message.get("method"), message.get("params", {}))
        return message

    def _note(self, method, event):
        if method == "Page.loadEventFired":
            self._loaded = True
        elif method == "Runtime.exceptionThrown":
            details = event["exceptionDetails"]
            self.problems.append(details.get("exception", {}).get("description") or details["text"])
        elif method == "Runtime.consoleAPICalled" and event["type"] in ("error", "warning", "assert"):
            self.problems.append(" ".join(str(each.get("value", each.get("description"))) for each in event["args"]))
        elif method == "Log.entryAdded" and event["entry"]["level"] in ("error", "warning"):
            self.problems.append(event["entry"]["text"])
        elif method == "Network.requestWillBeSent" and not event["request"]["url"].startswith(LOCAL):
            self.problems.append(f"a request to {event['request']['url']}")


def _start(command):
    """(process, descriptor of commands, of answers): Chromium reads commands on its file 3, and answers on its file 4.
    """
    pipes = [os.pipe(), os.pipe()]
    theirs = [fcntl.fcntl(pipes[0][0], fcntl.F_DUPFD_CLOEXEC, 10), fcntl.fcntl(pipes[1][1], fcntl.F_DUPFD_CLOEXEC, 10)]

    def place():
        for descriptor, number in zip(theirs, (3, 4)):
            os.dup2(descriptor, number)

    try:
        process = subprocess.Popen(command, preexec_fn=place, close_fds=False, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
    except OSError as error:
        for descriptor in (pipes[0][1], pipes[1][0]):
            os.close(descriptor)
        raise Error(f"{command[0]}: {error.strerror}") from error
    finally:
        for descriptor in (pipes[0][0], pipes[1][1], *theirs):
            os.close(descriptor)
    return process, pipes[0][1], pipes[1][0]
