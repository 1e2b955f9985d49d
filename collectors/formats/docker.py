"""Docker's json-file log."""

from collectors.formats import Format
from collectors.formats.containers import continues_docker, parse_docker

FORMAT = Format("docker", parse_docker, continues_docker)
