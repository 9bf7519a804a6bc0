/* A text and what it will look like, on two tabs. Without this, the form's own button for it shows
   the page with a preview; with it, that button has nothing left to do. */

import { Refused, load } from './http.js'

customElements.define('markdown-editor', class extends HTMLElement {
  #asked = 0

  // Lifecycle

  connectedCallback() {
    this.addEventListener('click', this)
    this.addEventListener('keydown', this)
    this.addEventListener('invalid', this, true)
    this.#tablist.hidden = false
    this.#button?.toggleAttribute('hidden', true)
  }

  handleEvent(event) {
    const tab = event.target.closest('[role="tab"]')
    if (tab || event.type === 'invalid') this[event.type](event, tab)
  }

  // Actions

  click(event, tab) {
    this.#choose(tab)
  }

  keydown(event) {
    const step = { ArrowLeft: -1, ArrowRight: 1, Home: -1, End: 1 }[event.key]
    if (!step) return
    event.preventDefault()
    const tab = this.#tabs.at(step < 0 ? 0 : 1)
    this.#choose(tab)
    tab.focus()
  }

  /** What the browser complains of has to be seen. */
  invalid() {
    this.#choose(this.#tabs[0])
  }

  // Private

  #choose(tab) {
    const isPreview = tab === this.#tabs[1]
    for (const each of this.#tabs) {
      each.setAttribute('aria-selected', each === tab)
      each.tabIndex = each === tab ? 0 : -1
    }
    this.#written.hidden = isPreview
    this.#shown.hidden = !isPreview
    if (isPreview) this.#show()
  }

  async #show() {
    const asked = ++this.#asked
    const text = this.querySelector('textarea').value
    this.#shown.setAttribute('aria-busy', 'true')
    const shown = text.trim() ? await this.#rendered(text) : this.dataset.empty
    if (asked !== this.#asked) return
    this.#shown.replaceChildren(shown)
    this.#shown.removeAttribute('aria-busy')
  }

  async #rendered(text) {
    try {
      const { nodes } = await load(this.dataset.preview, { method: 'POST', body: new URLSearchParams({ text }) })
      return nodes
    } catch (error) {
      if (error instanceof Refused || error instanceof TypeError) return this.dataset.failed
      throw error
    }
  }

  get #tablist() {
    return this.querySelector('[role="tablist"]')
  }

  get #tabs() {
    return [...this.querySelectorAll('[role="tab"]')]
  }

  get #written() {
    return this.querySelector('[data-written]')
  }

  get #shown() {
    return this.querySelector('[data-shown]')
  }

  get #button() {
    return this.closest('form')?.querySelector('button[name="do"][value="preview"]')
  }
})
