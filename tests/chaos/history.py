"""What was asked and answered, in order, as JSON lines."""
import json
import threading
import time


class History:
    def __init__(self, path):
        self.file = open(path, "w", encoding="utf-8")
        self.lock, self.rows = threading.Lock(), []
        self.start = time.monotonic()

    def now(self):
        return round(time.monotonic() - self.start, 4)

    def add(self, what, **fields):
        row = {"at": self.now(), "what": what, **fields}
        with self.lock:
            self.rows.append(row)
            self.file.write(json.dumps(row) + "\n")
            self.file.flush()
        return row

    def of(self, what):
        with self.lock:
            return [r for r in self.rows if r["what"] == what]

    def close(self):
        self.file.close()


def read(path):
    with open(path, encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]
