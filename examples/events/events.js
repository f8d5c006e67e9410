// Live events of one SyncPolicy in a browser, for as long as the page is open.
//
//   const stop = followEvents({url: "wss://sync.example.com/v1/namespaces/shop/policies/portfolios/events",
//                              token: async () => "…", onEvent: (event) => { … }, onGap: () => { … }});
//
// token: gives a token that is good now; asked for at every connection. onEvent: one event at a time, in order.
// onGap: something may have been missed, so read anew what the page shows.

const SUBPROTOCOL = "events.sync.moonx.farm";
const TOKEN_SUBPROTOCOL = "base64url.bearer.authorization.k8s.io.";
const NOT_ALLOWED = 4403, NO_SUCH_POLICY = 4404; // coming back would not help
const LONGEST_PAUSE = 30000; // milliseconds

export function followEvents({url, token, onEvent, onGap = () => {}, onEnd = () => {}}) {
  let after = "", pause = 500, socket = null, timer = 0, stopped = false;

  async function connect() {
    try {
      const protocols = [SUBPROTOCOL, TOKEN_SUBPROTOCOL + base64url(await token())];
      if (stopped) return;
      socket = new WebSocket(after ? `${url}?after=${encodeURIComponent(after)}` : url, protocols);
    } catch (error) {
      again();
      return;
    }
    socket.onmessage = (message) => {
      pause = 500;
      for (const event of JSON.parse(message.data)) {
        if (event.type === "gap") onGap();
        else if (event.type !== "bookmark") onEvent(event);
        after = event.id; // once it was dealt with: coming back begins after it
      }
    };
    let over = false;
    const end = (code, reason) => {
      if (over) return;
      over = true;
      if (code === NOT_ALLOWED || code === NO_SUCH_POLICY) onEnd(code, reason);
      else again();
    };
    socket.onclose = (closed) => end(closed.code, closed.reason);
    socket.onerror = () => end(1006, ""); // browsers close after an error; not everything else with a WebSocket does
  }

  function again() {
    if (stopped) return;
    timer = setTimeout(connect, pause * (0.5 + Math.random())); // not all pages at once
    pause = Math.min(2 * pause, LONGEST_PAUSE);
  }

  connect();
  return () => {
    stopped = true;
    clearTimeout(timer);
    if (socket) socket.close();
  };
}

function base64url(text) {
  return btoa(text).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}
