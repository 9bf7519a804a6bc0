/* <ticket-page data-ticket data-actor>: stays as the ticket is now. Facts say that it changed; what
   it is now is read from the server. Who is writing is told what others did, and keeps their text. */

import { isOpen, partsAt, put, tellNews } from './ticket-parts.js'

class TicketPage extends HTMLElement {
  #isReading = false
  #isLate = false

  // Lifecycle

  connectedCallback() {
    document.addEventListener('fact', this)
    document.addEventListener('caught-up', this)
    this.addEventListener('focusout', this)
  }

  disconnectedCallback() {
    document.removeEventListener('fact', this)
    document.removeEventListener('caught-up', this)
  }

  // Actions

  handleEvent({ type, detail, target }) {
    if (type === 'fact' && !this.#isNews(detail)) return
    if (type === 'focusout' && !target.matches('#ticket-properties select')) return
    this.#refresh()
  }

  // Private

  #isNews({ ticket_id: ticket, data }) {
    return ticket === this.dataset.ticket && data.version !== this.#version
  }

  /** Facts come in swarms: one reading at a time, and one more for those that came meanwhile. */
  async #refresh() {
    this.#isLate = true
    if (this.#isReading) return
    this.#isReading = true
    try {
      while (this.#isLate) {
        this.#isLate = false
        this.#show(await partsAt(location.href))
      }
    } catch (error) {
      if (error.status === 404 && !isOpen('ticket-text')) location.reload()
    } finally {
      this.#isReading = false
    }
  }

  #show(nodes) {
    tellNews(nodes, this.dataset.actor)
    put(nodes, ['ticket-text', 'ticket-conflict'].filter(isOpen))
  }

  get #version() {
    return Number(this.querySelector('#ticket-head').dataset.version)
  }
}

customElements.define('ticket-page', TicketPage)
