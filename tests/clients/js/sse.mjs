// Ably's server-sent events with an EventSource that knows nothing of Ably.
import { EventSource } from 'eventsource';
import { hear, tell, until } from './lib.mjs';

/** Collect events of the channels until there are so many; errors are told too. */
export async function follow(given) {
  const query = new URLSearchParams({ v: '1.2', key: given.key, channels: given.channels.join(','), ...given.params });
  const source = new EventSource(`http://127.0.0.1:${given.port}/${given.path ?? 'sse'}?${query}`);
  const got = [];
  let opened = 0;
  source.addEventListener('open', () => {
    if (!opened++) tell('ready');
  });
  for (const kind of ['message', 'presence', 'error']) {
    source.addEventListener(kind, (event) => {
      if (event.data !== undefined) got.push({ kind, id: event.lastEventId, data: event.data });
    });
  }
  const count = await hear('count');
  await until(() => got.length >= count, `${count} events`).catch(() => {});
  source.close();
  return { got, opened };
}

/** With a token that ends soon: what it is told then. */
export async function expiry(given) {
  const answer = await fetch(`http://127.0.0.1:${given.port}/api/realtime/token?ttl=${given.ttl}`);
  const { token } = await answer.json();
  const query = new URLSearchParams({ v: '1.2', accessToken: token, channels: 'tickets-updates' });
  const source = new EventSource(`http://127.0.0.1:${given.port}/sse?${query}`);
  const refusal = await new Promise((resolve) => {
    source.addEventListener('error', (event) => {
      if (event.data !== undefined) resolve(JSON.parse(event.data));
    });
  });
  source.close();
  return refusal;
}
