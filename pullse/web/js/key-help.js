/* <key-help>: a button, and the dialog with all keys of this page as its markup has them at that
   moment. There single keys are switched off and on, for good on this device. */

import { all, caps, nameOf, single } from './keys.js'

class KeyHelp extends HTMLElement {
  // Lifecycle

  connectedCallback() {
    this.hidden = false
    this.addEventListener('click', this)
    this.addEventListener('change', this)
  }

  disconnectedCallback() {
    this.removeEventListener('click', this)
    this.removeEventListener('change', this)
  }

  handleEvent(event) {
    if (event.type === 'change') single.areOn = this.#switch.checked
    else if (event.target.closest('[data-opens]')) this.open()
    else if (event.target === this.#dialog) this.#dialog.close()
  }

  // Actions

  open() {
    this.#switch.checked = single.areOn
    this.#fill('page', all('main [data-key]'))
    this.#fill('frame', all('[data-key]').filter((node) => !node.closest('main, dialog')))
    for (const node of this.querySelectorAll('[data-where]')) node.hidden = !document.querySelector(node.dataset.where)
    for (const group of this.querySelectorAll('section')) group.hidden = !group.querySelector('dl > div:not([hidden])')
    this.#dialog.showModal()
  }

  // Private

  #fill(name, nodes) {
    const list = this.querySelector(`[data-group="${name}"]`)
    const known = [...list.querySelectorAll('[data-fixed]')]
    const taken = new Set(known.map((node) => node.dataset.fixed))
    const found = new Map()
    for (const node of nodes) {
      const key = node.dataset.key
      if (!taken.has(key) && !found.has(key)) found.set(key, this.#entry(key, nameOf(node)))
    }
    list.replaceChildren(...found.values(), ...known)
  }

  #entry(key, name) {
    const entry = document.createElement('div')
    const [term, keys] = [document.createElement('dt'), document.createElement('dd')]
    term.textContent = name
    keys.append(caps(key))
    entry.append(term, keys)
    return entry
  }

  get #dialog() {
    return this.querySelector('dialog')
  }

  get #switch() {
    return this.querySelector('[name=single-keys]')
  }
}

customElements.define('key-help', KeyHelp)
