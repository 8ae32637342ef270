"""A store that serves one file as fast as the kernel can: a process of its own, by sendfile.

    python -m support.file_store FILE

Prints its port. Ranges are kept; every path is the file.
"""

import os
import re
import socket
import sys
import threading

_RANGE = re.compile(rb"(?i)\r\nrange: bytes=(\d+)-(\d*)")


def serve(connection: socket.socket, path: str) -> None:
    """Answer every request of one connection."""
    file = os.open(path, os.O_RDONLY)
    size = os.fstat(file).st_size
    asked = b""
    with connection:
        while True:
            while b"\r\n\r\n" not in asked:
                more = connection.recv(65536)
                if not more:
                    os.close(file)
                    return
                asked += more
            head, asked = asked.split(b"\r\n\r\n", 1)
            wanted = _RANGE.search(head)
            begin = int(wanted[1]) if wanted else 0
            end = int(wanted[2]) + 1 if wanted and wanted[2] else size
            lines = [f"HTTP/1.1 {'206 Partial Content' if wanted else '200 OK'}"]
            lines += [f"Content-Length: {end - begin}", "Content-Type: application/octet-stream"]
            if wanted:
                lines.append(f"Content-Range: bytes {begin}-{end - 1}/{size}")
            connection.sendall("\r\n".join([*lines, "", ""]).encode())
            try:
                while begin < end:
                    begin += os.sendfile(connection.fileno(), file, begin, end - begin)
            except OSError:
                os.close(file)
                return


def main(path: str) -> None:
    """Serve until killed."""
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=serve, args=(connection, path), daemon=True).start()


if __name__ == "__main__":
    main(sys.argv[1])
