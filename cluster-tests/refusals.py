"""Which calls on which files of a node fail: the other end of FAULTS_REFUSE (faults/preload.c). No fault is decided
here."""
import errno
import mmap
import struct

from conftest import BIN

HEAD = struct.Struct("=Iiqq256s")  # armed, errno, pass, times, pattern: struct refusal
COUNTS = struct.Struct("=qq")      # met, refused
ALWAYS = (1 << 63) - 1


class Refusals:
    """A node that is started with `env` fails as told; it may be told anew at any time."""

    def __init__(self, path):
        path.write_bytes(bytes(HEAD.size + COUNTS.size))
        with open(path, "r+b") as file:
            self.shared = mmap.mmap(file.fileno(), 0)
        self.env = {"LD_PRELOAD": str(BIN / "libstrait-faults.so"), "FAULTS_REFUSE": str(path)}

    def arm(self, pattern, after=0, times=ALWAYS, number=errno.ENOSPC):
        """Calls on files whose path matches: `after` of them go through, then `times` fail."""
        self.disarm()
        COUNTS.pack_into(self.shared, HEAD.size, 0, 0)
        HEAD.pack_into(self.shared, 0, 0, number, after, times, pattern.encode())
        struct.pack_into("=I", self.shared, 0, 1)

    def disarm(self):
        struct.pack_into("=I", self.shared, 0, 0)

    @property
    def met(self):
        return COUNTS.unpack_from(self.shared, HEAD.size)[0]

    @property
    def refused(self):
        return COUNTS.unpack_from(self.shared, HEAD.size)[1]
