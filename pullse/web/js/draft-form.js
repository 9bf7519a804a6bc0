/* <draft-form name="new-ticket">: what is typed into the form in it survives a crash, a reload and
   the end of the session, in this browser alone; it is forgotten when it was sent (`sent`, or the
   page that a form leads on to), at the sign-out, and after 14 days. */

import { claim, drop, finish, keep, sending } from './drafts.js'
import { fieldsOf, isTouched } from './typed.js'

const PAUSE = 300

class DraftForm extends HTMLElement {
  #key
  #timer
  #isTakenOn = false

  // Lifecycle

  async connectedCallback() {
    const { key, draft } = await claim(this.getAttribute('name'))
    this.#key = key
    this.#isTakenOn = Boolean(draft)
    if (draft && this.#restore(draft.fields)) this.#announce()
    for (const name of ['input', 'change', 'sent']) this.addEventListener(name, this)
    document.addEventListener('submit', this) // after those who might send it in its place
    addEventListener('pagehide', this)
    this.#save()
  }

  disconnectedCallback() {
    clearTimeout(this.#timer)
    document.removeEventListener('submit', this)
    removeEventListener('pagehide', this)
  }

  // Actions

  handleEvent({ type, target, defaultPrevented }) {
    if (type === 'submit' && !this.contains(target)) return
    clearTimeout(this.#timer)
    if (type === 'sent') return this.#forget()
    if (type === 'input' || type === 'change') return (this.#timer = setTimeout(() => this.#save(), PAUSE))
    this.#save()
    if (type === 'submit' && !defaultPrevented) sending(this.#key)
  }

  discard() {
    this.#form.reset()
    this.#forget()
    fieldsOf(this.#form).forEach((each) => each.dispatchEvent(new Event('input', { bubbles: true })))
    fieldsOf(this.#form)[0]?.focus()
  }

  // Private

  /** A form that was refused comes again with what was typed as if it had always been there. */
  #save() {
    const fields = this.#form ? fieldsOf(this.#form).filter((each) => !isTicked(each) || each.checked) : []
    const isWorth = this.#form && (isTouched(this.#form) || (this.#isTakenOn && fields.some(({ value }) => value)))
    if (isWorth) keep(this.#key, fields.map(({ name, value }) => [name, value]))
    else drop(this.#key)
  }

  /** True if that is news. */
  #restore(kept) {
    const changed = fieldsOf(this.#form).filter((field) => {
      const index = kept.findIndex(([name, value]) => name === field.name && (!isTicked(field) || value === field.value))
      const [, value] = index < 0 ? [] : kept.splice(index, 1)[0]
      if (isTicked(field)) return field.checked !== (field.checked = index >= 0)
      return value !== undefined && field.value !== (field.value = value)
    })
    changed.forEach((each) => each.dispatchEvent(new Event('input', { bubbles: true })))
    return changed.length > 0
  }

  #announce() {
    this.prepend(document.getElementById('live-draft').content.cloneNode(true))
    this.querySelector('.draft button').addEventListener('click', () => this.discard())
  }

  #forget() {
    clearTimeout(this.#timer)
    this.#isTakenOn = false
    this.querySelector('.draft')?.remove()
    drop(this.#key)
  }

  get #form() { return this.querySelector('form') }
}

function isTicked(field) {
  return field.type === 'checkbox' || field.type === 'radio'
}

customElements.define('draft-form', DraftForm)
finish()
