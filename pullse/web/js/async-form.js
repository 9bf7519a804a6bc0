/* <async-form replaces="id …">: the form in it is sent without leaving the page. Of the answer, the
   elements with these ids take the places of those that are here (by default its own form), also
   when it is a refusal that shows the form again. Before that, `sent` or `refused` bubbles from it.
   Where nobody answers, all stays as it is and a toast says so. */

import { Refused, send } from './http.js'

class AsyncForm extends HTMLElement {
  // Lifecycle

  connectedCallback() {
    this.addEventListener('submit', this)
  }

  disconnectedCallback() {
    this.removeEventListener('submit', this)
  }

  // Actions

  async handleEvent(event) {
    if (event.defaultPrevented) return
    event.preventDefault()
    if (this.ariaBusy === 'true') return
    const { target: form, submitter } = event
    this.ariaBusy = 'true'
    try {
      const { response, nodes } = await send(form, submitter)
      tell(form, 'sent', { response, nodes })
      this.#replace(nodes)
    } catch (error) {
      if (!(error instanceof Refused)) throw error
      this.#refused(form, error)
    } finally {
      this.ariaBusy = null
    }
  }

  // Private

  #refused(form, error) {
    tell(form, 'refused', error)
    const isShown = error.nodes && this.#replace(error.nodes)
    if (!isShown) document.dispatchEvent(new CustomEvent('toast', { detail: { text: error.sentence, kind: 'wrong' } }))
    document.querySelector('main [aria-invalid=true]')?.focus()
  }

  /** True if at least one was there. */
  #replace(nodes) {
    const ids = (this.getAttribute('replaces') ?? this.querySelector('form')?.id ?? '').split(' ').filter(Boolean)
    const focused = document.activeElement?.id
    let count = 0
    for (const id of ids) {
      const [there, found] = [document.getElementById(id), nodes.querySelector(`#${CSS.escape(id)}`)]
      if (!there || !found) continue
      there.replaceWith(found)
      count++
    }
    if (focused && document.activeElement === document.body) document.getElementById(focused)?.focus()
    return count > 0
  }
}

/** Of the form, while it is still here. */
function tell(form, name, detail) {
  form.dispatchEvent(new CustomEvent(name, { detail, bubbles: true }))
}

customElements.define('async-form', AsyncForm)
