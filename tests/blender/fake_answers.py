"""Stands for the resident worker in tests of the add-on: answers each question with what it was asked.

Run as `fake_answers.py MODE`; MODE is "answers", "errors" or "dies".
"""

import json
import sys
from pathlib import Path

SOURCE = {"name": "Talker", "level": 60.04, "distance_m": 2.0, "hidden": False}
HEARD = {"level": 62.31, "T30": 0.52, "C50": 3.14, "D50": 0.67, "STI": 0.61, "loudest": "Talker", "sources": [SOURCE]}


def main(mode):
    for line in sys.stdin:
        question = json.loads(line)
        if mode == "dies":
            raise RuntimeError("out of answers")
        values = dict(HEARD, asked=question)
        if question["ask"] == "open":
            assert (Path(question["folder"]) / "job.json").is_file()
            values = {"emitters": ["Talker"]}
            print(json.dumps({"event": "progress", "stage": "scan", "fraction": 0.5, "message": "Scanning"}))
        elif mode == "errors":
            values = {"error": "No sound reaches this point.", "object": None}
        print(json.dumps({"event": "answer", "id": question["id"], "values": values}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
