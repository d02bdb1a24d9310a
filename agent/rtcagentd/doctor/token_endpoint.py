"""Looks at the token endpoint: is it there, is it trusted, and does it take what the agent shows itself with."""

import http.client
import os
import ssl
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

from rtcagentd.config import Config, TokenEndpointSettings
from rtcagentd.control.token_endpoint import Credentials, CredentialsUnusable
from rtcagentd.doctor.findings import Finding, note, ok, problem
from rtcagentd.doctor.processes import Processes

ABOUT = "token endpoint"
_CREDENTIALS = "renew bearer_file or client_cert, or register the agent there"


def check(config: Config, processes: Processes) -> Iterator[Finding]:
    """No token is asked for: a GET, with what the agent shows itself with, changes nothing there."""
    settings = config.token_endpoint
    if settings is None:
        return
    files = Credentials(settings.ca_file, settings.bearer_file, settings.client_cert, settings.client_key)
    try:
        tls, headers = files.read(tls=settings.url.startswith("https:"))
    except CredentialsUnusable as error:
        if processes.daemon_account.is_ours or os.geteuid() == 0:
            yield problem(ABOUT, str(error), "correct the file, or [token_endpoint]")
        else:
            yield note(ABOUT, f"it is not asked, for want of our files: {error}", "run this as root")
        return
    yield _asked(settings, tls, headers)


def _asked(settings: TokenEndpointSettings, tls: ssl.SSLContext | None, headers: dict[str, str]) -> Finding:
    parts = urlsplit(settings.url)
    shown = f"{parts.scheme}://{parts.netloc}{parts.path}"  # a query may be secret
    timeout_s = settings.timeout_ms / 1000
    connection: http.client.HTTPConnection
    if tls is not None:
        connection = http.client.HTTPSConnection(parts.hostname or "", parts.port, timeout=timeout_s, context=tls)
    else:
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=timeout_s)
    began = time.monotonic()
    try:
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request("GET", path, headers={"Accept": "application/json", **headers})
        status = connection.getresponse().status
    except ssl.SSLCertVerificationError as error:
        advice = "set token_endpoint.ca_file to the authority that issued it, or look at the machine's clock"
        return problem(ABOUT, f"{shown}: its certificate is not trusted: {error.verify_message}", advice)
    except ssl.SSLError as error:
        return problem(ABOUT, f"{shown}: no TLS with it: {error.reason or error}", _CREDENTIALS)
    except (ConnectionResetError, BrokenPipeError) as error:  # TLS 1.3 tells of a refused certificate in this way, too
        return problem(ABOUT, f"{shown} closes the connection: {error.strerror or error}", _CREDENTIALS)
    except (OSError, http.client.HTTPException) as error:
        text = getattr(error, "strerror", None) or str(error) or type(error).__name__
        advice = "start it, or look at name, route and firewall"
        return problem(ABOUT, f"{shown} does not answer: {text}", advice)
    finally:
        connection.close()
    return _judged(shown, status, (time.monotonic() - began) * 1000)


def _judged(shown: str, status: int, took_ms: float) -> Finding:
    match status:
        case 401:
            return problem(ABOUT, f"{shown} refuses what the agent shows itself with (HTTP 401)", _CREDENTIALS)
        case 403:
            return note(ABOUT, f"{shown} answers, and may refuse us (HTTP 403 to a GET)", _CREDENTIALS)
        case _ if 300 <= status < 400:
            return problem(ABOUT, f"{shown} redirects, which is not followed", "configure the address it points to")
        case _ if status >= 500:
            return note(ABOUT, f"{shown} answers with HTTP {status}", "look into its log")
    return ok(ABOUT, f"{shown} answers, in {took_ms:.0f} ms, and its certificate is trusted")
