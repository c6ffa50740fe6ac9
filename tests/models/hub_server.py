"""A model hub on this machine: as much of its HTTP as huggingface_hub needs to send and fetch small files."""

import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "0" * 39 + "1"


class Hub:
    """One repository, `owner/name`, for as long as the block runs; huggingface_hub asks it and nobody else.

    Attributes:
        files: its contents by name.
        made: what repositories were asked for.
        tokens: the authorization of every request that changes something.
    """

    def __init__(self, monkeypatch):
        self.files, self.made, self.tokens = {}, [], []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._patch = monkeypatch

    def __enter__(self):
        from huggingface_hub import constants, hf_api

        address = f"http://127.0.0.1:{self._server.server_port}"
        self._patch.setattr(constants, "ENDPOINT", address)
        template = address + "/{repo_id}/resolve/{revision}/{filename}"
        self._patch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        self._patch.setattr(hf_api.api, "endpoint", address)
        self._patch.setattr(constants, "HF_HUB_OFFLINE", False)
        self._patch.setattr(constants, "HF_HUB_DISABLE_TELEMETRY", True)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *error):
        self._server.shutdown()
        self._server.server_close()


def _handler(hub):
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def answer(self, status, body=b"", **headers):
            body = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def do_POST(self):
            hub.tokens.append(self.headers["Authorization"])
            lines = self.rfile.read(int(self.headers["Content-Length"])).splitlines()
            if self.path == "/api/repos/create":
                asked = json.loads(lines[0])
                hub.made.append({key: asked.get(key) for key in ("name", "organization", "visibility")})
                self.answer(200, {"url": f"http://{self.headers['Host']}/owner/name"})
            elif "/preupload/" in self.path:
                files = [file["path"] for file in json.loads(lines[0])["files"]]
                modes = [{"path": path, "uploadMode": "regular", "shouldIgnore": False} for path in files]
                self.answer(200, {"files": modes})
            elif "/commit/" in self.path:
                for line in map(json.loads, lines):
                    if line["key"] == "file":
                        hub.files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
                address = f"http://{self.headers['Host']}/owner/name/commit/{COMMIT}"
                self.answer(200, {"commitUrl": address, "commitOid": COMMIT, "success": True})
            else:
                self.answer(200, {})

        def do_GET(self):
            name = self.path.rpartition("/")[2].partition("?")[0]
            if "/resolve/" in self.path and name in hub.files:
                self.answer(200, hub.files[name], ETag=f'"{len(hub.files[name])}"', X_Repo_Commit=COMMIT)
            elif self.path.startswith("/api/models/owner/name"):
                self.answer(200, {"id": "owner/name", "sha": COMMIT, "siblings": [], "private": True})
            else:
                self.answer(404, b"", X_Error_Code="EntryNotFound", X_Error_Message="Entry not found")

        do_HEAD = do_GET

    return Handler
