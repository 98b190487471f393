"""A ZRE node (pyre) for the comparison of benches/peers.sh: `zre.py NAME`.

Shouts each line of its input to the group, and tells each event in a line: START when the node
begins, ENTER, EXIT and SHOUT with the name of the other.
"""

import sys

import zmq
from pyre import Pyre

GROUP = "lobby"


def tell(*words):
    print(*words, flush=True)


def main():
    node = Pyre(sys.argv[1])
    tell("START")
    node.start()
    node.join(GROUP)
    poller = zmq.Poller()
    poller.register(node.socket(), zmq.POLLIN)
    poller.register(sys.stdin.fileno(), zmq.POLLIN)
    while True:
        ready = dict(poller.poll())
        if node.socket() in ready:
            kind, _, name, *rest = node.recv()
            kind, name = kind.decode(), name.decode()
            if kind in ("ENTER", "EXIT"):
                tell(kind, name)
            elif kind == "SHOUT":
                tell(kind, name, rest[1].decode())
        if sys.stdin.fileno() in ready:
            line = sys.stdin.readline()
            if not line:
                break
            node.shout(GROUP, line.strip().encode())
    node.stop()


main()
