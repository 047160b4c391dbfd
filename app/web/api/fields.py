"""Text type for JSON bodies.

Validation escapes NUL characters and lone surrogates, because databases cannot store them.
"""

from typing import Annotated, TypeAlias

from pydantic import AfterValidator

from app.domain.text import escape_unstorable

StorableText: TypeAlias = Annotated[str, AfterValidator(escape_unstorable)]
