"""Validation of query parameters that several API routes share."""

from collections import Counter

from fastapi import Depends, Request

from app.domain.errors import InvalidInput


async def _reject_repeated_parameters(request: Request) -> None:
    """Raise InvalidInput if a parameter occurs more than once, because its value would be ambiguous."""
    counts = Counter(name for name, _ in request.query_params.multi_items())
    for name, count in counts.items():
        if count > 1:
            raise InvalidInput({name: f"“{name}” occurs more than once; send it once."})


NO_REPEATED_PARAMETERS = Depends(_reject_repeated_parameters)
