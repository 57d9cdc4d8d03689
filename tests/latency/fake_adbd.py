"""A fake phone that speaks adbd's side of the ADB protocol over TCP, to the real adb.

Of the protocol (AOSP, packages/modules/adb/protocol.txt and SYNC.TXT) it has what adb asks for when a
device offers no features: `shell:` of the first version, and pushing by `sync:`. Commands run in this
machine's `sh`, with the phone's paths moved into a folder.
"""

import contextlib
import os
import queue
import signal
import socket
import stat
import struct
import subprocess
import threading
from pathlib import Path

MAX_DATA = 4096


def _word(name):
    return int.from_bytes(name, "little")


CNXN, AUTH, OPEN = _word(b"CNXN"), _word(b"AUTH"), _word(b"OPEN")
TOKEN, SIGNATURE = 1, 2
OKAY, CLSE, WRTE = _word(b"OKAY"), _word(b"CLSE"), _word(b"WRTE")


class FakeAdbd:
    """Listens on a port of loopback.

    Args:
        root: Its file system: what the phone calls /sys and /data lies in there, programs in bin.

    Attributes:
        faults: Taken one by one by calls of `benchmark_model`: "drop" cuts the connection, "hang" never
            answers; anything else is what is printed instead.
        authorized: Whether it lets adb in.
        commands: What was run.
    """

    def __init__(self, root: Path):
        self.root, self.faults, self.authorized, self.commands = root, [], True, []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.serial = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._connections = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._connections.append(connection)
            threading.Thread(target=Transport(self, connection).serve, daemon=True).start()

    def drop(self):
        while self._connections:
            connection = self._connections.pop()
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()

    def close(self):
        if self._listener.fileno() >= 0:
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes who accepts
            self._listener.close()
        self.drop()

    def here(self, text):
        """A command or a path with the phone's paths moved into the folder."""
        for top in ("/sys/", "/data/"):
            text = text.replace(top, f"{self.root}{top}")
        return text


class Transport:
    """One connection of adb's server, with its streams."""

    def __init__(self, phone, connection):
        self.phone, self._connection = phone, connection
        self._sending, self._streams, self._opened = threading.Lock(), {}, 0

    def serve(self):
        try:
            while True:
                command, arg0, arg1, data = self._receive()
                self._handle(command, arg0, arg1, data)
        except (OSError, EOFError):
            for stream in self._streams.values():
                stream.end()

    def _receive(self):
        command, arg0, arg1, length, _, _ = struct.unpack("<6I", self._exactly(24))
        return command, arg0, arg1, self._exactly(length)

    def _exactly(self, count):
        data = b""
        while len(data) < count:
            part = self._connection.recv(count - len(data))
            if not part:
                raise EOFError
            data += part
        return data

    def send(self, command, arg0, arg1, data=b""):
        head = struct.pack(
            "<6I", command, arg0, arg1, len(data), sum(data) & 0xFFFFFFFF, command ^ 0xFFFFFFFF
        )
        with self._sending:
            self._connection.sendall(head + data)

    def _handle(self, command, arg0, arg1, data):
        if command in (CNXN, AUTH):
            if self.phone.authorized:
                banner = (
                    b"device::ro.product.name=stand;ro.product.model=In;ro.product.device=stand;"
                )
                self.send(CNXN, 0x01000000, MAX_DATA, banner)
            elif command == CNXN or arg0 == SIGNATURE:  # of a key that it does not know
                self.send(AUTH, TOKEN, 0, os.urandom(20))
        elif command == OPEN:
            self._opened += 1
            stream = self._streams[self._opened] = Stream(self, self._opened, arg0)
            threading.Thread(
                target=stream.serve, args=(data.rstrip(b"\0").decode(),), daemon=True
            ).start()
        elif arg1 in self._streams:
            stream = self._streams[arg1]
            if command == WRTE:
                stream.given.put(data)
                self.send(OKAY, arg1, arg0)
            elif command == OKAY:
                stream.ready.release()
            elif command == CLSE:
                stream.end()
                del self._streams[arg1]


class Stream:
    """One service that adb has opened."""

    def __init__(self, transport, own, other):
        self._transport, self._own, self._other = transport, own, other
        self.given, self.ready = queue.Queue(), threading.Semaphore(1)
        self._rest, self._process = b"", None

    def serve(self, service):
        try:
            self._transport.send(OKAY, self._own, self._other)
            if service.startswith("shell"):
                self._shell(service.partition(":")[2])
            elif service.startswith("sync"):
                self._sync()
            self._transport.send(CLSE, self._own, self._other)
        except (OSError, EOFError):
            return

    def end(self):
        self.given.put(None)
        self.ready.release()
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)

    def _write(self, data):
        for start in range(0, len(data), MAX_DATA):
            self.ready.acquire()
            self._transport.send(WRTE, self._own, self._other, data[start : start + MAX_DATA])

    def _shell(self, command):
        phone = self._transport.phone
        phone.commands.append(command)
        if "--graph=" in command and phone.faults:
            fault = phone.faults.pop(0)
            if fault == "drop":
                phone.drop()
                raise EOFError
            if fault == "hang":
                threading.Event().wait(60)
            self._write(fault.encode())
            return
        self._process = subprocess.Popen(
            ["/bin/sh", "-c", phone.here(command)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={"PATH": f"{phone.root}/bin:/usr/bin:/bin"},
            start_new_session=True,
        )
        printed, _ = self._process.communicate()
        self._write(printed.replace(b"\n", b"\r\n"))  # as phones of old have it

    def _exactly(self, count):
        while len(self._rest) < count:
            part = self.given.get()
            if part is None:
                raise EOFError
            self._rest += part
        taken, self._rest = self._rest[:count], self._rest[count:]
        return taken

    def _sync(self):
        while True:
            name, length = struct.unpack("<4sI", self._exactly(8))
            if name == b"QUIT":
                return
            path = self._exactly(length).decode()
            if name == b"STAT":
                self._write(b"STAT" + struct.pack("<3I", *self._stat(path)))
            elif name == b"SEND":
                self._receive(*path.rsplit(",", 1))

    def _stat(self, path):
        try:
            found = Path(self._transport.phone.here(path)).stat()
        except OSError:
            return 0, 0, 0
        return found.st_mode, found.st_size, int(found.st_mtime)

    def _receive(self, path, mode):
        data = b""
        while True:
            name, length = struct.unpack("<4sI", self._exactly(8))
            if name == b"DONE":
                break
            data += self._exactly(length)
        try:
            file = Path(self._transport.phone.here(path))
            file.write_bytes(data)
            file.chmod(stat.S_IMODE(int(mode)))
        except OSError as error:
            why = f"couldn't create file: {error.strerror}".encode()
            self._write(b"FAIL" + struct.pack("<I", len(why)) + why)
            return
        self._write(b"OKAY" + struct.pack("<I", 0))
