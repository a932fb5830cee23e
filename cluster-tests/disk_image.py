"""A small ext4 file system of a test's own: a sparse file, mounted through a loop device that goes with the mount."""
import contextlib
import os
import shutil
import subprocess
from pathlib import Path

MIB = 1 << 20
BLOCK = 4096


def run(*words):
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True)
    if done.returncode != 0:
        raise OSError(f"{' '.join(map(str, words))}: {done.stderr.strip()}")
    return done.stdout


class DiskImage:
    """The image `file`, mounted at `mount`."""

    def __init__(self, file, mount):
        self.file, self.mount = Path(file), Path(mount)
        self.ballast = self.mount / "ballast"

    @classmethod
    def make(cls, file, mount, mib):
        """Raises OSError where the machine cannot do it: no root, no loop devices, no mkfs.ext4."""
        image = cls(file, mount)
        with open(file, "wb") as empty:
            empty.truncate(mib * MIB)
        run("mkfs.ext4", "-q", "-F", "-m", "0", "-E", "lazy_itable_init=0,lazy_journal_init=0", image.file)
        image.attach()
        return image

    def attach(self, *options):
        self.mount.mkdir(parents=True, exist_ok=True)
        run("mount", "-o", ",".join(("loop", *options)), self.file, self.mount)

    def detach(self):
        """Also when something still uses it: nothing may stay behind."""
        if not os.path.ismount(self.mount):
            return
        try:
            run("umount", self.mount)
        except OSError:
            run("umount", "-l", self.mount)
            raise

    def remove(self):
        with contextlib.suppress(FileNotFoundError):
            try:
                self.detach()
            finally:
                self.file.unlink()

    @property
    def free_bytes(self):
        found = os.statvfs(self.mount)
        return found.f_bavail * found.f_frsize

    def fill(self, leave_bytes):
        """Takes all but leave_bytes of what is free; the ballast grows or shrinks."""
        held = self.ballast.stat().st_size if self.ballast.exists() else 0
        wanted = max(0, held + self.free_bytes - leave_bytes) // BLOCK * BLOCK
        with open(self.ballast, "ab") as file:
            if wanted < held:
                file.truncate(wanted)
            while wanted > held:
                try:
                    os.posix_fallocate(file.fileno(), held, wanted - held)
                    break
                except OSError:  # what the file system keeps for itself
                    file.truncate(held)
                    wanted -= 16 * BLOCK

    def enlarge(self, mib):
        """By so much. Nothing may use it meanwhile: not every machine lets a mounted one grow."""
        self.detach()
        os.truncate(self.file, self.file.stat().st_size + mib * MIB)
        run("e2fsck", "-f", "-p", self.file)
        run("resize2fs", self.file)
        self.attach()

    def relieve(self):
        self.ballast.unlink(missing_ok=True)

    def copy(self, file):
        """The device as it is now: what was handed to it, and nothing of what waits in the file system's memory."""
        shutil.copyfile(self.file, file)
