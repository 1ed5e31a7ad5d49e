"""What a machine is, read on machines of every kind."""

from pathlib import Path

from littoral.node.inventory import Surveyor

FILES = {
    "proc/meminfo": "MemTotal: 1000 kB\nMemAvailable: 600 kB\n",
    "proc/cpuinfo": "processor : 0\nmodel name : Somebody's CPU @ 2 GHz\n",
    "etc/os-release": 'NAME=x\nPRETTY_NAME="Some Linux 12"\n',
    "sys/bus/pci/devices/0000:01:00.0/vendor": "0x1002\n",
    "sys/bus/pci/devices/0000:01:00.0/device": "0x744c\n",
    "sys/bus/pci/devices/0000:01:00.0/class": "0x030000\n",
    "sys/bus/pci/devices/0000:01:00.0/mem_info_vram_total": "25753026560\n",
    "sys/bus/pci/devices/0000:02:00.0/vendor": "0x8086\n",
    "sys/bus/pci/devices/0000:02:00.0/class": "0x020000\n",
    "sys/class/accel/accel0/dev": "261:0\n",
}


def surveyor(root: Path, files: dict[str, str]) -> Surveyor:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return Surveyor(str(root), build="0.1.0", engines=lambda: ("fake",), root=root)


def test_a_machine_is_described_by_its_own_files(tmp_path):
    found = surveyor(tmp_path, FILES).read()
    assert (found.cpu, found.build, found.engines) == ("Somebody's CPU @ 2 GHz", "0.1.0", ("fake",))
    assert found.system.startswith("Some Linux 12, kernel ")
    assert found.memory == 1000 * 1024
    assert found.disk > 0
    assert [(each.kind, each.name, each.memory) for each in found.accelerators] == [
        ("amd", "0x1002:0x744c", 25_753_026_560),
        ("npu", "accel0", 0),
    ]


def test_a_board_without_pci_names_itself(tmp_path):
    found = surveyor(
        tmp_path,
        {
            "proc/meminfo": FILES["proc/meminfo"],
            "proc/device-tree/model": "Some Board Rev 1\0",
            "proc/device-tree/compatible": "nvidia,tegra234\0",
        },
    ).read()
    assert found.cpu == "Some Board Rev 1"
    assert [(each.kind, each.name) for each in found.accelerators] == [("nvidia", "tegra")]


def test_a_folder_that_is_gone_has_no_disk(tmp_path):
    made = Surveyor(str(tmp_path / "gone"), build="0", engines=tuple, root=tmp_path)
    assert made.read().disk == 0
