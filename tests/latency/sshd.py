"""A real sshd on loopback, with its own keys and configuration."""

import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil

from latency.runtimes.ssh_connection import BOOT

SSHD = "/usr/sbin/sshd"
MISSING = next(
    (
        f"{program} is missing: install openssh-{side}"
        for program, side in ((SSHD, "server"), ("ssh", "client"), ("ssh-keygen", "client"))
        if shutil.which(program) is None
    ),
    None,
)
"""Why sshd cannot run here."""


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


class Sshd:
    """Listens on two ports: behind `chatty_port` the login shell prints before it runs a command."""

    def __init__(self, folder: Path):
        self.folder, self.port, self.chatty_port = folder, free_port(), free_port()
        for name in ("host", "user", "stranger"):
            key = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
            subprocess.run(key, check=True)
        shutil.copy(folder / "user.pub", folder / "authorized")
        (folder / "known").write_text(
            "".join(
                f"[127.0.0.1]:{port} {(folder / 'host.pub').read_text()}"
                for port in (self.port, self.chatty_port)
            )
        )
        (folder / "chatty.sh").write_text(
            '#!/bin/sh\necho "Welcome to the board!"\nprintf "no newline: "\n'
            'exec sh -c "$SSH_ORIGINAL_COMMAND"\n'
        )
        (folder / "chatty.sh").chmod(0o755)
        (folder / "sshd_config").write_text(
            f"Port {self.port}\nPort {self.chatty_port}\nListenAddress 127.0.0.1\n"
            f"HostKey {folder}/host\nAuthorizedKeysFile {folder}/authorized\nPidFile none\n"
            "UsePAM no\nStrictModes no\nPermitRootLogin yes\nPasswordAuthentication yes\n"
            f"Match LocalPort {self.chatty_port}\n  ForceCommand {folder}/chatty.sh\n"
        )
        self.log = (folder / "sshd.log").open("w")
        if os.getuid() == 0:  # what Debian makes when the service starts
            Path("/run/sshd").mkdir(exist_ok=True)
        self.process = subprocess.Popen(
            [SSHD, "-D", "-e", "-f", str(folder / "sshd_config")], stderr=self.log
        )
        deadline = time.monotonic() + 10
        while self._refuses():
            assert time.monotonic() < deadline, (folder / "sshd.log").read_text()
            time.sleep(0.02)

    def _refuses(self):
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) != 0

    def config(self, name="config", *, port=None, key="user", known="known"):
        """A configuration of ssh with the host `board`."""
        path = self.folder / name
        path.write_text(
            f"Host board\n  HostName 127.0.0.1\n  Port {port or self.port}\n"
            f"  IdentityFile {self.folder}/{key}\n  IdentitiesOnly yes\n"
            f"  UserKnownHostsFile {self.folder}/{known}\n  GlobalKnownHostsFile /dev/null\n"
        )
        return path

    def drop(self):
        """Cut every connection, as when the cable is pulled."""
        # A connection has two servers, and the one without privileges would go on for a moment.
        below = psutil.Process(self.process.pid).children(recursive=True)
        servers = [process for process in below if process.name().startswith("sshd")]
        for server in servers:
            server.kill()
        psutil.wait_procs(servers, timeout=10)

    def close(self):
        self.drop()
        self.process.terminate()
        self.process.wait()
        self.log.close()


def python(folder: Path, *, before="", path=None, program=sys.executable):
    """A Python as the other machine has it: with a folder for temporary files, and modules of its own."""
    folder.mkdir(exist_ok=True)
    (folder / "tmp").mkdir(exist_ok=True)
    script = folder / "python3"
    modules = f"export PYTHONPATH={path}\n" if path else ""
    script.write_text(
        f"#!/bin/sh\nexport TMPDIR='{folder}/tmp' OMP_NUM_THREADS=1\n"
        # A module written twice within a second would be taken from its old bytecode.
        f"export PYTHONDONTWRITEBYTECODE=1\n{modules}{before}\n"
        f'exec {program} "$@"\n'
    )
    script.chmod(0o755)
    return str(script)


def runners(folder):
    """Processes at work on the other machine, which is this one."""
    return [
        process
        for process in psutil.process_iter(["cmdline"])
        if BOOT in (process.info["cmdline"] or ()) and f"{folder}" in _environment(process)
    ]


def _environment(process):
    try:
        return process.environ().get("TMPDIR", "")
    except psutil.Error:
        return ""
