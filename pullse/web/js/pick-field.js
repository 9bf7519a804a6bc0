/* <pick-field>: a status, a priority or an assignee in a row opens the choice of them beside it;
   what is chosen is shown and sent, of the ticket as it was then. Without this a row becomes a form. */

import { place, step } from './beside.js'
import { load } from './http.js'

const PATIENCE = 150

class PickField extends HTMLElement {
  #row
  #name
  #version
  #timer

  // Lifecycle

  connectedCallback() {
    this.closest('ticket-list').addEventListener('click', this)
    for (const type of ['submit', 'keydown', 'input']) this.addEventListener(type, this)
  }

  handleEvent(event) {
    this[event.type](event)
  }

  // Actions

  click(event) {
    const link = event.target.closest('[data-sets]')
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return
    event.preventDefault()
    this.#open(link)
  }

  /** Before change-rows sends it, which hears of it later. */
  submit({ target: form, submitter }) {
    this.#set(form, 'ticket', `${this.#row.dataset.ticket}.${this.#version}`)
    this.#cell.replaceChildren(...[...submitter.childNodes].map((node) => node.cloneNode(true)))
    this.#row.setAttribute('aria-busy', 'true')
    form.hidePopover()
    this.#cell.focus({ preventScroll: true })
  }

  keydown(event) {
    event.stopPropagation()
    step(event, [...event.target.closest('form').querySelectorAll('button')])
  }

  input({ target }) {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => this.#fill(target), PATIENCE)
  }

  // Private

  async #open(link) {
    this.#row = link.closest('[data-row]')
    ;[this.#name, this.#version] = [link.dataset.sets, this.#row.dataset.version]
    const form = document.getElementById(`pick-${this.#name}`)
    const typed = form.querySelector('[type=search]')
    form.showPopover()
    place(form, link)
    if (!typed) return this.#enter(form)
    typed.value = ''
    typed.focus()
    await this.#fill(typed)
    place(form, link)
  }

  async #fill(typed) {
    const address = new URL(typed.dataset.src, location.href)
    const { team } = this.#row.dataset
    if (team) address.searchParams.set('team_id', team)
    if (typed.value) address.searchParams.set('q', typed.value)
    const { nodes } = await load(address)
    typed.form.querySelector('.tickets__choices').replaceChildren(...nodes.childNodes)
    this.#enter(typed.form, false)
  }

  #enter(form, isToFocus = true) {
    for (const button of form.querySelectorAll('button')) {
      const isNow = button.value === this.#cell.dataset.value
      if (isNow) button.setAttribute('aria-current', 'true')
      else button.removeAttribute('aria-current')
      if (isNow && isToFocus) button.focus()
    }
  }

  /** As it is now: while the choice is open, news may put another one there. */
  get #cell() {
    return this.#row.querySelector(`[data-sets=${this.#name}]`)
  }

  #set(form, name, value) {
    const field = form.elements[name] ?? form.appendChild(Object.assign(document.createElement('input'), { type: 'hidden', name }))
    field.value = value
  }
}

customElements.define('pick-field', PickField)
