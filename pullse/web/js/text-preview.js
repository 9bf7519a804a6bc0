/* <text-preview>: how what is written will read, shown beside it. The form in it has a button
   `do=preview`, which without a script leads to the same page with the preview (#preview). */

import { Refused, send } from './http.js'

class TextPreview extends HTMLElement {
  // Lifecycle

  connectedCallback() {
    this.addEventListener('click', this)
  }

  // Actions

  async handleEvent(event) {
    const button = event.target.closest('button[name=do][value=preview]')
    if (!button) return
    event.preventDefault()
    try {
      this.#show((await send(button.form, button)).nodes)
    } catch (error) {
      if (!(error instanceof Refused)) throw error
      this.#show(error.nodes)
      document.dispatchEvent(new CustomEvent('toast', { detail: { text: error.sentence, kind: 'wrong' } }))
    }
  }

  // Private

  #show(nodes) {
    const found = nodes?.querySelector('#preview')
    if (!found) return
    this.querySelector('#preview').replaceWith(found)
    found.focus()
    found.scrollIntoView({ block: 'nearest' })
  }
}

customElements.define('text-preview', TextPreview)
