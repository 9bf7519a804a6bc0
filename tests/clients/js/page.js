// The same as lib.mjs and its scenarios, for a page: ably-js is the global Ably.
const clients = [];
const got = {};

/** With a token of pullse's own, for everything or for what a page usually may. */
function options(given, more = {}) {
  return {
    authUrl: `http://127.0.0.1:${given.port}/api/realtime/token`,
    authParams: { clientId: given.client_id ?? 'ada', ...(given.free ? { capability: '{"*":["*"]}' } : {}) },
    endpoint: '127.0.0.1',
    port: given.socket ?? given.port,
    tls: false,
    transports: ['web_socket'],
    disconnectedRetryTimeout: 300,
    disableConnectivityCheck: true,
    logLevel: 1,
    ...more,
  };
}

function realtime(given, more) {
  const client = new Ably.Realtime(options(given, more));
  clients.push(client);
  return client;
}

async function connected(client) {
  if (client.connection.state !== 'connected') await client.connection.once('connected');
  return client;
}

const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

async function until(isSo, what, patience = 20_000) {
  const end = Date.now() + patience;
  while (!isSo()) {
    if (Date.now() > end) throw new Error(`waited in vain: ${what}`);
    await pause(5);
  }
}

/** Collect what comes on the channels from now on. */
async function follow(given) {
  const client = await connected(realtime(given));
  for (const name of given.channels) {
    got[name] = [];
    await client.channels.get(name).subscribe(({ name: title, data, id }) => got[name].push({ name: title, data, id }));
  }
  return { clientId: client.auth.clientId, transport: client.connection.connectionManager.activeProtocol.transport.toString() };
}

async function followed(given) {
  await until(() => got[given.name].length >= given.count, 'all messages', given.patience).catch(() => {});
  await pause(300);
  return got[given.name];
}

/** Publish, presence and history on a channel that is free. */
async function talk(given) {
  const client = await connected(realtime(given));
  const channel = client.channels.get(given.channel);
  const heard = [];
  await channel.subscribe((message) => heard.push(message.data));
  const bytes = new Uint8Array([0, 1, 255]);
  for (const data of ['text', { a: [1] }, bytes]) await channel.publish('n', data);
  for (let n = 0; n < 22; n++) await channel.publish('n', { n });
  await channel.presence.enter({ viewing: true });
  const members = (await channel.presence.get()).map(({ clientId, data }) => [clientId, data]);
  const rest = new Ably.Rest(options(given));
  const byRest = rest.channels.get(given.channel);
  await byRest.publish('n', { n: 22 });
  await until(() => heard.length === 26, 'all');
  const pages = [];
  for (let page = await byRest.history({ limit: 10 }); page; page = page.hasNext() ? await page.next() : null) {
    pages.push(page.items.map((message) => message.data?.n ?? 'other'));
  }
  const present = (await byRest.presence.get()).items.map(({ clientId, data }) => [clientId, data]);
  await channel.presence.leave();
  const refused = {};
  const limited = new Ably.Rest(options({ ...given, free: false }));
  try {
    await limited.channels.get(given.channel).history();
  } catch (error) {
    Object.assign(refused, { code: error.code, status: error.statusCode });
  }
  const status = (await rest.channels.get(given.channel).status()).channelId;
  return {
    heard: heard.map((data) => (data instanceof ArrayBuffer ? [...new Uint8Array(data)] : data)),
    members, present, pages, refused, status, time: Math.abs((await rest.time()) - Date.now()),
  };
}

let idling;

/** Connected, attached, and silent. */
async function idle(given) {
  const client = await connected(realtime(given));
  const states = [];
  client.connection.on((change) => states.push(change.current));
  const got = [];
  await client.channels.get(given.channel).subscribe((message) => got.push(message.data));
  idling = { client, states, got, id: client.connection.id };
}

/** After a message, at last. */
async function idled() {
  const { client, states, got, id } = idling;
  await until(() => got.length === 1, 'the message');
  return { states, got, isSame: client.connection.id === id };
}
