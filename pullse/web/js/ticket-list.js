/* <ticket-list src="/tickets?…">: more rows by scrolling, and on coming back as many as there were,
   with the row in focus that one went from. `refresh` reads the list anew. */

import { load } from './http.js'
import { boxOf } from './rows.js'

const AHEAD = '800px'
const PAGES = 20

class TicketList extends HTMLElement {
  #observer = new IntersectionObserver(([{ isIntersecting }]) => isIntersecting && this.more(), { rootMargin: AHEAD })
  #isBusy = false

  // Lifecycle

  connectedCallback() {
    this.addEventListener('click', this)
    const { pages = 0, row, y } = history.state?.list ?? {}
    const [{ type } = {}] = performance.getEntriesByType('navigation')
    if (type === 'back_forward' || type === 'reload') this.#comeBack(pages, row, y)
    else this.#watch()
  }

  disconnectedCallback() {
    this.#observer.disconnect()
  }

  handleEvent(event) {
    const link = event.target.closest('.tickets__more a')
    if (link && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
      event.preventDefault()
      this.more()
    }
    const row = event.target.closest('[data-row]')
    if (row) this.#keep({ row: row.id, y: scrollY })
  }

  // Actions

  async more() {
    const last = this.querySelector('.tickets__more')
    if (!last || this.#isBusy) return false
    this.#isBusy = true
    try {
      const { nodes } = await load(`${last.querySelector('a').href}&fragment=more`)
      last.replaceWith(...nodes.children)
      this.#keep({ pages: (history.state?.list?.pages ?? 0) + 1 })
      return true
    } catch {
      return false // the link is still there
    } finally {
      this.#isBusy = false
      this.#watch()
    }
  }

  async refresh() {
    const chosen = new Set([...this.querySelectorAll('[name=ticket]:checked')].map((box) => box.closest('[data-row]').id))
    const { nodes } = await load(this.getAttribute('src'))
    const fresh = nodes.querySelector('ticket-list')
    const [body, new_] = [this, fresh].map((each) => each.querySelector('tbody'))
    if (!body || !new_) return location.assign(this.getAttribute('src'))
    body.replaceChildren(...new_.childNodes)
    for (const id of chosen) {
      const row = document.getElementById(id)
      if (row) boxOf(row).checked = true
    }
    this.#keep({ pages: 0 })
    this.dispatchEvent(new CustomEvent('refreshed', { bubbles: true }))
    this.#watch()
  }

  // Private

  async #comeBack(pages, row, y) {
    this.#keep({ pages: 0 })
    for (let page = 0; page < Math.min(pages, PAGES); page++) if (!(await this.more())) break
    if (y) scrollTo({ top: y, behavior: 'instant' })
    if (row) document.getElementById(row)?.querySelector('[data-key=o]')?.focus({ preventScroll: true })
    this.#watch()
  }

  #watch() {
    this.#observer.disconnect()
    const last = this.querySelector('.tickets__more')
    if (last) this.#observer.observe(last)
  }

  #keep(more) {
    history.replaceState({ ...history.state, list: { ...history.state?.list, ...more } }, '')
  }
}

customElements.define('ticket-list', TicketList)
