"""What an error of litellm's means, by its kind, its HTTP status and, for the vaguest, its words."""

from __future__ import annotations

import email.utils
import time

from evogit.llm.messages import Trouble

_BY_NAME = {
    "ContextWindowExceededError": Trouble.CONTEXT,
    "ContentPolicyViolationError": Trouble.REFUSED,
    "AuthenticationError": Trouble.AUTH,
    "PermissionDeniedError": Trouble.AUTH,
    "NotFoundError": Trouble.MODEL,
    "UnsupportedParamsError": Trouble.MODEL,
    "RateLimitError": Trouble.RATE,
    "Timeout": Trouble.TIMEOUT,
    "APIResponseValidationError": Trouble.MALFORMED,
    "JSONSchemaValidationError": Trouble.MALFORMED,
}
_BY_STATUS = {
    401: Trouble.AUTH, 402: Trouble.AUTH, 403: Trouble.AUTH, 404: Trouble.MODEL, 408: Trouble.TIMEOUT,
    413: Trouble.CONTEXT, 429: Trouble.RATE,
}  # fmt: skip
_TOO_LONG = ("context length", "context window", "maximum context", "too many tokens", "prompt is too long")
_NO_ANSWER = ("invalid response object", "'choices'")


def trouble(error: BaseException) -> Trouble:
    """Return what kind of trouble an error is."""
    words, status = str(error).lower(), getattr(error, "status_code", None)
    named = next((_BY_NAME[kind.__name__] for kind in type(error).__mro__ if kind.__name__ in _BY_NAME), None)
    if named is Trouble.MODEL or named is None:
        if any(sign in words for sign in _TOO_LONG):
            return Trouble.CONTEXT
        if "llm provider not provided" in words:
            return Trouble.MODEL
    if named:
        return named
    if any(type(cause).__name__ in ("ConnectError", "ReadError", "RemoteProtocolError") for cause in _causes(error)):
        return Trouble.CONNECTION
    if isinstance(status, int) and status in _BY_STATUS:
        return _BY_STATUS[status]
    if any(sign in words for sign in _NO_ANSWER):
        return Trouble.MALFORMED
    if isinstance(status, int) and status >= 500:
        return Trouble.CONNECTION if type(error).__name__ == "APIConnectionError" else Trouble.SERVER
    if isinstance(status, int) and 400 <= status < 500:
        return Trouble.REFUSED
    return Trouble.MALFORMED


def retry_after(error: BaseException) -> float | None:
    """Return the seconds a server asked to wait, or None; it writes them as a number or as a date."""
    response = getattr(error, "response", None)
    headers = getattr(error, "litellm_response_headers", None) or getattr(response, "headers", None) or {}
    said = str(headers.get("retry-after") or "").strip()
    if said.isascii() and said.replace(".", "", 1).isdigit():
        return min(float(said), 1e9)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(said).timestamp() - time.time()) if said else None
    except (ValueError, TypeError, OverflowError):
        return None


def _causes(error: BaseException) -> list[BaseException]:
    found: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in found and len(found) < 20:
        found.append(link)
        link = link.__cause__ or link.__context__
    return found
