/* <ticket-presence channel="ticket:…">: who else looks at this ticket, or writes. What this page
   says of its own is by the focus: in a field of the ticket, or within [data-presence="properties"],
   somebody edits that. Who has left the page behind other tabs is not here. */

import { load } from './http.js'
import { PresenceChannel } from './presence-channel.js'
import { linesOf } from './presence-lines.js'

const BEHIND = 30_000
const FIELDS = ['title', 'description']

class TicketPresence extends HTMLElement {
  static observedAttributes = ['channel']

  #channel = null
  #events
  #timer
  #turn = 0
  #state = {}

  // Lifecycle

  connectedCallback() {
    this.#events = new AbortController()
    const options = { signal: this.#events.signal }
    for (const name of ['focusin', 'focusout']) document.addEventListener(name, () => setTimeout(() => this.#notice()), options)
    document.addEventListener('visibilitychange', () => this.#look(), options)
    document.addEventListener('feed', ({ detail }) => detail.state === 'live' && this.#channel?.retry(), options)
    document.addEventListener('fact', ({ detail }) => this.#follow(detail), options)
    addEventListener('pagehide', () => this.#leave(), options)
    addEventListener('pageshow', () => this.#look(), options)
    this.#look()
  }

  disconnectedCallback() {
    this.#events.abort()
    this.#leave()
  }

  attributeChangedCallback(_name, before, after) {
    if (this.#channel && before !== after) this.again()
  }

  // Actions

  again() {
    this.#leave()
    this.#look()
  }

  // Private
  #look() {
    clearTimeout(this.#timer)
    if (document.hidden) this.#timer = setTimeout(() => this.#leave(), BEHIND)
    else if (!this.#channel) this.#join()
  }

  #join() {
    this.#state = here()
    this.#channel = new PresenceChannel(this.getAttribute('channel'), this.#state, (members) => this.#show(members))
    this.#channel.open()
  }

  #leave() {
    clearTimeout(this.#timer)
    this.#channel?.close()
    this.#channel = null
    this.#show([])
  }

  /** A ticket that moves between what is private and what is not has another channel. */
  async #follow({ ticket_id: id, data }) {
    if (!this.getAttribute('channel').endsWith(`:${id}`) || !data.changes?.team_id) return
    const page = await load(location.pathname).catch(() => null)
    const now = page?.nodes.querySelector('ticket-presence')?.getAttribute('channel')
    if (now) this.setAttribute('channel', now)
  }

  #notice() {
    const state = here()
    if (state.field === this.#state.field) return
    this.#state = state
    this.#channel?.say(state)
  }

  async #show(members) {
    const turn = ++this.#turn
    const lines = await linesOf(members)
    if (turn === this.#turn) this.replaceChildren(...lines)
  }
}

function here() {
  const focused = document.activeElement
  const name = FIELDS.includes(focused?.name) && focused.closest('ticket-page') ? focused.name : null
  const field = focused?.closest('[data-presence]')?.dataset.presence ?? name
  return field ? { state: 'editing', field } : { state: 'viewing' }
}

customElements.define('ticket-presence', TicketPresence)
