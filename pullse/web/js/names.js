/* What somebody is called: agents by their name, as the API has it now. */

import { word } from './words.js'

const known = new Map()

export function nameOf(actor) {
  const [kind, id] = actor.split(':')
  if (kind !== 'agent') return Promise.resolve(word(kind === 'owner' ? 'local' : 'service'))
  if (!known.has(id)) known.set(id, asked(id))
  return known.get(id)
}

async function asked(id) {
  const response = await fetch(`/api/agents/${encodeURIComponent(id)}`).catch(() => null)
  if (!response?.ok) {
    known.delete(id)
    return word('somebody')
  }
  return (await response.json()).data.name
}
