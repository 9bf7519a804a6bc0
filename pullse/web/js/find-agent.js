/* <find-agent data-team>: a field for an agent's address or name offers those who fit what is typed,
   and may see tickets of that team. */

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
    const asked = { fragment: 'people', q: field.value, team_id: this.dataset.team ?? '' }
    const { nodes } = await load(`/tickets?${new URLSearchParams(asked)}`)
    const found = [...nodes.querySelectorAll('[data-email]')]
    field.list.replaceChildren(...found.map((each) => new Option(each.textContent.trim(), each.dataset.email)))
  }
})
