// Who is there.
import { connected, hear, pause, plain, realtime, rest, tell, until } from './lib.mjs';

const ACTIONS = ['absent', 'present', 'enter', 'leave', 'update'];

function short({ action, clientId, data }) {
  return [ACTIONS[action] ?? action, clientId, data ?? null];
}

export async function comingAndGoing(given) {
  const ada = realtime(given, { clientId: 'ada' }).channels.get(given.channel);
  const ben = realtime(given, { clientId: 'ben', useBinaryProtocol: !given.binary }).channels.get(given.channel);
  const seen = [];
  await ben.presence.subscribe((member) => seen.push(short(member)));
  await ada.presence.enter({ viewing: true });
  await ada.presence.update('typing');
  await ben.presence.enter(Buffer.from('raw'));
  await until(() => seen.length === 3, 'ada and ben');
  const together = (await gathered(ada, 2)).map(plain);
  const late = realtime(given).channels.get(given.channel);
  const lateSaw = [];
  await late.presence.subscribe((member) => lateSaw.push(short(member)));
  const lateGot = (await late.presence.get()).map(short);
  const byRest = (await rest(given).channels.get(given.channel).presence.get()).items.map(short);
  const one = (await rest(given).channels.get(given.channel).presence.get({ clientId: 'ada' })).items.map(short);
  await ada.presence.leave('bye');
  await ben.detach();
  await until(() => lateSaw.some((each) => each[0] === 'leave' && each[1] === 'ben'), 'ben left');
  const left = (await gathered(late, 0)).map(short);
  const history = await rest(given).channels.get(given.channel).presence.history({ direction: 'forwards' });
  return {
    seen: seen.map(([action, who, data]) => [action, who, Buffer.isBuffer(data) ? data.toString() : data]),
    together, lateGot, lateSaw, byRest, one, left, history: history.items.map(short),
  };
}

/** The members, once they are so many: one client may hear of somebody before another does. */
async function gathered(channel, count) {
  const end = Date.now() + 5000;
  let members = [];
  while (Date.now() < end && (members = await channel.presence.get()).length !== count) await pause(5);
  return members;
}

/** A key may speak for many; a client that joins late gets them all by SYNC. */
export async function many(given) {
  const keeper = realtime(given).channels.get(given.channel);
  await keeper.attach();
  await Promise.all(Array.from({ length: 250 }, (_, n) => keeper.presence.enterClient(`m${n}`, { n })));
  const late = await realtime(given, { useBinaryProtocol: !given.binary }).channels.get(given.channel);
  await late.attach();
  const members = await late.presence.get();
  await Promise.all(Array.from({ length: 249 }, (_, n) => keeper.presence.leaveClient(`m${n}`)));
  await until(() => late.presence.syncComplete, 'the sync');
  const left = await gathered(late, 1);
  return { count: new Set(members.map((each) => each.clientId)).size, left: left.map(short) };
}

/** Ada is behind a proxy; what ben sees of it is told as it comes, and who is there at the end. */
export async function cut(given) {
  const seen = [];
  const more = given.remain ? { transportParams: { remainPresentFor: given.remain } } : {};
  const client = realtime({ ...given, port: given.proxy }, { clientId: 'ada', ...more });
  const ada = client.channels.get(given.channel);
  const ben = realtime(given, { clientId: 'ben' }).channels.get(given.channel);
  await ben.presence.subscribe((member) => seen.push(short(member)));
  await ada.presence.enter('here');
  await until(() => seen.length === 1, 'ada entered');
  
  const first = client.connection.id;
  tell('entered');
  await hear('look');
  await connected(client);
  if (given.remain) await until(() => seen.length >= 3, 'ada left and came back', 10_000);
  await ada.presence.update('back');
  await until(() => seen.at(-1)[2] === 'back', 'the update');
  return {
    seen,
    isSame: first === client.connection.id,
    members: (await gathered(ben, 1)).map(short),
  };
}

/** Enters, and is never heard of again: whoever started it kills it. */
export async function enterAndDie(given) {
  const channel = realtime(given, { clientId: 'ada' }).channels.get(given.channel);
  await channel.presence.enter('here');
  
  tell('entered');
  await pause(600_000);
}

/** How long, in milliseconds, until a leave was seen after the word. */
export async function watch(given) {
  
  const channel = realtime(given).channels.get(given.channel);
  let left = 0;
  await channel.presence.subscribe('leave', () => (left = Date.now()));
  tell('ready');
  const died = await hear('died').then(() => Date.now());
  await until(() => left > 0, 'a leave', 40_000);
  return left - died;
}
