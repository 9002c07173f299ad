"""Telling private keys and access tokens in what people commit; only patterns that are hardly ever anything else."""

from __future__ import annotations

import re

_PATTERNS = {
    "a private key": rb"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----(?:\s|\\n)+(?:[A-Za-z-]+: [^\n]*\s+)*"
    rb"[A-Za-z0-9+/=]{40,}",
    "an AWS access key": rb"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b(?<!EXAMPLE)",
    "a GitHub token": rb"\b(?:gh[pousr]_[A-Za-z0-9]{36,255}|github_pat_[A-Za-z0-9_]{80,255})\b",
    "a GitLab token": rb"\bglpat-[A-Za-z0-9_-]{20,}",
    "a Slack token": rb"\bxox[abprs]-[0-9]{8,}-[A-Za-z0-9-]{10,}",
    "an OpenAI key": rb"\bsk-(?:proj-|svcacct-)?[A-Za-z0-9_-]{10,}T3BlbkFJ[A-Za-z0-9_-]{10,}",
    "an Anthropic key": rb"\bsk-ant-[a-z0-9]+-[A-Za-z0-9_-]{60,}",
    "a Google key": rb"\bAIza[A-Za-z0-9_-]{35}\b",
    "a Stripe key": rb"\b[sr]k_live_[A-Za-z0-9]{20,}",
    "a Hugging Face token": rb"\bhf_[A-Za-z]{34}\b",
    "an npm token": rb"\bnpm_[A-Za-z0-9]{36}\b",
    "a PyPI token": rb"\bpypi-AgE[A-Za-z0-9_-]{50,}",
}
_ANY = re.compile(b"|".join(b"(?:%s)" % pattern for pattern in _PATTERNS.values()))


def found(content: bytes, known: bytes = b"") -> str | None:
    """Return what kind of secret stands in `content` and not already in `known`, or None."""
    for match in _ANY.finditer(content):
        if match[0] not in known:
            return next(kind for kind, pattern in _PATTERNS.items() if re.match(pattern, match[0]))
    return None
