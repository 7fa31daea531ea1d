"""The two commands on a machine with nothing on it: a bare Debian root made for the purpose.

    make test-clean                          (as root; below /var/tmp 3 GB, with CUDA builds 9 GB)
    make test-clean PYTHON312=/opt/python3.12              (a 3.12 that lies elsewhere)
    python3 tests/clean/machine.py --run "make figures" --keep

The root (debootstrap, minimal variant) gets Python, make and certificates, but neither git nor a
compiler. A user without a home folder owns a clone of the repository in a folder whose name has
spaces and letters outside ASCII. That user installs with the network, and runs everything else
without it. A second user, who owns nothing there, then reads and tries to run what the first made.

The sources of packages are those of this machine: apt's, and pip's configuration. What cannot be
checked fails; nothing is skipped. The root is removed at the end, even after a failure.
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
#: What is run where there is no network. `make figures` alone, at laptop scale, takes an hour.
RUN = ("make figures SCALE=smoke", "make test")
#: Where the copy lies in the new root, and who works there.
PLACE = "/srv/größe mit Leerzeichen/ares"
OWNER, VISITOR = 4711, 4712
#: From Linux's <sched.h> and <linux/sockios.h>.
CLONE_NEWNET, SIOCSIFFLAGS, IFF_UP = 0x40000000, 0x8914, 1
#: Where the visitor may write, and the notebooks that are opened by the visitor.
ELSEWHERE = "/tmp/elsewhere"
NOTEBOOKS = ("notebooks/01_world.ipynb", "notebooks/05_theory.ipynb")
#: Compilers of C, C++, Fortran, Rust: none of them may be there.
COMPILERS = ("cc", "gcc", "c++", "g++", "clang", "tcc", "gfortran", "rustc", "nvcc")


class Failed(Exception):
    """A promise that does not hold on the clean machine."""


def main() -> int:
    """Make the root, run the promises in it, remove it; return 1 if one does not hold."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python", type=Path, help="a Python's folder instead of Debian's package")
    parser.add_argument("--run", nargs="*", default=RUN, help="after the installation, in order")
    parser.add_argument("--below", type=Path, default=Path("/var/tmp"), help="where the root goes")
    parser.add_argument("--keep", action="store_true", help="keep the root for a look")
    options = parser.parse_args()
    missing = [tool for tool in ("debootstrap", "mount", "git") if shutil.which(tool) is None]
    if options.python is not None and not (options.python / "bin/python3").exists():
        parser.error(f"--python '{options.python}': no Python there; name one: PYTHON312=...")
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
    clone_repository(machine.root / PLACE[1:])
    tools = " ".join(("git", *COMPILERS))
    found = machine.output(f"for tool in {tools}; do command -v $tool || true; done")
    if found:
        raise Failed(f"the root is not bare, it has {found}")
    python = f"PYTHON={shlex.quote(machine.python)}"
    say(machine.output(f"{shlex.quote(machine.python)} -VV"))
    machine.timed(f"make install {python}", network=True)
    for command in options.run:
        machine.timed(f"{command} {python}")
    as_somebody_else(machine, python)
    say("all of it held")


def as_somebody_else(machine: Machine, python: str) -> None:
    """Read and run as a user who may not write there; a run that has to write ends with one line.

    Raises:
        Failed: something cannot be read, or a run does not say why it cannot write.
    """
    # Snakemake and hypothesis keep their own records to the owner.
    private = "-path ./.venv/home -o -path ./.snakemake -o -path ./.hypothesis"
    closed = machine.output(rf"find . \( {private} \) -prune -o ! -type l ! -perm -o=r -print")
    if closed:
        raise Failed(f"others cannot read {closed[:2000]}")
    machine.output(f"mkdir {ELSEWHERE}", user=VISITOR)
    made = "for file in results/*/manifest.json; do basename $(dirname $file); done"
    for scale in machine.output(made).split():
        say(machine.output(f".venv/bin/ares summary {scale}", user=VISITOR))
    trace = '{"tokens": ["so", "wait", "then", "it"], "entropy": [0.1, 1.5, 0.5, 0]}'
    for command in (
        ".venv/bin/ares ask 3 8 5 --target 19",
        f"echo '{trace}' | .venv/bin/ares analyze - --out {ELSEWHERE}/analysis",
        f"test -s {ELSEWHERE}/analysis/index.html",
        *(f".venv/bin/jupyter nbconvert --to notebook --execute --output-dir {ELSEWHERE} {notebook}"
          for notebook in NOTEBOOKS),
    ):  # fmt: skip
        machine.output(command, user=VISITOR)
    for command in (
        f"make figures SCALE=smoke {python}",
        ".venv/bin/snakemake --cores 1 --forceall",
    ):
        done = machine.run(command, user=VISITOR, capture=True)
        told = "may not write" in done.stderr or "can't be written" in done.stderr
        if done.returncode == 0 or "Traceback" in done.stderr or not told:
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
        # Lazy: what a failed command left running may still use it.
        umount = ["umount", "--recursive", "--lazy", there]
        self.mounts.callback(subprocess.run, umount, check=True)

    def take_over_pip(self) -> None:
        """Write this machine's configuration of pip into the root, and lend the files it names."""
        pip = [sys.executable, "-m", "pip", "config", "list"]
        listed = subprocess.run(pip, capture_output=True, text=True, check=True).stdout
        settings = dict(re.findall(r"^[^.\n]+\.([a-z-]+)='(.*)'$", listed, re.MULTILINE))
        for key, value in settings.items():
            for word in value.replace("\\n", " ").split():
                path = Path(urlparse(word).path)
                if not path.is_absolute() or urlparse(word).scheme not in ("", "file"):
                    continue
                if path.is_dir():
                    # The pages of an index link to folders beside it.
                    self.lend(path.parent if key.endswith("index-url") else path)
                elif path.is_file():
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
        # The owner has no home and no HOME, the visitor one outside of the copy.
        home = {"HOME": ELSEWHERE} if user == VISITOR else {}
        return subprocess.run(
            ["/bin/sh", "-c", f'cd "{PLACE}" && {command}'],
            env={"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C", **home},
            preexec_fn=enter(self.root, user, network),
            capture_output=capture,
            stdin=subprocess.DEVNULL,
            text=True,
        )

    def output(self, command: str, user: int = OWNER) -> str:
        """Return what a command prints; `Failed` if it fails."""
        done = self.run(command, user, capture=True)
        if done.returncode:
            raise Failed(f"{command}: {done.stdout[-500:]} {done.stderr[-2000:]}")
        return done.stdout.strip()

    def timed(self, command: str, network: bool = False) -> None:
        """Run a command and print how long it took; `Failed` if it fails."""
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
    command = ["apt-get", "indextargets", "--format", "$(REPO_URI) $(CODENAME)"]
    command += ["Created-By: Packages"]
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


def clone_repository(target: Path) -> None:
    """Clone the last commit for the owner."""
    subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", ROOT, target], check=True)
    subprocess.run(["chown", "-R", f"{OWNER}:{OWNER}", target], check=True)


def say(text: str) -> None:
    """Tell how far it is."""
    print(f"clean machine: {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
