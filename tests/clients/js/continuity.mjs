// Clients that go on through cuts, restarts and takeovers.
import { collected, connected, hear, number, pause, realtime, states, tell, until } from './lib.mjs';

/** Subscribers, one for each port; at the word each has to have had `total` messages. */
export async function listen(given) {
  const followers = given.ports.map((port) => {
    const client = realtime({ ...given, port }, given.options ?? {});
    const channel = client.channels.get(given.channel);
    const lost = [];
    channel.on((change) => {
      if (each.got && change.current === 'attached' && !change.resumed) lost.push(change.reason?.code);
    });
    const each = { client, channel, lost, states: states(client) };
    return each;
  });
  for (const each of followers) each.got = await collected(each.channel, (message) => message.data);
  tell('ready');
  const total = await hear('total');
  await until(() => followers.every((each) => each.got.length >= total), `${total} messages`, 45_000).catch(() => {});
  await pause(500); // for what should not come
  return followers.map(({ client, got, lost, states }) => ({ got, lost, states, id: client.connection.id }));
}

/** Publishers, one for each port, each `rate` messages a second until the word; then all acks. */
export async function talk(given) {
  const talkers = given.ports.map((port) => realtime({ ...given, port }, given.options ?? {}));
  await Promise.all(talkers.map(connected));
  const seen = talkers.map(states);
  let isOver = false;
  hear('stop').then(() => (isOver = true));
  tell('ready');
  const counts = await Promise.all(talkers.map((client, index) => talkOn(client, index)));
  return counts.map((each, index) => ({ ...each, states: seen[index], id: talkers[index].connection.id }));

  async function talkOn(client, index) {
    const channel = client.channels.get(given.channel);
    const failures = [];
    const waiting = [];
    const started = Date.now();
    let count = 0;
    while (!isOver) {
      const sent = channel.publish('n', [(given.first ?? 0) + index, count++]).catch((error) => failures.push(error.code));
      if (given.waits) await sent;
      else waiting.push(sent);
      const due = started + (count * 1000) / given.rate;
      if (due > Date.now()) await pause(due - Date.now());
    }
    await Promise.all(waiting);
    return { count, failures };
  }
}

/** Tells its recovery key whenever it changes, and what it got, until it is killed. */
export async function perish(given) {
  const client = await connected(realtime(given));
  const channel = client.channels.get(given.channel);
  await channel.subscribe((message) => {
    tell('got', { n: number(message), recoveryKey: client.connection.createRecoveryKey(), id: client.connection.id });
  });
  tell('ready');
  await pause(600_000);
}

/** Goes on where another client ended. */
export async function recover(given) {
  const client = realtime(given, { recover: given.recoveryKey });
  const channel = client.channels.get(given.channel);
  const attached = [];
  channel.on('attached', (change) => attached.push(change.resumed));
  const got = await collected(channel, number);
  await channel.publish('own', { n: 'mine' });
  await until(() => got.at(-1) === 'mine', 'its own');
  const { id, key, errorReason } = client.connection;
  return { got, id, key, attached, errorReason };
}

/** A recovery key of somebody else, or of nobody. */
export async function recoverNothing(given) {
  const client = await connected(realtime(given, { recover: given.recoveryKey }));
  return { code: client.connection.errorReason?.code, id: client.connection.id };
}

/** B recovers the connection of A while A is connected: both go on, and nobody fights. */
export async function takeover(given) {
  const a = await connected(realtime(given));
  const seenA = states(a);
  const gotA = await collected(a.channels.get(given.channel), number);
  const other = realtime(given).channels.get(given.channel);
  await other.publish('n', { n: 0 });
  await until(() => gotA.length === 1, 'the first');
  const before = { id: a.connection.id, key: a.connection.key };
  const b = realtime(given, { recover: a.connection.createRecoveryKey() });
  const seenB = states(b);
  const gotB = await collected(b.channels.get(given.channel), number);
  const end = Date.now() + given.time;
  let count = 1;
  while (Date.now() < end) {
    await other.publish('n', { n: count++ });
    await pause(20);
  }
  await until(() => gotB.length >= count - 1 && gotA.length >= count, 'all');
  await pause(200);
  return { before, a: { id: a.connection.id, states: seenA, got: gotA }, b: { id: b.connection.id, key: b.connection.key, states: seenB, got: gotB }, count };
}

/** Connected, attached, and silent until the word; then a message comes. One of each protocol. */
export async function idle(given) {
  const clients = [true, false].map((binary) => realtime({ ...given, binary }));
  await Promise.all(clients.map(connected));
  const seen = clients.map(states);
  const got = await Promise.all(clients.map((each) => collected(each.channels.get(given.channel), number)));
  const before = clients.map((each) => each.connection.id);
  tell('ready');
  await hear('stop');
  await until(() => got.every((each) => each.length === 1), 'the message');
  return { states: seen.flat(), got, isSame: clients.every((each, index) => each.connection.id === before[index]) };
}

/** What was published while no answer came back is sent again after the cut, and is there once. */
export async function unanswered(given) {
  const client = await connected(realtime({ ...given, port: given.proxy }));
  const channel = client.channels.get(given.channel);
  await channel.attach();
  const other = realtime(given).channels.get(given.channel);
  const got = await collected(other, (message) => [message.name, number(message), message.serial]);
  const members = [];
  await other.presence.subscribe((member) => members.push([member.action, member.clientId]));
  const { id } = client.connection;
  tell('ready');
  await hear('go');
  const promises = [
    channel.publish('a', { n: 0 }),
    channel.publish([{ name: 'b', data: { n: 1 } }, { name: 'c', data: { n: 2 } }]),
    channel.presence.enterClient('ada'),
    channel.publish('d', { n: 3 }),
  ];
  let isAnswered = false;
  Promise.race(promises).then(() => (isAnswered = true));
  await until(() => got.length === 4 && members.length === 1, 'all');
  await pause(100);
  if (isAnswered) throw new Error('an answer came through');
  tell('published');
  const results = await Promise.all(promises);
  await channel.publish('e', { n: 4 });
  await until(() => got.length >= 5, 'the last');
  await pause(500);
  const serials = results.flatMap((each) => each?.serials ?? []);
  return { got, members, serials, isSame: client.connection.id === id };
}

/** Eight clients attach again and again in the middle of many messages; what each attachment got. */
export async function attachInTheMiddle(given) {
  const sender = await connected(realtime(given));
  const [source, sent] = [sender.channels.get(given.channel), []];
  let isOver = false;
  let count = 0;
  const sending = (async () => {
    while (!isOver) {
      for (let n = 0; n < 5; n++) sent.push(source.publish('n', { n: count++ }));
      await pause(8);
    }
    await Promise.all(sent);
  })();
  const runs = [];
  let slowest = 0;
  await Promise.all(Array.from({ length: 8 }, async () => {
    const client = await connected(realtime(given));
    for (let round = 0; round < given.rounds; round++) {
      const channel = client.channels.get(given.channel, { params: { rewind: '3' } });
      const started = Date.now();
      const got = await collected(channel, number);
      await until(() => got.length >= 20, 'some messages');
      slowest = Math.max(slowest, Date.now() - started);
      await channel.detach();
      client.channels.release(given.channel);
      runs.push(got);
    }
  }));
  isOver = true;
  await sending;
  return { runs, count, slowest };
}
