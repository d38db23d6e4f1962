"""Folders in object stores: a URL -> objects that are listed, read by ranges, written and deleted.

::

    RemoteFolder.of("s3://bucket/packed", {"region": "eu-west-1"})   checks; nothing is asked yet
    folder.look(name)                     size and ETag, by a request for one byte
    folder.read(name, start, length, of)  a range, with If-Match; an object that has changed is an error
    folder.list()                         sizes and ETags of its objects; None if the store has no listing
    folder.put(name, data)                an object, committed whole, by multipart upload if it is large
    folder.delete(names)

obstore does the requests. It is imported with the first of them, so not by ``import fastclips``, and by a
worker after the fork. Its runtime has one thread. A process that was forked from one that had used obstore
would wait for ever, so a fresh interpreter makes the requests for it (`fastclips.data.store_deputy`).

**Retries.** obstore repeats requests that fail by 429, 5xx, a lost connection, a body that ends early or no
answer within ``timeout``, with pauses that double, until ``retry_timeout`` is over. So every call ends within
about the sum of both.

**Secrets.** Options and all that obstore says are kept out of messages, except for a status, an error code
and a text without URLs. A URL with a query or a password is refused without being shown.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from fastclips.data.store_deputy import deputy
from fastclips.data.store_errors import CREDENTIALS, StoreError, changed, explained, plain
from fastclips.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

__all__ = ["Found", "RemoteFolder", "as_local", "is_url", "split_url"]

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://").match
_SCHEMES = ("s3", "s3a", "gs", "az", "azure", "adl", "abfs", "abfss", "https", "http")
_MICROSOFT = ("az", "azure", "adl", "abfs", "abfss")  # their URLs may have container@account
_PAUSES = ("init_backoff", "max_backoff")  # of retries
_RETRY = ("max_retries", "retry_timeout", *_PAUSES)
_DEFAULTS = {"timeout": 30, "connect_timeout": 5}  # seconds
_RETRIES = 10
_RETRY_DEFAULTS = {"retry_timeout": 60, "init_backoff": 0.1, "max_backoff": 5}  # seconds
_PART, _PARTS = 5 * 2**20, 9_000  # bytes of a part of an upload, and the most parts
_TIMES = ("timeout", "connect_timeout", "read_timeout", "pool_idle_timeout", "http2_keep_alive_timeout")
_CLIENT = {
    *("allow_http", "allow_invalid_certificates", "default_content_type", "default_headers", "http1_only"),
    *("http2_keep_alive_interval", "http2_keep_alive_while_idle", "http2_only", "pool_max_idle_per_host"),
    *("proxy_url", "proxy_ca_certificate", "proxy_excludes", "root_certificate", "randomize_addresses"),
    *("user_agent", *_TIMES),
}
_used_by = 0  # the process that has started obstore's thread


class Found(NamedTuple):
    """What identifies the content of an object.

    Parameters
    ----------
    size : int
        Bytes.
    tag : str
        The ETag without quotes, or the time of the last change if the server has no ETags.
    matches : bool
        Whether requests can ask for this tag by If-Match.
    """

    size: int
    tag: str
    matches: bool

    @classmethod
    def of(cls, meta: Mapping[str, Any]) -> Found:
        """Return it from obstore's metadata. Listings of some stores lack the quotes of an ETag."""
        tag, time = meta["e_tag"], meta["last_modified"]
        if tag:
            return cls(meta["size"], tag.strip('"') if tag[:2] != "W/" else tag, tag[:2] != "W/")
        return cls(meta["size"], time.isoformat() if isinstance(time, datetime) else "", matches=False)


def is_url(source: object) -> bool:
    """Whether a source is a URL, of any scheme."""
    return isinstance(source, str) and _URL(source) is not None


def as_local(url: str) -> str | None:
    """Return the path of a file:// URL; None for other schemes."""
    parts = urlsplit(url)
    if parts.scheme.lower() != "file":
        return None
    if parts.netloc not in ("", "localhost") or not parts.path:
        raise OptionError(f"{url!r}: must be a URL like 'file:///data/packed', with three slashes")
    from urllib.request import url2pathname  # noqa: PLC0415 - imports much, for this scheme alone

    return url2pathname(parts.path)


def split_url(source: object) -> tuple[object, str | None]:
    """Return a source, as a path if it is a file:// URL, and the source again if it is another URL."""
    if not (isinstance(source, str) and is_url(source)):
        return source, None
    path = as_local(source)
    return (source, source) if path is None else (path, None)


class RemoteFolder:
    """A folder in an object store. Its pickle has the options, which may be secret; its repr has not.

    Parameters
    ----------
    url : str
        As `of` returns it: without a query, a password and a slash at the end.
    options : mapping of str to object
        Of obstore's client, its retries and the store.
    """

    __slots__ = ("_options", "_process", "_store", "url")

    def __init__(self, url: str, options: Mapping[str, Any]) -> None:
        self.url = url
        self._options = dict(options)
        self._process, self._store = 0, None

    @classmethod
    def of(cls, url: str, storage_options: Mapping[str, Any] | None, knob: str = "source") -> RemoteFolder:
        """Check a URL and options, and return the folder.

        Raises
        ------
        OptionError
            The URL has an unknown scheme, a query or a password; it is plain HTTP, which is not allowed; an
            option is wrong; or obstore is missing. `knob` is the argument's name in the message.
        """
        parts = urlsplit(url)
        scheme = parts.scheme.lower()
        if scheme not in _SCHEMES:
            raise OptionError(
                f"{knob}= has the scheme {scheme!r}: must be a path, or a URL of s3://, gs://, az://, "
                "https://, http:// or file://"
            )
        host = parts.netloc.rpartition("@")[2]
        shown = f"{scheme}://{parts.netloc if scheme in _MICROSOFT and ':' not in parts.netloc else host}"
        at = f"{shown}{parts.path}".rstrip("/")
        if parts.query or parts.fragment or "?" in url or "#" in url:
            raise OptionError(
                f"{knob}={at!r}: was given with a query (?...), which is not shown here: remove it, and "
                f"{CREDENTIALS}, such as storage_options={{'sas_token': ...}} for Azure"
            )
        if "@" in parts.netloc and not shown.endswith(parts.netloc):
            raise OptionError(
                f"{knob}={at!r}: was given with a user or password, not shown here: remove it, and "
                f"{CREDENTIALS}"
            )
        if not host:
            raise OptionError(f"{knob}={at!r}: names no bucket or host, as 's3://bucket/folder' does")
        if storage_options is not None and not (
            isinstance(storage_options, Mapping) and all(isinstance(name, str) for name in storage_options)
        ):
            raise OptionError(
                f"storage_options= must be a mapping of names to values, not {type(storage_options).__name__}"
            )
        folder = cls(at, {name.lower(): value for name, value in (storage_options or {}).items()})
        folder._check_plain_http(scheme, knob)
        folder._made(knob)
        return folder

    def __repr__(self) -> str:
        return f"<RemoteFolder {self.url}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return RemoteFolder, (self.url, self._options)

    def at(self, name: str) -> str:
        """Return the URL of an object, for messages."""
        return f"{self.url}/{name}"

    @property
    def can_list(self) -> bool:
        """Whether the store has listings: all but plain web servers."""
        return not self.url.startswith("http")

    def _check_plain_http(self, scheme: str, knob: str) -> None:
        """Raise OptionError if requests would be readable on their way, and this is not allowed."""
        allowed = os.environ.get("AWS_ALLOW_HTTP", "") if scheme in ("s3", "s3a") else ""
        if str(self._options.setdefault("allow_http", allowed.lower() in ("true", "1"))).lower() in (
            "true",
            "1",
        ):
            return
        endpoints = [
            value for name, value in self._options.items() if name.endswith(("endpoint", "endpoint_url"))
        ]
        if scheme == "http" or any(str(value).lower().startswith("http://") for value in endpoints):
            of = f"{knob}={self.url!r}" if scheme == "http" else "storage_options= has an endpoint that"
            raise OptionError(
                f"{of}: is plain HTTP, which anybody on the way can read: use https://, or allow it "
                "by storage_options={'allow_http': True}"
            )

    def _made(self, knob: str = "source") -> Any:  # noqa: ANN401 - one of obstore's stores
        """Return obstore's store, made once in each process."""
        if self._process == os.getpid() or _used_by not in (0, os.getpid()):
            return self._store
        from_url = _imported(knob).from_url
        client = {name: value for name, value in self._options.items() if name in _CLIENT}
        more = {
            name: value for name, value in self._options.items() if name not in _CLIENT and name not in _RETRY
        }
        for name, value in {**_DEFAULTS, **client}.items():
            client[name] = _seconds(name, value) if name in _TIMES else value
        retries = self._options.get("max_retries", _RETRIES)
        if not isinstance(retries, int) or retries < 0:
            raise OptionError(
                f"storage_options= has max_retries={retries!r}: must be an integer of at least 0"
            )
        times = {
            name: _seconds(name, self._options.get(name, value)) for name, value in _RETRY_DEFAULTS.items()
        }
        for name, value in times.items():
            if not isinstance(value, timedelta):
                raise OptionError(f"storage_options= has {name}={value!r}: must be a number of seconds")
        pauses = {"base": 2, **{name: times.pop(name) for name in _PAUSES}}
        retry = {"max_retries": retries, "backoff": pauses, **times}
        try:
            store = from_url(self.url, client_options=client, retry_config=retry, **more)
        except Exception as error:  # noqa: BLE001 - of several kinds, some of them of Rust
            if "Unknown" in type(error).__name__ or isinstance(error, TypeError):
                names = ", ".join(more) or ", ".join(client)
                raise OptionError(
                    f"storage_options= has a name or a value that this store does not know, among {names}: "
                    "the names are those of obstore's configuration of the store and of its client"
                ) from None
            why = plain(str(error), self._secrets())
            raise OptionError(f"{knob}={self.url!r}: {why}; correct the URL or storage_options=") from None
        self._process, self._store = os.getpid(), store
        return store

    def _secrets(self) -> list[str]:
        """Return what no message may hold."""
        values = [*self._options.values()]
        for value in self._options.values():
            values += value.values() if isinstance(value, Mapping) else ()
        return [value for value in values if isinstance(value, str)]

    def _call(self, function: Callable[[Any, Any], Any]) -> Any:  # noqa: ANN401 - what it returns
        """Call a function of obstore's module and the store; raise StoreError instead of its errors.

        What it returns can be pickled.
        """
        if _used_by not in (0, os.getpid()):
            return deputy().call(RemoteFolder._call, self, function)
        store = self._made()
        import obstore  # noqa: PLC0415 - see the module's docstring

        try:
            return function(obstore, store)
        except StoreError:
            raise
        except (obstore.exceptions.BaseError, OSError, ValueError) as error:
            raise explained(error, self._secrets()) from None

    def _call_patiently(self, function: Callable[[Any, Any], Any]) -> Any:  # noqa: ANN401 - as above
        """Call as `_call`, in a thread: an interrupt does not end obstore's waits, but that for a thread."""
        done: list[Any] = []
        failed: list[BaseException] = []

        def call() -> None:
            try:
                done.append(self._call(function))
            except BaseException as error:  # noqa: BLE001 - raised in the caller's thread
                failed.append(error)

        thread = threading.Thread(target=call, daemon=True)
        thread.start()
        thread.join()
        if failed:
            raise failed[0]
        return done[0]

    def look(self, name: str) -> Found:
        """Return what identifies an object; raise StoreError.

        The request is for one byte, because answers to HEAD do not say why they fail.
        """
        found: Found = self._call_patiently(
            lambda obs, store: Found.of(obs.get(store, name, options={"range": (0, 1)}).meta)
        )
        return found

    def read(
        self, name: str, start: int, length: int, of: Found | None, *, patiently: bool = False
    ) -> tuple[memoryview, Found]:
        """Return a range of an object, and what identifies the object.

        Parameters
        ----------
        name : str
            The object.
        start, length : int
            The range, in bytes.
        of : Found, optional
            What the object must be.
        patiently : bool
            Whether an interrupt ends the call, which takes longer.

        Raises
        ------
        StoreError
            The store does not give it, or the object is another.
        """
        options: dict[str, Any] = {"range": (start, start + length)}
        if of is not None and of.matches:
            options["if_match"] = f'"{of.tag}"'

        def get(obs: Any, store: Any) -> tuple[Any, Found]:  # noqa: ANN401 - obstore's
            result = obs.get(store, name, options=options)
            found = Found.of(result.meta)
            if of is not None and (found.size, found.tag) != (of.size, of.tag):
                raise changed()
            return result.bytes(), found

        data, found = self._call_patiently(get) if patiently else self._call(get)
        if len(data) != length:
            raise StoreError(f"it gave {len(data)} bytes of {length}: it was replaced, or not fully uploaded")
        return memoryview(data), found

    def list(self, below: str | None = None) -> dict[str, Found] | None:
        """Return the objects of the folder, or of a folder in it, by name.

        Folders count as empty objects whose names end with a slash. None if the store has no listings, or the
        credentials allow to read, but not to list.
        """
        if not self.can_list:
            return None

        def listed(obs: Any, store: Any) -> dict[str, Found]:  # noqa: ANN401 - obstore's
            there = obs.list_with_delimiter(store, below)
            folders = {f"{name}/": Found(0, "", matches=False) for name in there["common_prefixes"]}
            return {meta["path"]: Found.of(meta) for meta in there["objects"]} | folders

        try:
            found: dict[str, Found] = self._call_patiently(listed)
        except StoreError as error:
            if error.denied:
                return None
            raise
        return found

    def put(self, name: str, data: bytes | Path) -> None:
        """Write an object, or the content of a file. It appears when all of it has arrived."""
        size = len(data) if isinstance(data, bytes) else data.stat().st_size
        part = max(_PART, -(-size // _PARTS))
        self._call_patiently(
            lambda obs, store: obs.put(store, name, data, chunk_size=part, max_concurrency=4) and None
        )

    def delete(self, names: Iterable[str]) -> None:
        """Delete objects; those that do not exist count as deleted."""
        wanted = [*names]
        try:
            if wanted:
                self._call_patiently(lambda obs, store: obs.delete(store, wanted))
        except StoreError as error:
            if not error.missing:
                raise


def _seconds(name: str, value: object) -> object:
    """Return a number of seconds as obstore takes it; other values as they are."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return value
    if not value > 0:
        raise OptionError(f"storage_options= has {name}={value!r}: must be more than 0 seconds")
    return timedelta(seconds=value)


def _imported(knob: str) -> Any:  # noqa: ANN401 - a module
    """Return `obstore.store`, with its runtime started, which has one thread."""
    global _used_by  # noqa: PLW0603 - as the runtime, which a process has once
    try:
        from obstore import put, store  # noqa: PLC0415 - see the module's docstring
    except ImportError as error:
        raise OptionError(
            f"{knob}= is in an object store, which takes obstore: pip install 'fastclips[cloud]'"
        ) from error
    if not _used_by:
        threads = "TOKIO_WORKER_THREADS"
        known = os.environ.get(threads)
        os.environ.setdefault(threads, "1")
        try:
            put(store.MemoryStore(), "x", b"")  # the first call starts the runtime
        finally:
            if known is None:
                os.environ.pop(threads, None)
        _used_by = os.getpid()
    return store
