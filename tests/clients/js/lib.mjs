// What the scenarios share: clients with the options that point them at pullse, and small words.
import Ably from 'ably';
import { writeSync } from 'node:fs';
import { createInterface } from 'node:readline';

const clients = [];

/** The only options that are pullse's: endpoint, port and tls. The rest is for impatient tests. */
export function options(given, more = {}) {
  return {
    ...(more.authUrl || more.authCallback || more.token ? {} : { key: given.key }),
    endpoint: '127.0.0.1',
    port: given.port,
    tls: false,
    useBinaryProtocol: given.binary ?? true,
    disconnectedRetryTimeout: 300,
    disableConnectivityCheck: true,
    logLevel: 1,
    logHandler: (text) => console.error(text),
    ...more,
  };
}

export function realtime(given, more) {
  const client = new Ably.Realtime(options(given, more));
  clients.push(client);
  return client;
}

export function rest(given, more) {
  return new Ably.Rest(options(given, more));
}

export function closeAll() {
  for (const client of clients) client.close();
}

/** To whoever started the script. */
export function tell(name, value = null) {
  writeSync(1, JSON.stringify({ name, value }) + '\n');
}

const heard = new Map();
const waiting = new Map();
let lines;

/** The next word of that name from whoever started the script. */
export function hear(name) {
  lines ??= createInterface({ input: process.stdin }).on('line', (line) => {
    const said = JSON.parse(line);
    const resolve = waiting.get(said.name);
    waiting.delete(said.name);
    if (resolve) resolve(said.value);
    else heard.set(said.name, said.value);
  });
  if (!heard.has(name)) return new Promise((resolve) => waiting.set(name, resolve));
  const value = heard.get(name);
  heard.delete(name);
  return Promise.resolve(value);
}

export const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** Wait until it is so. */
export async function until(isSo, what, patience = 20_000) {
  const end = Date.now() + patience;
  while (!isSo()) {
    if (Date.now() > end) throw new Error(`waited in vain: ${what}`);
    await pause(5);
  }
}

export async function connected(client) {
  if (client.connection.state !== 'connected') await client.connection.once('connected');
  return client;
}

/** All states of a connection from now on, each with the id it then had. */
export function states(client) {
  const seen = [];
  client.connection.on((change) => {
    const { id } = client.connection;
    seen.push({ state: change.current, id, code: change.reason?.code ?? null });
  });
  return seen;
}

/** Attach, and collect what comes as `shown`. */
export async function collected(channel, shown = plain) {
  const got = [];
  await channel.subscribe((message) => got.push(shown(message)));
  return got;
}

/** Of messages that count. */
export const number = (message) => message.data.n;

/** A message or a member as JSON can say it. */
export function plain(message) {
  const { name, action, id, data, clientId, connectionId, extras, serial, timestamp } = message;
  const shown = { name, action, id, data: value(data), clientId, connectionId, extras };
  return { ...shown, encoding: message.encoding ?? null, serial, timestamp };
}

function value(data) {
  if (data instanceof ArrayBuffer) return { bytes: Buffer.from(data).toString('base64') };
  if (ArrayBuffer.isView(data)) return { bytes: Buffer.from(data).toString('base64') };
  return data === undefined ? null : data;
}

/** What an awaited refusal says. */
export async function refusal(promise) {
  try {
    await promise;
  } catch (error) {
    return { code: error.code, status: error.statusCode, message: error.message };
  }
  return null;
}
