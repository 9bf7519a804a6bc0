/* What elements share to talk with the server: forms are sent as a browser would send them, and
   HTML of ours becomes nodes. The one place that makes trusted HTML, of answers from here alone.
   Who is signed out meanwhile signs in again, and it goes on; only reading is tried again by itself. */

import { signInAgain } from './session.js'
import { word } from './words.js'

const policy = globalThis.trustedTypes?.createPolicy('pullse', { createHTML: (html) => html })

const TRIES = 3
const PATIENCE = 5
/* Seconds to wait where the server asks for it; for longer, the person is told. */

/** `status` is 0 where nobody answered; then `nodes` is empty, and a change may have come or not. */
export class Refused extends Error {
  constructor(response, nodes) {
    super(`${response?.status ?? 0}`)
    this.status = response?.status ?? 0
    this.nodes = nodes
  }

  /** What went wrong, for people. */
  get sentence() {
    const told = this.nodes?.querySelector('[role=alert], main h1 + p')?.textContent.trim()
    return told || word({ 0: 'offline', 429: 'busy', 503: 'busy' }[this.status] ?? 'failed')
  }
}

/** The nodes of a page or a fragment of ours. Throws `Refused` for a refusal (with its page). */
export async function load(path, options = {}) {
  const response = await ask(path, { ...options, headers: { Accept: 'text/html', ...options.headers } })
  const found = nodes(await response.text())
  if (!response.ok) throw new Refused(response, found)
  return { response, nodes: found }
}

/** Send a form as it would send itself, with what its button adds. */
export function send(form, submitter) {
  const body = new URLSearchParams(new FormData(form, submitter))
  const path = submitter?.hasAttribute('formaction') ? submitter.formAction : form.action
  return load(path, { method: 'POST', body })
}

async function ask(path, options) {
  const isReading = (options.method ?? 'GET') === 'GET'
  for (let count = 1; ; count++) {
    const response = await fetch(path, options).catch((error) => failed(error))
    const isLast = count >= TRIES || options.signal?.aborted
    if (response && isSignedOut(response)) {
      if (isLast || !(await signInAgain())) throw new Refused({ status: 401 })
    } else if (isLast || !(await isWorthAgain(response, isReading, count))) {
      if (!response) throw new Refused()
      return response
    }
  }
}

/** Nobody answered, unless it was we who gave up. */
function failed(error) {
  if (error.name === 'AbortError') throw error
  return null
}

/** Who asks for a page is led to /sign-in; a page with 401 is of a form with a wrong password. */
function isSignedOut({ status, redirected, url, headers }) {
  if (redirected && new URL(url).pathname === '/sign-in') return true
  return status === 401 && headers.get('Content-Type') === 'application/json'
}

/** Reading is; a change only where it was turned away before anybody looked at it. */
async function isWorthAgain(response, isReading, count) {
  const isBusy = response?.status === 429 || (isReading && response?.status === 503)
  const seconds = isBusy ? Number(response.headers.get('Retry-After') ?? 1) : count / 2
  if (!(isBusy || (isReading && !response)) || seconds > PATIENCE) return false
  await new Promise((resolve) => setTimeout(resolve, seconds * 1000))
  return true
}

function nodes(html) {
  const template = document.createElement('template')
  template.innerHTML = policy ? policy.createHTML(html) : html
  return template.content
}
