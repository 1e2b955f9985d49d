"""Kubernetes' CRI log."""

from collectors.formats import Format
from collectors.formats.containers import continues_cri, parse_cri

FORMAT = Format("cri", parse_cri, continues_cri)
