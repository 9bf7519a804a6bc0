// The channels that show tickets.
import { hear, plain, realtime, refusal, rest, tell, until } from './lib.mjs';

/** Tells each message of each channel as it comes, until the word; then their histories. */
export async function follow(given) {
  const client = realtime(given);
  const got = {};
  for (const name of given.channels) {
    got[name] = [];
    const channel = client.channels.get(name, given.params ? { params: given.params } : {});
    await channel.subscribe((message) => got[name].push(plain(message)));
  }
  tell('ready');
  const counts = await hear('counts');
  await until(() => Object.entries(counts).every(([name, count]) => got[name].length >= count), 'all');
  const history = {};
  for (const name of given.channels) {
    const page = await rest(given).channels.get(name).history({ direction: 'forwards' });
    history[name] = page.items.map(plain);
  }
  const refused = await refusal(client.channels.get(given.channels[0]).publish('ticket.created', {}));
  const refusedByRest = await refusal(rest(given).channels.get(given.channels[0]).publish('ticket.created', {}));
  return { got, history, refused, refusedByRest };
}
