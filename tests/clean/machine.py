"""The two commands on a machine with nothing on it: a bare Debian root made for the purpose.

    make test-clean                                        (as root; about 2 GB below /var/tmp)
    python tests/clean/machine.py --python ~/.pyenv/versions/3.12.1
    python tests/clean/machine.py --run "make test" --keep

The root (debootstrap, minimal variant) gets Python, make and the certificates, and neither git nor
a compiler. A user without a home folder owns a copy of the repository in a folder whose name has
spaces and letters outside ASCII. That user installs with the network, and runs everything else
without one. A second user, who owns nothing there, then reads and tries to run what the first made.

Where packages come from is taken over from this machine: apt's sources and pip's configuration.
What cannot be checked fails; nothing is skipped. The root is removed at the end, if it failed too.
"""

from __future__ import annotations

import argparse
import ctypes
import fcntl
import os
import re
import shlex
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlparse

ROOT = Path(__file__).resolve().parents[2]
#: Where the copy lies in the new root, and who works there.
PLACE = "/srv/größe mit Leerzeichen/ares"
OWNER, VISITOR = 4711, 4712
#: From Linux's <sched.h> and <linux/sockios.h>.
CLONE_NEWNET, SIOCSIFFLAGS, IFF_UP = 0x40000000, 0x8914, 1
#: Compilers of C, C++, Fortran, Rust: none of them may be there.
COMPILERS = ("cc", "gcc", "c++", "g++", "clang", "tcc", "gfortran", "rustc", "nvcc")


class Failed(Exception):
    """A promise that does not hold on the clean machine."""


def main() -> int:
    """Make the root, run the promises in it, remove it; return 1 if one does not hold."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python", type=Path, help="a Python's folder instead of Debian's package")
    parser.add_argument("--run", default="make figures SCALE=smoke", help="after the installation")
    parser.add_argument("--working-tree", action="store_true", help="copy this instead of HEAD")
    parser.add_argument("--below", type=Path, default=Path("/var/tmp"), help="where the root goes")
    parser.add_argument("--keep", action="store_true", help="keep the root for a look")
    options = parser.parse_args()
    missing = [tool for tool in ("debootstrap", "mount", "git") if shutil.which(tool) is None]
    if os.geteuid() != 0 or missing:
        parser.error(f"needs root (chroot, mount) and {', '.join(missing) or 'nothing besides'}")
    root = Path(tempfile.mkdtemp(prefix="ares-clean-", dir=options.below))
    root.chmod(0o755)
    # So that mounts and root go away as well when somebody ends this.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        with ExitStack() as mounts:
            check(Machine(root, mounts, options.python), options)
    except Failed as failure:
        print(f"clean machine: FAILED: {failure}", file=sys.stderr)
        return 1
    finally:
        left = Path("/proc/self/mounts").read_text(encoding="utf-8").count(f" {root}/")
        if options.keep or left:
            print(f"kept: {root}, with {left} mounts in it")
        else:
            shutil.rmtree(root)
    return 0


def check(machine: Machine, options: argparse.Namespace) -> None:
    """Install with the network, run without, look at it as somebody else.

    Raises:
        Failed: a promise that does not hold.
    """
    machine.build()
    copy_repository(machine.root / PLACE[1:], options.working_tree)
    found = machine.output(f"command -v git {' '.join(COMPILERS)} || true")
    if found:
        raise Failed(f"the root is not bare, it has {found}")
    python = f"PYTHON={shlex.quote(machine.python)}"
    say(machine.output(f"{shlex.quote(machine.python)} -VV"))
    machine.timed(f"make install {python}", network=True)
    machine.timed(f"{options.run} {python}")
    as_somebody_else(machine, python)
    say("all of it held")


def as_somebody_else(machine: Machine, python: str) -> None:
    """Read the owner's results as a user who may not write there; a run ends with one line.

    Raises:
        Failed: the results can't be read, or a run does not say why it can't be.
    """
    say(machine.output(".venv/bin/ares summary smoke", user=VISITOR))
    machine.output(".venv/bin/ares ask 3 8 5 --target 19", user=VISITOR)
    for command in (f"make figures SCALE=smoke {python}", ".venv/bin/snakemake --cores 1"):
        done = machine.run(command, user=VISITOR, capture=True)
        if done.returncode == 0 or "Traceback" in done.stderr or "may not write" not in done.stderr:
            raise Failed(f"{command}, as another user: {done.stdout[-500:]} {done.stderr[-2000:]}")


class Machine:
    """A Debian root with a user in it.

    root: folder of the root. mounts: undoes what is mounted. python: the folder of a Python to
    lend it, as pyenv makes them; None for Debian's own package.
    """

    def __init__(self, root: Path, mounts: ExitStack, python: Path | None) -> None:
        self.root, self.mounts, self.prefix = root, mounts, python
        self.python = "python3" if python is None else f"{python}/bin/python3"

    def build(self) -> None:
        """Bootstrap the root; take over the sources of packages; make the users and the folder."""
        mirror, suite = apt_source()
        packages = ["make", "ca-certificates"]
        packages += ["python3-venv"] if self.prefix is None else libraries(self.prefix)
        say(f"a root of Debian {suite} with {', '.join(packages)}")
        command = ["debootstrap", "--variant=minbase", f"--include={','.join(packages)}"]
        log = self.root.with_suffix(".txt")
        with log.open("w", encoding="utf-8") as handle:
            done = subprocess.run([*command, suite, self.root, mirror], stdout=handle, stderr=2)
        if done.returncode:
            raise Failed(f"debootstrap: see {log}")
        log.unlink()
        for name in ("/etc/resolv.conf", "/etc/hosts"):
            shutil.copy(name, self.root / name[1:])
        for folder in ("/proc", "/dev"):
            self.lend(Path(folder), writable=True)
        if self.prefix is not None:
            self.lend(self.prefix)
        self.take_over_pip()
        for name, number in (("owner", OWNER), ("visitor", VISITOR)):
            home = ["--no-create-home", "--home-dir", "/nonexistent", "--uid", str(number)]
            subprocess.run(["chroot", self.root, "useradd", *home, name], check=True)
        (self.root / PLACE[1:]).parent.mkdir(parents=True)

    def lend(self, folder: Path, writable: bool = False) -> None:
        """Show a folder of this machine at the same place in the root."""
        there = self.root / str(folder)[1:]
        there.mkdir(parents=True, exist_ok=True)
        for parent in there.parents:
            if parent == self.root:
                break
            parent.chmod(parent.stat().st_mode | 0o055)
        mode = "rbind" if writable else "rbind,ro"
        subprocess.run(["mount", "-o", mode, folder, there], check=True)
        subprocess.run(["mount", "--make-rslave", there], check=True)
        self.mounts.callback(subprocess.run, ["umount", "--recursive", there], check=True)

    def take_over_pip(self) -> None:
        """Write this machine's configuration of pip into the root, and lend the files it names."""
        pip = [sys.executable, "-m", "pip", "config", "list"]
        listed = subprocess.run(pip, capture_output=True, text=True, check=True).stdout
        settings = dict(re.findall(r"^[^.\n]+\.([a-z-]+)='(.*)'$", listed, re.MULTILINE))
        for word in " ".join(settings.values()).replace("\\n", " ").split():
            path = Path(urlparse(word).path)
            if path.is_absolute() and urlparse(word).scheme in ("", "file") and path.exists():
                if path.is_dir():
                    # Indexes of files link to folders beside their own.
                    self.lend(path.parent if (path / "pip").is_dir() else path)
                else:
                    (self.root / str(path)[1:]).parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy(path, self.root / str(path)[1:])
        lines = [f"{key} = {value}".replace("\\n", "\n    ") for key, value in settings.items()]
        text = "\n".join(["[global]", *lines, ""])
        (self.root / "etc/pip.conf").write_text(text, encoding="utf-8")

    def run(
        self, command: str, user: int = OWNER, network: bool = False, capture: bool = False
    ) -> subprocess.CompletedProcess:
        """Run a shell command in the folder of the copy, as a user whose environment is empty.

        network: False cuts every connection but that of the machine to itself.
        """
        return subprocess.run(
            ["/bin/sh", "-c", f'cd "{PLACE}" && {command}'],
            env={"PATH": "/usr/local/bin:/usr/bin:/bin", "CORES": "all"},
            preexec_fn=enter(self.root, user, network),
            capture_output=capture,
            stdin=subprocess.DEVNULL,
            text=True,
        )

    def output(self, command: str, user: int = OWNER) -> str:
        """Return what a command prints.

        Raises:
            Failed: it fails.
        """
        done = self.run(command, user, capture=True)
        if done.returncode:
            raise Failed(f"{command}: {done.stdout[-500:]} {done.stderr[-2000:]}")
        return done.stdout.strip()

    def timed(self, command: str, network: bool = False) -> None:
        """Run a command and tell how long it took.

        Raises:
            Failed: it fails.
        """
        began = time.monotonic()
        done = self.run(command, network=network)
        took = time.monotonic() - began
        if done.returncode:
            raise Failed(f"{command}: status {done.returncode} after {took:.0f} s")
        say(f"{command}: {took:.0f} s {'with' if network else 'without'} network")


def enter(root: Path, user: int, network: bool) -> Callable[[], None]:
    """Return what a child process does first: leave the network, enter the root, be the user."""
    libc = ctypes.CDLL(None, use_errno=True)

    def step() -> None:
        if not network:
            if libc.unshare(CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "unshare")
            # The new network has a loopback that is down; notebooks' kernels talk through it.
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as plug:
                fcntl.ioctl(plug, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", IFF_UP))
        os.chroot(root)
        os.chdir("/")
        os.setgroups([])
        os.setgid(user)
        os.setuid(user)

    return step


def apt_source() -> tuple[str, str]:
    """Return the address and the suite of this machine's first source of Debian packages.

    Raises:
        Failed: apt has no such source.
    """
    command = [
        "apt-get",
        "indextargets",
        "--format",
        "$(REPO_URI) $(CODENAME)",
        "Created-By: Packages",
    ]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    pairs = [pair for pair in zip(listed[::2], listed[1::2], strict=True) if "-" not in pair[1]]
    if not pairs:
        raise Failed("apt has no source of packages here (apt-get update)")
    return pairs[0]


def libraries(prefix: Path) -> list[str]:
    """Return the packages with the shared libraries of a Python, graphical ones aside."""
    files = {file for file in prefix.glob("lib/python3*/lib-dynload/*.so") if "tk" not in file.name}
    listed = subprocess.run(["ldd", *files], capture_output=True, text=True, check=True).stdout
    found = sorted(set(re.findall(r"=> (/\S+)", listed)))
    # dpkg knows a file by the name its package gave it, before /lib became a link to /usr/lib.
    bare = {path.removeprefix("/usr") for path in found if not path.startswith(str(prefix))}
    outside = sorted(bare | {f"/usr{path}" for path in bare})
    owners = subprocess.run(["dpkg", "-S", *outside], capture_output=True, text=True).stdout
    return sorted(set(re.findall(r"^([^:\s]+)[:\w]*: ", owners, re.MULTILINE)))


def copy_repository(target: Path, working_tree: bool) -> None:
    """Copy what git knows: the last commit, or the files as they are now with new ones."""
    if working_tree:
        command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        for name in filter(None, listed.stdout.split("\0")):
            if (ROOT / name).is_file():
                (target / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, target / name)
    else:
        command = ["git", "clone", "--quiet", "--no-hardlinks", str(ROOT), str(target)]
        subprocess.run(command, check=True)
    subprocess.run(["chown", "-R", f"{OWNER}:{OWNER}", target], check=True)


def say(text: str) -> None:
    """Tell how far it is."""
    print(f"clean machine: {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
