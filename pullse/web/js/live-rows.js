/* <live-rows>: rows that are shown become what they are now, in their places. What newly belongs on
   the list is offered by a quiet button; what belongs no longer stays, dimmed, until then. However
   much happens, it asks for one piece at a time, rests four times as long as the piece took, and
   does not ask while nobody looks. */

import { Newcomers } from './newcomers.js'
import { mark, read, renew, rowOf } from './rows.js'

const REST = 100
const RESTS = 4
const AGAIN = 4000
const MOST = 200
const TOLD = ['fact', 'caught-up', 'visibilitychange']

class LiveRows extends HTMLElement {
  #changed = new Set()
  #new
  #isBusy = false
  #next = 0
  #timer

  // Lifecycle

  connectedCallback() {
    const button = this.querySelector('button')
    this.#new = new Newcomers(button, this.dataset.text)
    button.addEventListener('click', () => this.#list.refresh())
    for (const type of TOLD) document.addEventListener(type, this)
    this.#list.addEventListener('reread', this)
    this.#list.addEventListener('refreshed', this)
  }

  disconnectedCallback() {
    clearTimeout(this.#timer)
    for (const type of TOLD) document.removeEventListener(type, this)
  }

  handleEvent({ type, detail }) {
    if (type === 'fact') this.#take(detail)
    if (type === 'caught-up') this.#list.querySelectorAll('[data-row]').forEach((row) => this.#changed.add(row.dataset.ticket))
    if (type === 'reread') detail.forEach((id) => this.#changed.add(id))
    if (type === 'refreshed') this.#new.clear()
    this.#soon()
  }

  // Actions

  async refresh() {
    this.#timer = undefined
    this.#isBusy = true
    const started = Date.now()
    const ids = [...this.#changed].slice(0, MOST)
    ids.forEach((id) => this.#changed.delete(id))
    try {
      const found = await read(this.#list, ids)
      for (const id of ids) this.#show(id, found.get(id))
      this.#new.say()
      this.#next = Date.now() + Math.max(REST, RESTS * (Date.now() - started))
    } catch {
      ids.forEach((id) => this.#changed.add(id))
      this.#next = Date.now() + AGAIN
    } finally {
      this.#isBusy = false
      this.#soon()
    }
  }

  // Private

  #take({ ticket_id: id, data }) {
    if (!id) return
    const row = rowOf(this.#list, id)
    if (row && Number(row.dataset.version) >= data?.version && !row.hasAttribute('aria-busy')) return
    if (row || this.#changed.size < MOST) this.#changed.add(id)
    else this.#new.more()
  }

  #show(id, fresh) {
    const row = rowOf(this.#list, id)
    if (row) fresh ? renew(row, fresh) : mark(row)
    if (!row && fresh && !fresh.hasAttribute('data-off')) this.#new.add(id)
    else this.#new.delete(id)
  }

  #soon() {
    if (this.#isBusy || document.hidden || !this.#changed.size) return
    const rest = this.#next - Date.now()
    if (rest <= 0 && this.#timer === undefined) this.refresh()
    else this.#timer ??= setTimeout(() => this.refresh(), Math.max(rest, 0))
  }

  get #list() {
    return this.closest('ticket-list')
  }
}

customElements.define('live-rows', LiveRows)
