/* <find-agent>: a field for an agent's address or name offers those who fit what is typed. */

import { load } from './http.js'

const PATIENCE = 150

customElements.define('find-agent', class extends HTMLElement {
  #timer

  // Lifecycle

  connectedCallback() {
    this.addEventListener('input', this)
  }

  // Actions

  handleEvent({ target }) {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => this.#fill(target), PATIENCE)
  }

  // Private

  async #fill(field) {
    const { nodes } = await load(`/tickets?${new URLSearchParams({ fragment: 'people', q: field.value })}`)
    const found = [...nodes.querySelectorAll('[data-email]')]
    field.list.replaceChildren(...found.map((each) => new Option(each.textContent.trim(), each.dataset.email)))
  }
})
