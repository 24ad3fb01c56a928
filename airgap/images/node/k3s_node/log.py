"""The node's own log: lines on standard output in k3s's form, because k3d reads them."""

import time


def log(level: str, message: str) -> None:
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    text = message.replace("\\", "\\\\").replace('"', "'").replace("\n", " | ")
    print(f'time="{stamp}" level={level} msg="{text}"', flush=True)
