"""A stand-in for the API of a Kubernetes cluster: checks the manifest of each job and runs its command."""

import base64
import json
import os
import subprocess
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import kubernetes_validate
import yaml

VERSION = "1.32"  # of the published schema


class StandIn:
    """Manifests by name of the job, and what the jobs printed."""

    def __init__(self, path: str) -> None:
        self.path = path  # PATH in the containers
        self.manifests: dict[str, Any] = {}
        self.invalid: list[str] = []
        self.printed: dict[str, str] = {}
        self.status: dict[str, dict[str, int]] = {}
        self.secret: dict[str, str] = {}
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                size = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(size) or b"{}")
                reply = json.dumps(outer.reply(self.command, self.path.split("?")[0], body)).encode()
                self.send_response(201 if self.command == "POST" else 200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(reply)))
                self.end_headers()
                self.wfile.write(reply)

            do_GET = do_POST = do_DELETE = answer

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def reply(self, method: str, path: str, body: Any) -> Any:
        """The answer to one request of the plugin."""
        if method == "POST" and path.endswith("/secrets"):
            self.secret = {key: base64.b64decode(value).decode() for key, value in body["data"].items()}
        elif method == "POST" and path.endswith("/jobs"):
            name = body["metadata"]["name"]
            self.manifests[name] = body
            try:  # the kind follows from the address
                kubernetes_validate.validate(
                    {"apiVersion": "batch/v1", "kind": "Job", **body}, VERSION, strict=True
                )
            except kubernetes_validate.ValidationError as error:
                self.invalid.append(f"{name}: {error}")
            self.status[name] = {"active": 1}
            threading.Thread(target=self.run, args=[name], daemon=True).start()
        elif method == "GET" and path.endswith("/status"):
            return {"status": self.status[path.split("/")[-2]]}
        elif method == "GET":
            return {"items": []}  # no pod besides the job itself
        return body

    def run(self, name: str) -> None:
        """Run the command of a job's container in an empty folder, with the variables of the secret."""
        container = self.manifests[name]["spec"]["template"]["spec"]["containers"][0]
        variables = {
            entry["name"]: self.secret[entry["valueFrom"]["secretKeyRef"]["key"]]
            for entry in container["env"]
        }
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run(
                [*container["command"], *container["args"]],
                cwd=folder,
                env={"PATH": self.path, "HOME": os.environ["HOME"], **variables},
                capture_output=True,
                text=True,
            )
        self.printed[name] = done.stdout + done.stderr
        self.status[name] = {"failed": 1} if done.returncode else {"succeeded": 1}

    def write_kubeconfig(self, path: Path) -> None:
        """A configuration of kubectl that names this server."""
        address = "http://{}:{}".format(*self.server.server_address)
        path.write_text(
            yaml.safe_dump(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "clusters": [{"name": "here", "cluster": {"server": address}}],
                    "users": [{"name": "me", "user": {}}],
                    "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me"}}],
                    "current-context": "here",
                }
            )
        )
