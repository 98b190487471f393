"""Prints what the server sends, and sends its input without newlines: PORT."""
import os
import socket
import sys
import threading


def say(*words):
    # In one piece: print writes the newline by itself, and another thread may come between.
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


sock = socket.create_connection(("127.0.0.1", int(sys.argv[1])))


def receive():
    while True:
        data = sock.recv(1024)
        if not data:
            say("the server closed")
            os._exit(0)
        for text in data.decode().splitlines():
            say("server:", text)


say("ready", sock.getsockname()[1])
threading.Thread(target=receive, daemon=True).start()
for line in sys.stdin:
    sock.send(line.rstrip("\n").encode())
