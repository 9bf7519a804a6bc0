// Publishing, subscribing and reading back.
import Ably from 'ably';
import { collected, connected, number, pause, plain, realtime, refusal, rest, states, until } from './lib.mjs';

const PAYLOADS = [
  'plain text', '', 'ünïcödé 🎫 \u0000 \u2028', { nested: { list: [1, 2.5, null, true, 'x'] } }, [], {},
  ['a', { b: 'c' }], Buffer.from([0, 1, 254, 255, 128]), Buffer.alloc(0), undefined,
  'x'.repeat(60_000), Buffer.alloc(40_000, 7),
];

export async function connect(given) {
  const client = await connected(realtime(given));
  const { id, key, errorReason } = client.connection;
  const ping = await client.connection.ping();
  const other = await connected(realtime(given));
  const isUnlike = other.connection.id !== id && other.connection.key !== key;
  const seen = states(client);
  client.close();
  await client.connection.once('closed');
  return { hasId: Boolean(id && key), errorReason, ping, isUnlike, states: seen };
}

/** Each payload over the socket, then each by REST, to a subscriber of either protocol. */
export async function payloads(given) {
  const name = given.channel;
  const sender = realtime(given);
  const receiver = realtime(given, { useBinaryProtocol: given.receiver_binary });
  const got = await collected(receiver.channels.get(name));
  const byRest = rest(given).channels.get(name);
  const results = [];
  for (const channel of [sender.channels.get(name), byRest]) {
    for (const [index, data] of PAYLOADS.entries()) {
      results.push(await channel.publish(`n${index}`, data));
    }
  }
  await until(() => got.length >= 2 * PAYLOADS.length, 'all messages');
  const history = await rest(given, { useBinaryProtocol: given.receiver_binary })
    .channels.get(name).history({ limit: 100, direction: 'forwards' });
  const sent = PAYLOADS.map((data, index) => plain({ name: `n${index}`, data }));
  const serials = results.map((each) => each.serials[0]);
  return { sent: [...sent, ...sent], got, serials, history: history.items.map(plain) };
}

/** Several at once, with extras, ids and names of their own; and what is refused. */
export async function publishing(given) {
  const client = realtime(given);
  const channel = client.channels.get(given.channel);
  const got = await collected(channel);
  const byRest = rest(given).channels.get(given.channel);
  const several = await channel.publish([{ name: 'a', data: '1' }, { name: 'b', data: '2' }, { data: '3' }]);
  await channel.publish({ name: 'extra', data: 'd', extras: { headers: { k: 'v' } }, clientId: 'ada' });
  const first = await byRest.publish({ id: 'mine-1', name: 'once', data: 'x' });
  const again = await byRest.publish({ id: 'mine-1', name: 'once', data: 'x' });
  const pairs = [{ id: 'two:0', data: 'p' }, { id: 'two:1', data: 'q' }];
  await byRest.publish(pairs);
  await byRest.publish(pairs);
  const tooLarge = await refusal(channel.publish('big', 'x'.repeat(65_600)));
  const badName = await refusal(client.channels.get(':no').publish('a', 'b'));
  await channel.publish('last', 'z');
  await until(() => got.some((each) => each.name === 'last'), 'the last');
  return { got, several, first, again, tooLarge, badName };
}

/** A publisher with echoMessages: false does not hear itself; others do. */
export async function echo(given) {
  const quiet = realtime(given, { echoMessages: false });
  const loud = realtime(given);
  const gotQuiet = await collected(quiet.channels.get(given.channel));
  const gotLoud = await collected(loud.channels.get(given.channel));
  await quiet.channels.get(given.channel).publish('q', 'by quiet');
  await loud.channels.get(given.channel).publish('l', 'by loud');
  await until(() => gotLoud.length === 2 && gotQuiet.length >= 1, 'both');
  await pause(100);
  return { quiet: gotQuiet.map((each) => each.name), loud: gotLoud.map((each) => each.name) };
}

export async function history(given) {
  const client = realtime(given);
  const channel = client.channels.get(given.channel);
  for (let first = 0; first < 25; first += 5) {
    await channel.publish([0, 1, 2, 3, 4].map((index) => ({ name: 'n', data: { n: first + index } })));
  }
  const pages = {};
  for (const [name, source] of [['realtime', channel], ['rest', rest(given).channels.get(given.channel)]]) {
    for (const direction of ['backwards', 'forwards']) {
      pages[`${name} ${direction}`] = await pagesOf(source.history({ limit: 10, direction }));
    }
  }
  const page = await channel.history({ limit: 10 });
  const again = await (await page.next()).first();
  const late = realtime(given).channels.get(given.channel);
  const got = await collected(late);
  await channel.publish('n', { n: 25 });
  const before = await late.history({ untilAttach: true, limit: 2 });
  const dated = await channel.history({ end: page.items[3].timestamp - 1, limit: 100 });
  return {
    pages,
    again: again.items.map(number),
    beforeAttach: before.items.map(number),
    isOlder: dated.items.every((each) => each.timestamp < page.items[3].timestamp),
    fromSubscribing: got.map(number),
  };
}

async function pagesOf(promise) {
  const found = [];
  for (let page = await promise; page; page = page.hasNext() ? await page.next() : null) {
    found.push(page.items.map(number));
  }
  return found;
}

export async function rewind(given) {
  const sender = realtime(given).channels.get(given.channel);
  for (let n = 0; n < 5; n++) await sender.publish('n', { n });
  const found = {};
  for (const rewinding of ['3', '1', '100', '2m', '0']) {
    const channel = realtime(given).channels.get(given.channel, { params: { rewind: rewinding } });
    found[rewinding] = await collected(channel, number);
  }
  const qualified = realtime(given).channels.get(`[?rewind=2]${given.channel}`);
  found.qualified = await collected(qualified, number);
  await sender.publish('n', { n: 5 });
  await until(() => Object.values(found).every((each) => each.at(-1) === 5), 'the live one');
  const bad = realtime(given).channels.get(given.channel, { params: { rewind: 'soon' } });
  return { found, bad: await refusal(bad.attach()) };
}

/** What the SDK encrypts passes through, and is readable at the other end alone. */
export async function encrypted(given) {
  const key = await Ably.Realtime.Crypto.generateRandomKey();
  const sender = realtime(given).channels.get(given.channel, { cipher: { key } });
  const receiver = realtime(given, { useBinaryProtocol: !given.binary });
  const got = await collected(receiver.channels.get(given.channel, { cipher: { key } }));
  const blind = await collected(realtime(given).channels.get(given.channel));
  for (const data of ['secret', { a: 1 }, Buffer.from([1, 2, 3])]) await sender.publish('c', data);
  await until(() => got.length === 3 && blind.length === 3, 'all');
  return { got, blind };
}

/** Detached is silent, attached again hears what is new. */
export async function detaching(given) {
  const sender = realtime(given).channels.get(given.channel);
  const channel = realtime(given).channels.get(given.channel);
  const got = await collected(channel, number);
  await sender.publish('n', { n: 1 });
  await until(() => got.length === 1, 'the first');
  await channel.detach();
  await sender.publish('n', { n: 2 });
  await channel.attach();
  await sender.publish('n', { n: 3 });
  await until(() => got.length === 2, 'the third');
  await channel.setOptions({ modes: ['PUBLISH'] });
  await sender.publish('n', { n: 4 });
  await pause(100);
  return { got, modes: channel.modes };
}

export async function calls(given) {
  const client = rest(given);
  const channel = client.channels.get(given.channel);
  const watcher = await connected(realtime(given));
  await watcher.channels.get(given.channel).attach();
  await watcher.channels.get(given.channel).presence.enterClient('ada', 'in');
  const offBy = Math.abs((await client.time()) - Date.now());
  const batch = await client.batchPublish({
    channels: [given.channel, 'tickets-updates'], messages: [{ name: 'b', data: 'both' }],
  });
  const batchPresence = await client.batchPresence([given.channel, `${given.channel}-empty`]);
  const stats = await client.stats();
  const token = await client.auth.requestToken({ clientId: 'ben', capability: { [given.channel]: ['subscribe'] } });
  const limited = rest(given, { token: token.token });
  const refused = await refusal(limited.channels.get(given.channel).publish('a', 'b'));
  await pause(1500); // occupancy is told each second
  const status = await channel.status();
  return {
    offBy, batch, batchPresence, stats: stats.items, token, refused, status,
    unknown: await refusal(rest(given, { key: 'pullse.nobody:x' }).channels.get('a').history()),
  };
}
