/* <change-rows>: what the forms of a list do to tickets is done in place. What was done is said by
   a toast, from which it is taken back, or by the key u; rows are read anew, whatever came of it.
   What was pressed goes away with the toast or the bar: one is in the list again, where one was. */

import { send } from './http.js'
import { enterRow, lastRow } from './last-row.js'
import { rowOf } from './rows.js'

const PATHS = ['/tickets/bulk', '/tickets/undo']

class ChangeRows extends HTMLElement {
  #ids = []

  // Lifecycle

  connectedCallback() {
    this.#list.addEventListener('submit', this)
  }

  disconnectedCallback() {
    this.#list.removeEventListener('submit', this)
  }

  handleEvent(event) {
    const form = event.target
    if (!PATHS.includes(new URL(form.action).pathname)) return
    event.preventDefault()
    this.#send(form, event.submitter)
  }

  // Actions

  async #send(form, button) {
    const isUndo = form.action.endsWith(PATHS[1])
    const ids = isUndo ? this.#ids : this.#named(form)
    form.toggleAttribute('aria-busy', true)
    try {
      const { nodes } = await send(withPiece(form), button)
      this.#ids = ids
      this.#told(nodes.querySelector('.told'))
      if (form.id === 'bulk') this.#leave(form)
    } catch (error) {
      toast({ text: error.sentence ?? String(error), kind: 'wrong' })
    } finally {
      form.removeAttribute('aria-busy')
      this.#list.dispatchEvent(new CustomEvent('reread', { detail: ids }))
      this.#comeBack(ids)
    }
  }

  // Private

  /** The button stays for the key, and for the list of commands; the toast is what is seen. */
  #told(form) {
    const text = form.querySelector('.told__text').textContent
    const undo = form.querySelector('button')
    form.querySelector('.told__text').removeAttribute('role')
    form.className = 'unseen'
    document.getElementById('told').replaceChildren(form)
    if (undo) undo.tabIndex = -1
    const action = undo && { label: undo.textContent.trim(), run: () => form.isConnected && form.requestSubmit(undo) }
    toast({ text, action, kind: form.dataset.kind === 'done' ? 'done' : 'wrong' })
  }

  #leave(form) {
    form.reset()
    if (form.contains(document.activeElement)) document.activeElement.blur()
  }

  #comeBack(ids) {
    const row = lastRow() ?? rowOf(this.#list, ids[0] ?? '')
    if (row && document.activeElement === document.body) enterRow(row)
  }

  #named(form) {
    const values = new FormData(form).getAll('ticket')
    return values.map((value) => value.split('.')[0]).filter((id) => rowOf(this.#list, id))
  }

  get #list() {
    return this.closest('ticket-list')
  }
}

/** The answer is to say what was done, and nothing else. */
function withPiece(form) {
  if (!form.elements.fragment) {
    const field = Object.assign(document.createElement('input'), { type: 'hidden', name: 'fragment', value: 'told' })
    form.append(field)
  }
  return form
}

const toast = (detail) => document.dispatchEvent(new CustomEvent('toast', { detail }))

customElements.define('change-rows', ChangeRows)
