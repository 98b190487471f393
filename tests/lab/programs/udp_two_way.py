"""A chat of two threads, one that sends and one that receives: OWN_PORT FRIENDS_PORT NAME."""
import os
import socket
import sys
import threading


def say(*words):
    # In one piece: print writes the newline by itself, and another thread may come between.
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


own, friend, name = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
FAREWELLS = ("quit", "exit", "bye bye")
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.bind(("127.0.0.1", own))


def receive():
    while True:
        data, _ = sock.recvfrom(1024)
        text = data.decode()
        if text in FAREWELLS:
            say("the friend left with", text)
            os._exit(0)
        say(text)


threading.Thread(target=receive, daemon=True).start()
say("ready")
for line in sys.stdin:
    line = line.rstrip("\n")
    text = line if line in FAREWELLS else name + "  : " + line
    sock.sendto(text.encode(), ("127.0.0.1", friend))
    if line in FAREWELLS:
        break
