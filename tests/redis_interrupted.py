"""Commands of a Redis store between which something else happens."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from periodic_sync.stores.redis.commands import Argument, Command, Commands, Script


@dataclass
class Interrupted:
    """Passes everything on; before `script` runs for the first time with some such argument, something happens."""

    commands: Commands
    script: Script
    argument: Argument
    happens: Callable[[], Awaitable[object]]
    has_happened: bool = field(default=False, init=False)

    async def run(self, script: Script, keys: Sequence[str | bytes], args: Sequence[Argument] = ()) -> Any:
        if script == self.script and self.argument in args and not self.has_happened:
            self.has_happened = True
            await self.happens()
        return await self.commands.run(script, keys, args)

    async def read(self, key: str | bytes, commands: Sequence[Command]) -> list[Any]:
        return await self.commands.read(key, commands)

    async def info(self, section: str) -> Mapping[str, Mapping[str, str]]:
        return await self.commands.info(section)

    async def close(self) -> None:
        await self.commands.close()
