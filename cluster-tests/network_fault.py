"""A network of a test's own: a namespace with nothing but a loopback, in which the test's thread and all that it starts
live until the end. Rules of its firewall drop packets, so that nobody hears of it; a shaper makes transfers last."""
import ctypes
import os
import subprocess

CLONE_NEWNET = 0x40000000


def run(*words):
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True)
    if done.returncode != 0:
        raise OSError(f"{' '.join(map(str, words))}: {done.stderr.strip()}")


class Network:
    """Raises OSError where the machine cannot do it."""

    def __init__(self):
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.before = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        if self.libc.unshare(CLONE_NEWNET) != 0:
            os.close(self.before)
            raise OSError(f"no network namespace: {os.strerror(ctypes.get_errno())}")
        try:
            run("ip", "link", "set", "lo", "up")
            run("iptables", "-w", "-L", "-n")
        except OSError:
            self.leave()
            raise

    def leave(self):
        """Back to where the test came from; the namespace goes with its last process."""
        assert self.libc.setns(self.before, CLONE_NEWNET) == 0
        os.close(self.before)

    def slow_down(self, rate):
        run("tc", "qdisc", "replace", "dev", "lo", "root", "tbf", "rate", rate, "burst", "256k", "latency", "300ms")

    def full_speed(self):
        run("tc", "qdisc", "del", "dev", "lo", "root")

    def cut(self, port, to_it=True, from_it=True):
        """Packets to and from a listener's port vanish: no reset, no answer."""
        if to_it:
            run("iptables", "-w", "-A", "INPUT", "-p", "tcp", "--dport", port, "-j", "DROP")
        if from_it:
            run("iptables", "-w", "-A", "INPUT", "-p", "tcp", "--sport", port, "-j", "DROP")

    def mend(self):
        run("iptables", "-w", "-F", "INPUT")
