/* <ticket-forms>: the forms and links in it that change a ticket, without leaving the page. The
   answer is the page as it is then; its parts take their places, but not that of another form in
   which somebody writes. What is done is told in a toast, which takes it back. */

import { Refused, send } from './http.js'
import { isOpen, partsAt, put } from './ticket-parts.js'

const PAUSE = 700
/* Who walks through choices by keyboard has not chosen yet. */

class TicketForms extends HTMLElement {
  #keyed = 0
  #timer

  // Lifecycle

  connectedCallback() {
    for (const name of ['click', 'change', 'keydown', 'submit']) this.addEventListener(name, this)
  }

  disconnectedCallback() {
    clearTimeout(this.#timer)
  }

  // Actions

  handleEvent(event) {
    const { type, target, key, timeStamp } = event
    if (type === 'keydown') this.#keyed = key === 'Enter' ? 0 : timeStamp
    if (type === 'change') this.#change(target, timeStamp)
    if (type === 'submit') {
      event.preventDefault()
      this.#submit(target, event.submitter)
    }
    const link = type === 'click' && target.closest('a[data-edit], a[data-cancel]')
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return
    event.preventDefault()
    this.#open(link)
  }

  // Private

  #change(field, now) {
    if (field.dataset.means) document.getElementById(field.dataset.means).checked = true
    if (!field.form?.matches('[data-at-once]')) return
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => field.form?.requestSubmit(), now - this.#keyed < PAUSE ? PAUSE : 0)
  }

  /** The text becomes a form, or is text again. */
  async #open(link) {
    const isEdit = link.matches('[data-edit]')
    put(await partsAt(link.href))
    this.querySelector(isEdit ? '#description' : '#edit-text')?.focus()
  }

  async #submit(form, submitter) {
    if (form.ariaBusy === 'true') return
    form.ariaBusy = 'true'
    try {
      const { response, nodes } = await send(form, submitter)
      const isDone = response.redirected
      if (isDone && !nodes.querySelector('#ticket-head')) return location.assign(response.url)
      if (isDone) form.dispatchEvent(new CustomEvent('sent', { bubbles: true }))
      this.#show(nodes, form)
      if (isDone) this.#tell()
    } catch (error) {
      if (!(error instanceof Refused)) throw error
      if (error.nodes?.querySelector('#ticket-head')) this.#show(error.nodes, form)
      else this.#toast({ text: error.sentence, kind: 'wrong' })
    } finally {
      form.ariaBusy = null
    }
  }

  #show(nodes, form) {
    put(nodes, ['ticket-text', 'ticket-conflict'].filter((id) => isOpen(id) && !document.getElementById(id).contains(form)), true)
    const isLost = document.activeElement === document.body
    this.querySelector(isLost ? '[aria-invalid], #conflict, #edit-text' : '[aria-invalid], #conflict')?.focus()
  }

  #tell() {
    const notice = this.querySelector('#ticket-head > .notice[role=status]')
    const undo = this.querySelector('button[data-key=u]')
    // by then the button may not be on the page any more: facts put a newer one there
    const run = () => this.#submit(undo.form, undo)
    if (notice) this.#toast({ text: notice.textContent.trim(), action: undo && { label: undo.textContent.trim(), run } })
    notice?.remove()
  }

  #toast(detail) {
    document.dispatchEvent(new CustomEvent('toast', { detail }))
  }
}

customElements.define('ticket-forms', TicketForms)
