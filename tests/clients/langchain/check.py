"""langchain-openai under LangChain's own standard suite for chat models and embeddings."""

import pathlib
import sys
import xml.etree.ElementTree as ET
from tempfile import TemporaryDirectory

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

import pytest
from cases import say

HERE = pathlib.Path(__file__).resolve().parent
OPTIONS = ("-q", "-p", "no:cacheprovider", "-c", str(HERE / "pytest.ini"))


def main():
    """Run the suite in this process; its report becomes cases."""
    with TemporaryDirectory() as folder:
        report = pathlib.Path(folder, "report.xml")
        pytest.main([*OPTIONS, f"--junit-xml={report}", str(HERE / "suite.py")])
        found = list(ET.parse(report).iter("testcase"))  # noqa: S314  pytest wrote it just now
    failed = 0
    for case in found:
        name = f"{case.get('classname', '').rpartition('.')[2]}.{case.get('name')}"
        bad = case.find("failure") if case.find("error") is None else case.find("error")
        skip = case.find("skipped")
        if bad is not None:
            failed += 1
            say("fail", name, bad.get("message", ""))
        else:
            say(
                "ok" if skip is None else "skip",
                name,
                "" if skip is None else skip.get("message", ""),
            )
    return 1 if failed or not found else 0


sys.exit(main())
