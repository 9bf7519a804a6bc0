/* Drafts as they are kept in this browser: one of each form for each open page, under the agent's
   name. A page that is open holds its own by a lock; one whose page is gone is taken on by the next.
   Without locks they are copied, so that no page takes another's away. */

import { agent } from './here.js'

const PREFIX = 'pullse:draft:'
const OWN = `${PREFIX}${agent}:`
const KEPT = 14 * 86_400_000
const SENT = 'pullse.sent'

let isOver = false

/** The newest that no open page holds, or else a new one: `{key, draft}`. */
export async function claim(name) {
  const start = `${OWN}${name}:`
  const known = keys(start).map((key) => ({ key, draft: read(key) })).sort((a, b) => b.draft.at - a.draft.at)
  const own = start + crypto.getRandomValues(new Uint32Array(2)).join('')
  if (!navigator.locks) return { key: own, draft: known[0]?.draft }
  for (const each of known) {
    if (await held(each.key)) return each
  }
  await held(own)
  return { key: own }
}

export function keep(key, fields) {
  if (isOver) return
  try {
    localStorage.setItem(key, JSON.stringify({ at: Date.now(), fields }))
  } catch { /* The browser is full, or keeps nothing: what is typed still stands on the page. */ }
}

export function drop(key) {
  localStorage.removeItem(key)
}

/** What was sent by a form is dropped by the page that it led on to, unless the form is there again. */
export function finish() {
  const key = sessionStorage.getItem(SENT)
  sessionStorage.removeItem(SENT)
  const isLedOn = performance.getEntriesByType('navigation')[0]?.redirectCount > 0
  if (key && isLedOn && !document.querySelector(`draft-form[name="${key.split(':').at(-2)}"]`)) drop(key)
}

export function sending(key) {
  sessionStorage.setItem(SENT, key)
}

// Private

/** For as long as the page is open, if it is not held already. */
function held(key) {
  return new Promise((resolve) => {
    const take = (lock) => { resolve(lock !== null); return lock && new Promise(() => {}) }
    navigator.locks.request(key, { ifAvailable: true }, take)
  })
}

function keys(start) {
  return Object.keys(localStorage).filter((key) => key.startsWith(start))
}

function read(key) {
  try {
    const found = JSON.parse(localStorage.getItem(key))
    return { at: Number(found.at), fields: found.fields.map(([name, value]) => [`${name}`, `${value}`]) }
  } catch {
    return { at: 0, fields: [] }
  }
}

/** Signed out: nothing stays for who comes next. */
function forget({ target }) {
  if (target.getAttribute('action') !== '/sign-out') return
  isOver = true
  keys(OWN).forEach(drop)
}

document.addEventListener('submit', forget)
for (const key of keys(PREFIX)) {
  if (!(read(key).at > Date.now() - KEPT)) drop(key)
}
