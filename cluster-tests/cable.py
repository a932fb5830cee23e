"""A cable between two regions: a pair of Ethernet interfaces (veth) in two network namespaces, whose bytes the kernel counts.

    with Cable() as cable:
        source, destination = LinkedCluster(folder, cable).up()
        with Meter(cable) as meter: ...
        meter.windows(10)

Neither slow nor lossy (emulator.py is that). Segments are cut to the MTU before they are counted, as on a wire, so that each
byte of headers is in the figures; cut(False) lets them pass as they are handed over, up to 64 KiB, which costs the machine
far less and counts next to no headers. The namespaces have no names and end with this process.
"""
import re
import subprocess
import threading
import time

MTU = 1500
SAMPLE_SECONDS = 0.1


class Cable:
    """As emulator.Link: the words `a` and `b` before a command run it at that end."""

    address_a, address_b = "10.78.0.1", "10.78.0.2"

    def __init__(self):
        self.holders = []
        try:
            for _ in range(2):
                self.holders.append(subprocess.Popen(["unshare", "--net", "cat"], stdin=subprocess.PIPE,
                                                     stdout=subprocess.PIPE, text=True))
            for holder in self.holders:  # its answer says that it is in its namespace
                holder.stdin.write("there\n")
                holder.stdin.flush()
                assert holder.stdout.readline() == "there\n", "no network namespace can be made here"
            pids = [holder.pid for holder in self.holders]
            self.a, self.b = (["nsenter", f"--net=/proc/{pid}/ns/net"] for pid in pids)
            self.run(self.a, "ip link add wire type veth peer name wire netns", str(pids[1]))
            for inside, address in ((self.a, self.address_a), (self.b, self.address_b)):
                self.run(inside, "ip link set lo up")
                self.run(inside, f"ip address add {address}/24 dev wire")
                self.run(inside, f"ip link set wire mtu {MTU} up")
            self.cut(True)
        except BaseException:
            self.close()
            raise

    @staticmethod
    def run(inside, words, *more):
        done = subprocess.run([*inside, *words.split(), *more], capture_output=True, text=True)
        if done.returncode != 0:
            raise OSError(f"{words}: {done.stderr.strip()}")

    def cut(self, small):
        for inside in (self.a, self.b):
            self.run(inside, f"ip link set wire gso_max_segs {1 if small else 65535}")
            self.run(inside, "ip route flush cache")  # else connections that stand keep the old size for good

    def received(self):
        """Bytes that came in at B's interface so far, framing included."""
        with open(f"/proc/{self.holders[1].pid}/net/dev") as file:
            return int(re.search(r"wire:\s*(\d+)", file.read())[1])

    def close(self):
        for holder in self.holders:
            holder.stdin.close()
            holder.wait()
            holder.stdout.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Meter(threading.Thread):
    """(time, bytes at B's interface), each SAMPLE_SECONDS between enter and exit."""

    def __init__(self, cable):
        super().__init__(daemon=True)
        self.cable, self.samples, self.ended = cable, [], threading.Event()

    def __enter__(self):
        self.start()
        return self

    def run(self):
        while True:
            before = time.monotonic()
            count = self.cable.received()
            self.samples.append(((before + time.monotonic()) / 2, count))
            if self.ended.wait(SAMPLE_SECONDS):
                return

    def __exit__(self, *_):
        self.ended.set()
        self.join()

    def windows(self, seconds, begin=0.0, end=float("inf")):
        """Mbit/s in each window of so many seconds that lies between two times."""
        samples = [sample for sample in self.samples if begin <= sample[0] <= end]
        rates, last = [], 0
        for first, (at, count) in enumerate(samples):
            while last < len(samples) and samples[last][0] - at < seconds:
                last += 1
            if last == len(samples):
                break
            rates.append((samples[last][1] - count) * 8 / (samples[last][0] - at) / 1e6)
        return rates
