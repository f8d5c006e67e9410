"""Print the live events of a SyncPolicy, one JSON object a line, and come back after every interruption.

    TOKEN=$(kubectl create token app --namespace shop --audience=periodic-sync) \
    python follow.py https://localhost:3001/v1/namespaces/shop/policies/portfolios/events --cacert api.crt

It needs the package `websockets`. A token that expires ends it: run it with a new one, and --after with the last id.
"""

import argparse
import asyncio
import json
import os
import ssl
import sys

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

FOR_GOOD = {4401, 4403, 4404}
"""Close codes after which coming back with the same token would not help."""


async def follow(url: str, token: str, context: ssl.SSLContext | None, after: str) -> str:
    """Returns: why it is over."""
    headers = {"Authorization": f"Bearer {token}"}
    pause = 0.5
    while True:
        try:
            address = f"{url}?after={after}" if after else url
            async with connect(address, additional_headers=headers, ssl=context) as connection:
                pause = 0.5
                print("reading", file=sys.stderr, flush=True)  # what happens from here on is told
                async for message in connection:
                    for event in json.loads(message):
                        if event["type"] != "bookmark":
                            print(json.dumps(event), flush=True)
                        after = event["id"]
            closed = connection.close_code
            if closed in FOR_GOOD:
                return f"{connection.close_reason} ({closed}); the last id is {after}"
        except InvalidStatus as refused:
            if refused.response.status_code < 500 and refused.response.status_code != 429:
                return (refused.response.body or b"").decode()
        except (OSError, ConnectionClosed, TimeoutError) as error:
            print(f"interrupted: {error}", file=sys.stderr)
        await asyncio.sleep(pause)
        pause = min(2 * pause, 30)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url", help="of the policy's events, http(s) or ws(s)")
    parser.add_argument("--cacert", help="PEM certificates to trust, beside the system's")
    parser.add_argument("--after", default="", help="id of the last event that was dealt with")
    given = parser.parse_args()
    url = given.url.replace("http", "ws", 1) if given.url.startswith("http") else given.url
    context = ssl.create_default_context(cafile=given.cacert) if url.startswith("wss") else None
    sys.exit(asyncio.run(follow(url, os.environ["TOKEN"], context, given.after)))


if __name__ == "__main__":
    main()
