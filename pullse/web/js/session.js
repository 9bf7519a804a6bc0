/* Signing in again, for whatever needs it: who asks waits until it is done, or until the person
   would rather not. All tabs of a browser hear of it. */

import { agent, here } from './here.js'

const tabs = new BroadcastChannel('pullse:session')

/** `signed-in` on document, here and in all other tabs. */
export function tellSignedIn() {
  document.dispatchEvent(new CustomEvent('signed-in'))
  tabs.postMessage({ agent })
}

/** `done()` whenever another tab finds itself signed in, as whoever that is. */
export function onSignIn(done) {
  tabs.addEventListener('message', () => done())
}

/** True when the same person is signed in again, or is already; false if it was put off. */
export async function signInAgain() {
  if (!document.querySelector('sign-in-again')) return false
  const found = await here()
  if (found?.agent === agent) return true
  return new Promise((resolve) => {
    const once = new AbortController()
    const settle = (isDone) => { once.abort(); resolve(isDone) }
    document.addEventListener('signed-in', () => settle(true), { signal: once.signal })
    document.addEventListener('sign-in-put-off', () => settle(false), { signal: once.signal })
    document.dispatchEvent(new CustomEvent('sign-in-needed'))
  })
}

tabs.postMessage({ agent })
