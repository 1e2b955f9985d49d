"""A real Elasticsearch node on a loopback port, with TLS, authentication and roles switched on.

It is the server's core without most modules, as Elastic publishes it for integration tests.
"""

from __future__ import annotations

import base64
import json
import shutil
import ssl
import urllib.error
import urllib.request
import zipfile
from pathlib import Path

from tests.services import cache
from tests.services.process import Process, free_port, give, run, unprivileged

VERSION = "9.5.0"
SUPERUSER, SUPERUSER_PASSWORD = "warden", "keeper-of-keys"
USER, PASSWORD = "tocsin", "bell-rope"  # what Tocsin itself is given: role `tocsin` below, and no more
_STORE_PASSWORD = "store-of-keys"
_SETTINGS = """\
cluster.name: tocsin-tests
node.name: one
network.host: 127.0.0.1
http.port: {port}
transport.port: {transport}
discovery.type: single-node
path.data: {home}/data
path.logs: {home}/logs
cluster.routing.allocation.disk.threshold_enabled: false
xpack.security.enabled: true
xpack.security.http.ssl.enabled: true
xpack.security.http.ssl.keystore.path: http.p12
xpack.security.transport.ssl.enabled: false
"""
# The least that the adapter needs: pipeline/indexes/elasticsearch.py states the same privileges.
_ROLES = """\
tocsin:
  cluster: [monitor, manage_index_templates]
  indices:
    - names: ["tocsin-*"]
      privileges: [auto_configure, create, read, monitor, delete_index]
"""


def distribution() -> Path:
    """Return the server's archive, downloaded once."""
    name = f"elasticsearch-{VERSION}.zip"
    return cache.maven_file(name, f"org.elasticsearch.distribution.integ-test-zip:elasticsearch:{VERSION}:zip")


class Elasticsearch:
    """A running node; `ca_file` holds the certificate to trust, `username` and `password` are Tocsin's own."""

    username, password = USER, PASSWORD

    def __init__(self, folder: Path) -> None:
        self._java = cache.java_home(21)
        self._user = unprivileged("elasticsearch")
        self._home = _unpack(distribution(), folder)
        self.port = free_port()
        self.hosts = [f"https://127.0.0.1:{self.port}"]
        self.ca_file = folder / "ca.pem"
        folder.chmod(0o755)
        self._configure()
        give(self._home, self._user)
        self.start()

    def start(self) -> None:
        """Start the node on its data and return once it answers."""
        command = [str(self._home / "bin" / "elasticsearch")]
        self.process = Process(command, self._home / "server.log", env=self._env(), user=self._user)
        self.process.wait_until(self._answers, "Elasticsearch", limit=300)

    def stop(self) -> None:
        self.process.stop(limit=40)

    def kill(self) -> None:
        self.process.kill()

    def request(self, method: str, path: str, body: object = None) -> object:
        """Return what the node answers to its superuser. Raises OSError."""
        secret = base64.b64encode(f"{SUPERUSER}:{SUPERUSER_PASSWORD}".encode()).decode()
        request = urllib.request.Request(
            self.hosts[0] + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Basic {secret}", "Content-Type": "application/json"},
        )
        trust = ssl.create_default_context(cafile=str(self.ca_file))
        with urllib.request.urlopen(request, context=trust, timeout=60) as answer:
            text: bytes = answer.read()
        return json.loads(text) if text else None

    def _answers(self) -> bool:
        try:
            self.request("GET", "/_cluster/health?wait_for_status=yellow&timeout=1s")
        except urllib.error.HTTPError as fault:
            if fault.code == 401 and "starting" not in self.process.tail():
                raise
            return False
        except (OSError, ssl.SSLError):
            return False
        return True

    def _env(self) -> dict[str, str]:
        return {
            "ES_JAVA_HOME": str(self._java),
            "ES_JAVA_OPTS": "-Xms1g -Xmx1g -XX:TieredStopAtLevel=1",
            "CLI_JAVA_OPTS": "-XX:TieredStopAtLevel=1",
            "ES_PATH_CONF": str(self._home / "config"),
            "HOME": str(self._home),
        }

    def _configure(self) -> None:
        config = self._home / "config"
        settings = _SETTINGS.format(port=self.port, transport=free_port(), home=self._home)
        (config / "elasticsearch.yml").write_text(settings, "utf-8")
        (config / "roles.yml").write_text(_ROLES, "utf-8")
        self._certify(config / "http.p12")
        self._tool("elasticsearch-keystore", "create")
        secret = self._home / "secret"
        secret.write_text(_STORE_PASSWORD, "utf-8")
        self._tool(
            "elasticsearch-keystore", "add-file", "xpack.security.http.ssl.keystore.secure_password", str(secret)
        )
        for user, password, role in ((SUPERUSER, SUPERUSER_PASSWORD, "superuser"), (USER, PASSWORD, "tocsin")):
            self._tool("elasticsearch-users", "useradd", user, "-p", password, "-r", role)

    def _tool(self, name: str, *arguments: str) -> None:
        run([str(self._home / "bin" / name), *arguments], env=self._env())

    def _certify(self, store: Path) -> None:
        keytool = str(self._java / "bin" / "keytool")
        common = ["-keystore", str(store), "-storepass", _STORE_PASSWORD, "-alias", "http"]
        made = ["-keyalg", "EC", "-dname", "CN=127.0.0.1", "-ext", "san=ip:127.0.0.1,dns:localhost", "-validity", "30"]
        run([keytool, "-genkeypair", *common, *made, "-storetype", "PKCS12"])
        run([keytool, "-exportcert", "-rfc", "-file", str(self.ca_file), *common])


def _unpack(archive: Path, folder: Path) -> Path:
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(folder)
    (home,) = (path for path in folder.iterdir() if path.is_dir())
    for program in (home / "bin").iterdir():
        program.chmod(0o755)
    for program in home.glob("modules/*/platform/*/bin/*"):
        program.chmod(0o755)
    shutil.rmtree(home / "data", ignore_errors=True)
    (home / "data").mkdir()
    return home
