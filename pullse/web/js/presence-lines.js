/* Who is present, in words: each person once, whatever the number of tabs, and the reader not at all. */

import { agent } from './here.js'
import { nameOf } from './names.js'
import { word } from './words.js'

const MOST = 3

export async function linesOf(members) {
  const people = new Map()
  for (const { clientId, data } of members) {
    if (!clientId || clientId === agent) continue
    if (people.get(clientId)?.state !== 'editing') people.set(clientId, data)
  }
  const lines = await Promise.all([...people].slice(0, MOST).map((each) => lineOf(...each)))
  const more = people.size - MOST
  return more > 0 ? [...lines, shown('viewing', word('others', { n: more }))] : lines
}

async function lineOf(clientId, { state, field }) {
  const name = await nameOf(clientId)
  if (state !== 'editing') return shown('viewing', word('viewing', { name }))
  const isField = typeof field === 'string' && /^[a-z]+$/.test(field)
  const what = isField && word(`field${field[0].toUpperCase()}${field.slice(1)}`)
  return shown('editing', what ? word('editingField', { name, field: what }) : word('editing', { name }))
}

function shown(state, text) {
  const line = document.createElement('span')
  line.className = 'presence__one'
  line.dataset.state = state
  line.textContent = line.title = text
  return line
}
