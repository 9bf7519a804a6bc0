/* <ticket-forms>: the forms and links in it that change a ticket, without leaving the page. The
   answer is the page as it is then; its parts take their places, but not that of another form in
   which somebody writes. What is done is told in a toast, which takes it back. */

import { Refused, send } from './http.js'
import { isOpen, partsAt, put } from './ticket-parts.js'

const PAUSE = 700 // who walks through choices by keyboard has not chosen yet

class TicketForms extends HTMLElement {
  #keyed = -Infinity
  #timer

  // Lifecycle

  connectedCallback() {
    for (const name of ['click', 'change', 'keydown', 'focusout', 'submit']) this.addEventListener(name, this)
  }

  disconnectedCallback() {
    clearTimeout(this.#timer)
  }

  // Actions

  handleEvent(event) {
    const { type, target, key, timeStamp } = event
    if (type === 'keydown') return (this.#keyed = key === 'Enter' ? -Infinity : timeStamp)
    if (type === 'change') return this.#change(target, timeStamp)
    this.#send(type === 'submit' && target)
    const link = type === 'click' && target.closest('a[data-edit], a[data-cancel]')
    if ((!link && type !== 'submit') || event.ctrlKey || event.metaKey || event.shiftKey) return
    event.preventDefault()
    if (link) this.#open(link)
    else this.#submit(target, event.submitter)
  }

  // Private

  #change(field, now) {
    if (field.dataset.means) document.getElementById(field.dataset.means).checked = true
    if (!field.form?.matches('[data-at-once]')) return
    clearTimeout(this.#timer)
    field.form.toggleAttribute('data-editing', true)
    this.#timer = setTimeout(() => this.#send(), now - this.#keyed < PAUSE ? PAUSE : 0)
  }

  /** What was chosen and waits goes before anything else that is done, and after what is under way. */
  #send(sent) {
    clearTimeout(this.#timer)
    const form = this.querySelector('[data-at-once][data-editing]')
    if (!form || form.ariaBusy) return
    form.removeAttribute('data-editing')
    if (form !== sent) form.requestSubmit()
  }

  /** The text becomes a form, or is text again. */
  async #open(link) {
    put(await partsAt(link.href))
    this.querySelector(link.matches('[data-edit]') ? '#description' : '#edit-text')?.focus()
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
      else toast({ text: error.sentence, kind: 'wrong' })
    } finally {
      form.ariaBusy = null
      this.#send()
    }
  }

  #show(nodes, form) {
    put(nodes, ['ticket-text', 'ticket-conflict'].filter((id) => isOpen(id) && !document.getElementById(id).contains(form)), true)
    const edit = document.activeElement === document.body ? ', #edit-text' : ''
    this.querySelector(`[aria-invalid], #conflict${edit}`)?.focus()
  }

  #tell() {
    const notice = this.querySelector('#ticket-head > .notice[role=status]')
    const undo = this.querySelector('button[data-key=u]')
    const run = () => this.#submit(undo.form, undo) // also when facts have put a newer one there
    if (notice) toast({ text: notice.textContent.trim(), action: undo && { label: undo.textContent.trim(), run } })
    notice?.remove()
  }
}

const toast = (detail) => document.dispatchEvent(new CustomEvent('toast', { detail }))

customElements.define('ticket-forms', TicketForms)
