"""Wallets, kept out of what people read: they are personal data, and also stand where writers put them by mistake.

A wallet that is known is found in whatever way it was written. Of one that isn't only the shape can tell, so that ids
and texts with the shape of a common chain's address are not shown either.
"""

import json
import re
from collections.abc import Iterable
from urllib.parse import quote, quote_plus

HIDDEN = "(wallet)"

_HEX = re.compile(r"0x[0-9a-f]{16,}", re.IGNORECASE)
_UUID = r"(?![0-9a-fA-F]{32}(?![A-Za-z0-9]))"
_ADDRESS = re.compile(
    rf"0x[0-9a-fA-F]{{16,}}|(?<![A-Za-z0-9])(?:{_UUID}[A-Za-z0-9]{{32,}}|[13][1-9A-HJ-NP-Za-km-z]{{25,}})(?![A-Za-z0-9])"
)
_LONG_PART = 12
"""So long an id is that is no wallet's part by chance."""


def hide_wallets(texts: Iterable[str], wallets: Iterable[str]) -> list[str]:
    """The texts without these wallets, as they are or as JSON and URLs write them, and without hexadecimal addresses.

    All texts at once: the wallets are a batch's, and looking for a thousand of them in each of a thousand would take
    seconds.
    """
    found = list(texts)
    everything = "\n".join(found).lower()
    written = {each for wallet in wallets if wallet for each in _spellings(wallet) if each.lower() in everything}
    parts = [*map(re.escape, sorted(written, key=len, reverse=True)), _HEX.pattern]
    pattern = re.compile("|".join(parts), re.IGNORECASE)
    return [pattern.sub(HIDDEN, text) for text in found]


def holds_wallet(user_id: str, wallet: str | None = None) -> bool:
    """Whether an id (or a key) gives a wallet away. wallet: the user's; None: not known."""
    if wallet is None:
        return _ADDRESS.search(user_id) is not None
    known, shown = wallet.lower(), user_id.lower()
    if known and (known in shown or (len(shown) >= _LONG_PART and shown in known)):
        return True
    return "0x" in shown and _HEX.search(shown) is not None


def shown_id(user_id: str, wallet: str | None = None) -> str:
    """The id as it may be shown. wallet: as in `holds_wallet`."""
    return f"(an id of {len(user_id)} characters, like a wallet)" if holds_wallet(user_id, wallet) else user_id


def _spellings(wallet: str) -> Iterable[str]:
    """Escapes of what is not ASCII differ by case where the text itself does not: one of `ä`, and one of `Ä`."""
    for cased in {wallet} if wallet.isascii() else {wallet, wallet.lower(), wallet.upper()}:
        yield from _spelled(cased)


def _spelled(wallet: str) -> Iterable[str]:
    yield wallet
    if wallet.isascii() and wallet.isalnum():
        return
    yield json.dumps(wallet)[1:-1]
    yield json.dumps(wallet, ensure_ascii=False)[1:-1]
    encoded = wallet.encode(errors="replace")
    yield quote(encoded, safe="")
    yield quote(encoded)
    yield quote_plus(encoded)
