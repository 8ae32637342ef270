"""Errors of the hub and the network as sentences for a person.

Called by `hub.py` and `transfer.py` on the threads where they work.
"""

import ssl
from typing import Final

from inglenook.base.errors import NetworkError, UserError

PASSING_STATUSES: Final = frozenset({408, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524})


def explain_status(status: int, error_code: str, host: str, wait_s: float = 0.0) -> NetworkError:
    """What a refusal of the hub means. `error_code` is its `X-Error-Code`, where it has one."""
    if error_code == "GatedRepo" or (status in {401, 403} and not error_code):
        return explain_gate("This model", host, has_token=False)
    if error_code == "InvalidToken":
        return NetworkError(
            f"{host} does not know this access token.",
            "Make a new one on your account's page on the hub, and paste it in Settings, Models.",
            code="bad_token",
        )
    if error_code == "RepoNotFound":
        return NetworkError(
            f"There is no such repository on {host}, or it is private.",
            "Check the name: it has the form owner/repo.",
            code="unknown_repo",
        )
    if status in {404, 410}:
        return NetworkError(
            f"{host} does not have this file any more.",
            "Look at the list of its files again.",
            code="not_found",
        )
    if status in {401, 403}:
        return NetworkError(
            f"{host} refuses to give this file.",
            "Choose the same model from another publisher.",
            code="refused",
        )
    if status == 429:
        when = f" in {wait_s:.0f} seconds" if wait_s else " in a few minutes"
        return NetworkError(
            f"{host} has had too many questions from this address.",
            f"Try again{when}.",
            code="rate_limited",
        )
    if status >= 500 or status in PASSING_STATUSES:
        return NetworkError(
            f"{host} has a fault of its own now (status {status}).",
            "Try again later; nothing that is here already is lost.",
            code="hub_down",
        )
    return NetworkError(
        f"{host} answered in a way that is not understood (status {status}).",
        "Try again later, or choose another publisher.",
        code="hub_answer",
    )


def explain_gate(what: str, host: str, *, has_token: bool) -> NetworkError:
    """What to do about a repository that is not given to everybody."""
    if has_token:
        return NetworkError(
            f"{what} is not given to your account on {host} yet.",
            "Accept its licence on its page, then try again; some makers let people wait.",
            code="gated",
        )
    return NetworkError(
        f"{what} is given only to people who signed in and accepted its licence.",
        "Accept it on the model's page, then paste an access token in Settings, Models; or choose "
        "the same model from another publisher.",
        code="gated",
    )


def explain_transport(error: BaseException, host: str) -> NetworkError:
    """What a broken connection means."""
    import httpx2

    if _find_cause(error, ssl.SSLError):
        return NetworkError(
            f"The connection to {host} is not to be trusted: its certificate does not hold.",
            "Check this computer's date and time, and whether something stands between it and "
            "the internet.",
            code="tls",
        )
    if isinstance(error, httpx2.TimeoutException):
        return NetworkError(
            f"{host} does not answer.", "Check the connection, then try again.", code="timeout"
        )
    if isinstance(error, httpx2.ConnectError | httpx2.ProxyError):
        return NetworkError(
            f"{host} cannot be reached.",
            "Check the connection to the internet, then try again.",
            code="unreachable",
        )
    if isinstance(error, httpx2.TransportError):
        return NetworkError(f"The connection to {host} broke off.", "Try again.", code="connection")
    return NetworkError(
        f"{host} answered in a way that is not understood.",
        "Try again later, or choose another publisher.",
        code="hub_answer",
    )


def explain(error: Exception, host: str) -> UserError | None:
    """Any error of huggingface_hub or httpx2 as a sentence; None for what is a bug of ours."""
    import httpx2
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        OfflineModeIsEnabled,
    )

    if isinstance(error, UserError):
        return error
    if isinstance(error, OfflineModeIsEnabled):
        return NetworkError(
            "HF_HUB_OFFLINE is set, so nothing is asked of the hub.",
            "Unset it, then start Inglenook again.",
            code="offline",
        )
    if isinstance(error, HfHubHTTPError):
        response = error.response
        code = response.headers.get("X-Error-Code", "")
        if isinstance(error, GatedRepoError):
            code = "GatedRepo"
        elif "Invalid credentials" in response.headers.get("X-Error-Message", ""):
            code = "InvalidToken"
        elif response.status_code == 401 and not code:
            code = "RepoNotFound"
        return explain_status(response.status_code, code, host, read_wait_s(response.headers))
    if isinstance(error, HFValidationError):
        return NetworkError(
            "This is no name of a repository.", "It has the form owner/repo.", code="unknown_repo"
        )
    if isinstance(error, httpx2.HTTPError | ssl.SSLError):
        return explain_transport(error, host)
    if isinstance(error, ValueError | TypeError | KeyError | AttributeError | OSError):
        # An answer that is no JSON, or JSON of another shape, ends in one of these.
        return explain_transport(error, host)
    return None


def read_wait_s(headers: "object") -> float:
    """Seconds to wait, as a 429 or 503 tells them: `Retry-After`, else `RateLimit`; 0.0 if none."""
    values = headers if hasattr(headers, "get") else {}
    after = str(values.get("Retry-After", ""))
    if after.isdigit():
        return min(float(after), 600.0)
    for part in str(values.get("RateLimit", "")).split(";"):
        name, _, value = part.strip().partition("=")
        if name == "t" and value.isdigit():
            return min(float(value), 600.0)
    return 0.0


def _find_cause(error: BaseException | None, kind: type[BaseException]) -> bool:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        if isinstance(error, kind):
            return True
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return False
