"""Type for text in JSON bodies. Escapes NUL and lone surrogates, which databases cannot store."""

from typing import Annotated, TypeAlias

from pydantic import AfterValidator

from app.domain.text import escape_unstorable

StorableText: TypeAlias = Annotated[str, AfterValidator(escape_unstorable)]
