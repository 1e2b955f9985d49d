"""A real Kafka broker (KRaft, one node) on loopback ports."""

from __future__ import annotations

import uuid
from base64 import urlsafe_b64encode
from pathlib import Path

from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError

from tests.services import cache
from tests.services.process import Process, free_port, run

VERSION = "4.1.0"
USER, PASSWORD = "tocsin", "bell-rope"
_ARTIFACTS = (
    ("org.apache.kafka", "kafka_2.13", VERSION),
    ("org.apache.logging.log4j", "log4j-slf4j-impl", "2.24.3"),
)
_PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},SASL_PLAINTEXT://127.0.0.1:{sasl},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port},SASL_PLAINTEXT://127.0.0.1:{sasl}
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT
sasl.enabled.mechanisms=PLAIN
listener.name.sasl_plaintext.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required \
user_{user}="{password}";
log.dirs={folder}/data
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
"""


def libraries() -> Path:
    """Return the folder of the broker's jars, downloaded once."""
    return cache.maven_libraries(f"kafka-{VERSION}", *_ARTIFACTS)


class Kafka:
    """A running broker. `servers` speaks plain text, `sasl_servers` asks for USER and PASSWORD (PLAIN)."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._java = str(cache.java_home(17) / "bin" / "java")
        self._classpath = f"{libraries()}/*"
        port, sasl = free_port(), free_port()
        self.servers = [f"127.0.0.1:{port}"]
        self.sasl_servers = [f"127.0.0.1:{sasl}"]
        self._config = folder / "server.properties"
        self._config.write_text(
            _PROPERTIES.format(
                port=port, sasl=sasl, controller=free_port(), folder=folder, user=USER, password=PASSWORD
            ),
            "utf-8",
        )
        cluster = urlsafe_b64encode(b"T" + uuid.uuid4().bytes[1:]).decode().rstrip("=")  # an id must not begin with "-"
        run([*self._program("kafka.tools.StorageTool"), "format", "-t", cluster, "-c", str(self._config)])
        self.start()

    def start(self) -> None:
        """Start the broker on its data and return once it answers."""
        command = [*self._program("kafka.Kafka"), str(self._config)]
        self.process = Process(command, self._folder / "kafka.log")
        self.process.wait_until(self._answers, "Kafka")

    def stop(self) -> None:
        self.process.stop()

    def kill(self) -> None:
        self.process.kill()

    def _program(self, main: str) -> list[str]:
        return [self._java, "-Xmx512m", "-XX:TieredStopAtLevel=1", "-cp", self._classpath, main]

    def _answers(self) -> bool:
        try:
            admin = KafkaAdminClient(bootstrap_servers=self.servers, bootstrap_timeout_ms=1000)
        except (KafkaError, OSError):
            return False
        admin.close()
        return True
