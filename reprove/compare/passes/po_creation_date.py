"""The creation date in a catalogue of translations."""

from __future__ import annotations

from reprove.compare.anatomies.catalogue import CATALOGUE
from reprove.compare.anatomies.dates import is_gettext_date
from reprove.compare.passes.masks import ANY, without_header
from reprove.compare.passes.model import Pass, PieceMask, Risk
from reprove.core.outcomes import Level

PASS = Pass(
    id="po-creation-date",
    version=1,
    level=Level.NORMALIZED,
    risk=Risk.METADATA,
    profiles=ANY,
    paths=("*.po", "*.pot", "*.mo", "*.gmo"),
    reason="Catalogues of translations say when their template was extracted; programs do not act on it.",
    mask=PieceMask(CATALOGUE, without_header("POT-Creation-Date", is_gettext_date)),
)
