"""The console's pages: small, without script, readable on a phone. Whatever comes from outside is escaped."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from html import escape
from typing import Final

from pipeline.console import Response

_STYLE: Final = (
    ":root{color-scheme:light dark}"
    "body{margin:0 auto;max-width:40rem;padding:1.25rem;font:1.05rem/1.5 system-ui,-apple-system,'Segoe UI',sans-serif}"
    "h1{font-size:1.25rem;line-height:1.35}"
    "button{display:block;width:100%;padding:.9rem;margin:1.25rem 0;font:inherit;font-weight:600;color:#fff;"
    "background:#8b0000;border:0;border-radius:.5rem;cursor:pointer}"
    "button:focus-visible{outline:3px solid #f5a623;outline-offset:2px}"
    "dl{display:grid;grid-template-columns:auto 1fr;gap:.15rem .9rem;margin:1rem 0}"
    "dt{color:#667}dd{margin:0;overflow-wrap:anywhere}"
)
_HASH: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
HEADERS: Final = {
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{_HASH}'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "interest-cohort=()",
    "Cache-Control": "no-store",
    "X-Robots-Tag": "noindex",
}


def ask(what: str, button: str, token: str, facts: Iterable[tuple[str, str]]) -> Response:
    """Return the page whose button acts. Opening it does nothing."""
    form = (
        f'<form method="post" action="act"><input type="hidden" name="t" value="{escape(token)}">'
        f"<button>{escape(button)}</button></form>"
    )
    listed = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in facts)
    return _page(200, what, f"<h1>{escape(what)}</h1>{form}<dl>{listed}</dl>")


def told(status: int, title: str, text: str) -> Response:
    """Return a page that says one thing."""
    return _page(status, title, f"<h1>{escape(title)}</h1><p>{escape(text)}</p>")


def _page(status: int, title: str, body: str) -> Response:
    head = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>"
    )
    return Response(status, f"{head}<body><main>{body}</main></body></html>", "text/html")
