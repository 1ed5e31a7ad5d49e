"""What this machine is: read from /proc, /sys and the platform; nothing is loaded for it."""

import os
import platform
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from littoral.domain.enrolment import Accelerator, Inventory
from littoral.domain.units import Bytes
from littoral.node.machine import Host

VENDORS: Mapping[str, str] = {
    "0x10de": "nvidia",
    "0x1002": "amd",
    "0x8086": "intel",
    "0x1d17": "zhaoxin",
    "0x19e5": "huawei",
}
"""PCI vendors of display and processing devices."""
CLASSES = ("0x03", "0x12")
"""PCI classes: display controllers, processing accelerators."""
MOST_TEXT = 120


class Surveyor:
    """Reader of this machine's inventory.

    Args:
        folder: The node's data folder, whose file system is measured.
        build: Littoral's version.
        engines: Which kinds of engines have their libraries installed.
        root: Where /proc and /sys are; another folder in tests.
    """

    def __init__(
        self,
        folder: str,
        *,
        build: str,
        engines: Callable[[], tuple[str, ...]],
        root: Path = Path("/"),
    ) -> None:
        self._folder = folder
        self._build = build
        self._engines = engines
        self._root = root

    def read(self) -> Inventory:
        """The inventory as it is now."""
        machine = Host(self._root).read()
        return Inventory(
            host=platform.node()[:MOST_TEXT],
            arch=platform.machine(),
            system=self._system(),
            cpu=self._cpu(),
            cores=machine.cores,
            memory=machine.memory,
            disk=self._disk(),
            accelerators=tuple(self._accelerators()),
            engines=self._engines(),
            build=self._build,
        )

    def _text(self, path: Path | str) -> str:
        try:
            return (self._root / path).read_text("utf-8", "replace").strip("\0\n ")
        except OSError:
            return ""

    def _system(self) -> str:
        rows = dict(
            line.split("=", 1) for line in self._text("etc/os-release").splitlines() if "=" in line
        )
        pretty = rows.get("PRETTY_NAME", platform.system()).strip('"')
        return f"{pretty}, kernel {platform.release()}"[:MOST_TEXT]

    def _cpu(self) -> str:
        for line in self._text("proc/cpuinfo").splitlines():
            name, _, value = line.partition(":")
            if name.strip() in {"model name", "Model", "Hardware"}:
                return value.strip()[:MOST_TEXT]
        return self._text("proc/device-tree/model")[:MOST_TEXT] or platform.processor()

    def _disk(self) -> Bytes:
        try:
            found = os.statvfs(self._folder)
        except OSError:
            return Bytes(0)
        return Bytes(found.f_blocks * found.f_frsize)

    def _accelerators(self) -> Iterator[Accelerator]:
        """Devices on the PCI bus, those of the ``accel`` class, and Jetson's own GPU."""
        for device in sorted((self._root / "sys/bus/pci/devices").glob("*")):
            kind = VENDORS.get(self._text(device / "vendor"))
            if kind and self._text(device / "class").startswith(CLASSES):
                name = f"{self._text(device / 'vendor')}:{self._text(device / 'device')}"
                memory = self._text(device / "mem_info_vram_total")
                yield Accelerator(
                    kind=kind, name=name, memory=Bytes(int(memory) if memory.isdigit() else 0)
                )
        for device in sorted((self._root / "sys/class/accel").glob("accel*")):
            yield Accelerator(kind="npu", name=device.name)
        if "tegra" in self._text("proc/device-tree/compatible"):
            yield Accelerator(kind="nvidia", name="tegra")
