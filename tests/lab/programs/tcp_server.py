"""Greets every client, prints what they send, sends its input to all of them: PORT."""
import socket
import sys
import threading


def say(*words):
    # In one piece: print writes the newline by itself, and another thread may come between.
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


clients = []
listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind(("127.0.0.1", int(sys.argv[1])))
listener.listen(5)


def serve(client):
    # As such programs do: no newline, and whatever one recv returns is a message.
    client.send(b"Server connected")
    clients.append(client)
    while True:
        data = client.recv(1024)
        if not data:
            say("a client closed")
            clients.remove(client)
            client.close()
            return
        for text in data.decode().splitlines():
            say("client:", text)


def accept():
    while True:
        client, _ = listener.accept()
        threading.Thread(target=serve, args=(client,), daemon=True).start()


threading.Thread(target=accept, daemon=True).start()
say("ready")
for line in sys.stdin:
    for client in list(clients):
        client.send(line.rstrip("\n").encode())
