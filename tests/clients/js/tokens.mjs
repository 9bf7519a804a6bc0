// Tokens by authUrl and authCallback, and what happens when they end.
import { collected, connected, hear, number, pause, realtime, refusal, rest, states, tell, until } from './lib.mjs';

const authUrl = (given) => `http://127.0.0.1:${given.port}/api/realtime/token`;

/** Renewed while connected: nothing is lost, and nobody notices. */
export async function renewal(given) {
  const client = realtime(given, { authUrl: authUrl(given), authParams: { ttl: given.ttl, clientId: 'ada' } });
  const tokens = new Set();
  await connected(client);
  const seen = states(client);
  const { id } = client.connection;
  const got = await collected(client.channels.get('tickets-updates'), (message) => message.data);
  const end = Date.now() + given.time;
  while (Date.now() < end) {
    tokens.add(client.auth.tokenDetails?.token);
    await pause(50);
  }
  const answer = await fetch(`http://127.0.0.1:${given.port}/api/tickets`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ title: 'Help', description: 'It broke.' }),
  });
  await until(() => got.length > 0, 'the ticket');
  return {
    tokens: tokens.size,
    isSame: client.connection.id === id,
    state: client.connection.state,
    states: seen,
    clientId: client.auth.clientId,
    status: answer.status,
  };
}

/** The client can't renew in time: it is disconnected, gets a new token, and resumes. */
export async function expiry(given) {
  let isSlow = false;
  const fetched = [];
  const client = realtime(given, {
    authCallback: async (params, callback) => {
      fetched.push(Date.now());
      if (isSlow) await pause(given.ttl + 2500);
      isSlow = false;
      const answer = await fetch(`${authUrl(given)}?ttl=${fetched.length > 1 ? 3_600_000 : given.ttl}&capability=${encodeURIComponent('{"*":["*"]}')}`);
      callback(null, await answer.json());
      params.done = true;
    },
  });
  isSlow = false;
  await connected(client);
  isSlow = true;
  const seen = states(client);
  const { id } = client.connection;
  const got = await collected(client.channels.get(given.channel), number);
  const other = realtime(given).channels.get(given.channel);
  for (let n = 0; n < 60; n++) {
    await other.publish('n', { n });
    await pause(100);
  }
  await until(() => got.length >= 60, 'all messages');
  return { got, isSame: client.connection.id === id, states: seen, fetched: fetched.length };
}

/**
 * A REST client that knows the time here renews a token that has expired. (One that does not
 * repeats the call with the old token for ever: ably-js 2.28 lets the header that it sent before
 * win over the new one, `withAuthDetails` in resource.ts.)
 */
export async function byRest(given) {
  let count = 0;
  const client = rest(given, {
    authCallback: async (params, callback) => {
      count++;
      const answer = await fetch(`${authUrl(given)}?ttl=1500&capability=${encodeURIComponent('{"*":["*"]}')}`);
      callback(null, await answer.json());
    },
  });
  await client.time();
  await client.channels.get(given.channel).publish('a', '1');
  await pause(1800);
  await client.channels.get(given.channel).publish('a', '2');
  const page = await client.channels.get(given.channel).history({ direction: 'forwards' });
  return { count, data: page.items.map((each) => each.data) };
}

/** A token request signed here and used by somebody without the key; and what is refused. */
export async function requests(given) {
  const server = rest(given);
  const signed = await server.auth.createTokenRequest({
    clientId: 'ada', ttl: 60_000, capability: { [given.channel]: ['publish', 'subscribe'], 'tickets-*': ['subscribe'] },
  });
  const client = realtime(given, { authCallback: (_, callback) => callback(null, signed) });
  await connected(client);
  const got = await collected(client.channels.get(given.channel));
  await client.channels.get(given.channel).publish('a', 'b');
  await until(() => got.length === 1, 'it');
  const elsewhere = await refusal(client.channels.get(`${given.channel}-other`).attach());
  const asOther = await refusal(client.channels.get(given.channel).publish({ data: 'x', clientId: 'ben' }));
  const twice = await refusal(rest(given, { authCallback: (_, callback) => callback(null, signed) }).channels.get(given.channel).publish('a', 'b'));
  const forged = await refusal(rest(given, { authCallback: (_, callback) => callback(null, { ...signed, nonce: 'another-one-of-16', clientId: 'root' }) }).channels.get(given.channel).publish('a', 'b'));
  const wrongKey = realtime(given, { key: `${given.key}x` });
  const failed = await wrongKey.connection.once('failed');
  return {
    clientId: got[0].clientId, elsewhere, asOther, twice, forged,
    failed: failed.reason.code, state: client.connection.state,
  };
}

/** A right is taken away: the client gets a token with less by its authUrl, and goes on with that. */
export async function lessened(given) {
  const client = realtime(given, {
    authUrl: authUrl(given),
    authHeaders: { authorization: `Bearer ${given.bearer}` },
  });
  await connected(client);
  const seen = states(client);
  const { id } = client.connection;
  const open = client.channels.get('tickets-updates');
  const secret = client.channels.get(given.secret);
  const got = { open: await collected(open, (message) => message.name), secret: await collected(secret, (message) => message.name) };
  await secret.presence.enter('here');
  const failed = new Promise((resolve) => secret.on('failed', (change) => resolve(change.reason?.code)));
  tell('ready');
  const code = await failed;
  await until(() => open.state === 'attached' && client.connection.state === 'connected', 'the rest');
  tell('lessened');
  await hear('made');
  await until(() => got.open.length > 1, 'the ticket');
  return {
    got, code,
    isSame: client.connection.id === id,
    states: seen,
    state: client.connection.state,
    again: await refusal(secret.attach()),
    capability: JSON.parse(client.auth.tokenDetails.capability),
  };
}

/** All rights are taken away: the client asks for another token, gets none, and gives up. */
export async function dismissed(given) {
  const client = realtime(given, {
    authUrl: authUrl(given),
    authHeaders: { authorization: `Bearer ${given.bearer}` },
  });
  await connected(client);
  const seen = states(client);
  const got = await collected(client.channels.get('tickets-updates'), (message) => message.name);
  tell('ready');
  await until(() => seen.some((each) => each.state === 'disconnected'), 'the cut');
  tell('cut');
  await hear('made');
  await pause(1000);
  return { got, states: seen, state: client.connection.state };
}
