"""What the drivers of stores raise, and what each of it asks for."""

from __future__ import annotations

import errno

import aiohttp

from noria.connectors.failures import Kind


def store_errors() -> tuple[type[Exception], ...]:
    """What files and stores raise. The driver of S3 turns what its server answers into `OSError`; of a request that got
    no answer, and of credentials that are not there, it passes on what botocore says."""
    try:
        from botocore.exceptions import BotoCoreError
    except ImportError:
        return (OSError, EOFError, aiohttp.ClientError)
    return (OSError, EOFError, aiohttp.ClientError, BotoCoreError)


def kind_of(error: Exception, *, remote: bool) -> Kind:
    """How a request failed; `remote`: at a store, which has credentials of its own."""
    if isinstance(error, PermissionError):
        return "auth" if remote else "permanent"
    if isinstance(error, IsADirectoryError | NotADirectoryError):
        return "permanent"
    if remote and isinstance(error, OSError) and error.errno == errno.EBUSY:
        # SlowDown, ServiceUnavailable.
        return "throttled"
    if isinstance(error, OSError | EOFError | aiohttp.ClientError):
        return "transient"
    from botocore import exceptions as botocore

    if isinstance(error, botocore.ConnectionError | botocore.HTTPClientError):
        return "transient"
    return "auth" if isinstance(error, botocore.NoCredentialsError | botocore.PartialCredentialsError) else "permanent"
