"""What obstore raises -> one `StoreError` with the cause in words, the remedy, and no secrets."""

from __future__ import annotations

import errno
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["CREDENTIALS", "StoreError", "changed", "explained", "plain"]

CREDENTIALS = (
    "give credentials as the provider's tools read them (environment, profile, role of the machine), or by "
    "storage_options="
)
_STATUS = re.compile(r"status code: (\d{3}[^:\n]*)").search
_CODE = re.compile(r"<Code>(\w+)</Code>").search
_SAID = re.compile(r"<Message>([^<]*)</Message>").search
_TRIES = re.compile(r"after (\d+) retries").search
_ANY_URL = re.compile(r"\w+://\S+")
_LONGEST = 300  # characters of a text of others

# What obstore's text or the code in the answer holds, and the message about it; the first that fits counts.
_CAUSES = (
    (
        r"NoSuchBucket|ContainerNotFound|The specified bucket does not",
        "the bucket does not exist ({said}): correct the URL, or make the bucket",
    ),
    (r"^FileNotFoundError", "there is no such object ({said}): correct the URL, or upload it"),
    (r"^PreconditionError", "it has changed since it was opened: open the pack again"),
    (
        r"without LOCATION|AuthorizationHeaderMalformed|PermanentRedirect",
        "the bucket is in another region ({said}): set AWS_REGION, or storage_options={{'region': ...}}",
    ),
    (
        r"ExpiredToken|TokenRefreshRequired|RequestExpired|expired",
        "the credentials have expired ({said}): renew them, and open it again",
    ),
    (
        r"169\.254\.169\.254|latest/api/token|latest/meta-data|metadata\.google|identity/oauth2|computeMetadata",
        (
            "no credentials were found: {credentials}; a public bucket is read by "
            "storage_options={{'skip_signature': True}}"
        ),
    ),
    (
        r"^(PermissionDenied|Unauthenticated)Error|status code: 40[13]",
        "access is denied ({said}): check that the credentials are right and may do this; {credentials}",
    ),
    (
        r"BadScheme",
        "its endpoint is plain HTTP: use https://, or allow it by storage_options={{'allow_http': True}}",
    ),
    (r"status code: 416", "it ends before the wanted range: it was replaced, or not fully uploaded"),
    (r"^NotSupportedError", "the server gives no ranges of bytes: serve the files by one that does"),
    (r"status code: ", "the store answers {said}{tried}: try again later"),
    (
        r"",
        (
            "the store does not answer{tried} ({text}): check the URL, the endpoint and the network; "
            "storage_options={{'timeout': ..., 'retry_timeout': ...}} gives it more seconds"
        ),
    ),
)


class StoreError(OSError):
    """A store did not give what was asked for. It says nothing about the content of a frame.

    Parameters
    ----------
    why : str
        The reason and the remedy, without the name of the object.
    missing : bool
        Whether the object or the bucket does not exist.
    denied : bool
        Whether the credentials do not allow it.
    """

    def __init__(self, why: str, *, missing: bool = False, denied: bool = False) -> None:
        super().__init__(errno.EREMOTEIO, why)
        self.missing, self.denied = missing, denied

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpickled, (self.strerror, self.missing, self.denied)


def _unpickled(why: str, missing: bool, denied: bool) -> StoreError:
    return StoreError(why, missing=missing, denied=denied)


def changed() -> StoreError:
    """Return the error about an object that is not the one that was opened."""
    return StoreError("it has changed since it was opened: open the pack again")


def explained(error: Exception, secrets: Iterable[str]) -> StoreError:
    """Return the error about a failed call of obstore.

    Parameters
    ----------
    error : Exception
        As obstore raised it.
    secrets : iterable of str
        What the message must not hold.
    """
    text = f"{type(error).__name__} {error}"
    status, code, said, tried = (found(text) for found in (_STATUS, _CODE, _SAID, _TRIES))
    parts = [status[1].strip() if status else "", code[1] if code else ""]
    answer = " ".join(filter(None, parts)) + (f": {said[1]}" if said else "")
    known = {
        "said": plain(answer, secrets) or "no status",
        "tried": f" after {tried[1]} retries" if tried else "",
        "credentials": CREDENTIALS,
        "text": plain(str(error), secrets),
    }
    message = next(message for pattern, message in _CAUSES if re.search(pattern, text))
    missing = message.startswith(("there is no such object", "the bucket does not exist"))
    return StoreError(message.format(**known), missing=missing, denied=message.startswith("access is denied"))


def plain(text: str, secrets: Iterable[str]) -> str:
    """Return what obstore says, without URLs, secrets and the dump of its objects."""
    text = text.partition("Debug source")[0]
    text = text.partition(" - ")[2] or text
    text = _ANY_URL.sub("a URL", " ".join(text.split()))
    for secret in secrets:
        if len(secret) > 3:  # noqa: PLR2004 - shorter ones are no secrets
            text = text.replace(secret, "...")
    return text[:_LONGEST]
