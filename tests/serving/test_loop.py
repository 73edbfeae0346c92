"""The loop of serving and retraining: runs the commands of docs/deploying.md in an empty folder."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.serving.processes.served_process import free_port
from recsys.events.addresses import open_store
from tests.serving.serving_run import ROOT, write_log

_RECSYS = f"""#!/bin/sh
exec '{sys.executable}' -c 'from recsys.cli.main import main; raise SystemExit(main())' "$@"
"""


def _answers(told: str) -> Iterator[dict[str, Any]]:
    """What the service answered, between what the commands said."""
    place = 0
    while (start := told.find('{"', place)) >= 0:
        answer, place = json.JSONDecoder().raw_decode(told, start)
        yield answer


def test_served_events_train_the_next_served_model(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "deploying.md").read_text(encoding="utf-8")
    (commands,) = re.findall(r"<!-- loop:begin -->\n```bash\n(.*?)```\n<!-- loop:end -->", page, re.DOTALL)
    write_log(tmp_path / "log.csv")
    (tmp_path / "bin").mkdir()
    recsys = tmp_path / "bin" / "recsys"
    recsys.write_text(_RECSYS, encoding="utf-8")
    recsys.chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{recsys.parent}:{os.environ['PATH']}",
        "PORT": str(free_port()),
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
    }
    try:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", commands],
            cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=600,
        )  # fmt: skip
    finally:
        pid = tmp_path / "serve.pid"
        if pid.exists():
            subprocess.run(["kill", "-9", pid.read_text().strip()], check=False, capture_output=True)
    assert done.returncode == 0, done.stdout + done.stderr
    ready, taken, before, reloaded, after = _answers(done.stdout)
    assert ready["status"] == "ready"
    assert taken == {"accepted": 1, "repeated": 0}
    assert before["known_events"] == after["known_events"] == 1
    assert ready["model"] == before["model"] != after["model"] == reloaded["model"]
    with open_store(str(tmp_path / "events.db")) as store:
        assert store.of_users(["somebody new"])["somebody new"][0].event.event_id == "7d1c"
