/* <palette-list find="address">: the options of the palette in their groups, and which of them is
   the active one. The server searches as the list does; an answer that comes too late is dropped. */

import { fitting, has } from './commands.js'
import { pieces } from './fuzzy.js'
import { load } from './http.js'
import { caps } from './keys.js'

const PAUSE = 120

class PaletteList extends HTMLElement {
  #search
  #timer
  #isMoved = false

  // Lifecycle

  disconnectedCallback() {
    clearTimeout(this.#timer)
    this.#search?.abort()
  }

  // Actions

  show(commands, typed, visited) {
    const found = fitting(commands, typed)
    for (const kind of ['do', 'go']) this.#group(kind).replaceChildren(...found.filter((each) => each.kind === kind).map((each) => this.#option(each)))
    const more = this.querySelector('[data-more]')
    more.dataset.href = `/tickets?${new URLSearchParams({ q: typed })}`
    more.hidden = !typed
    more.querySelector('b').textContent = typed
    clearTimeout(this.#timer)
    this.#search?.abort()
    const asked = typed ? { q: typed } : visited.length ? { visited: visited.join() } : null
    if (asked) this.#timer = setTimeout(() => this.#ask(asked), typed ? PAUSE : 0)
    // Of the tickets of the last answer those that fit stay until the next, so that Enter opens no other.
    for (const each of [...this.#group('tickets').children]) if (!has(each, typed)) each.remove()
    this.#isMoved = false
    this.#activate(this.#options[0])
  }

  step(by) {
    this.#isMoved = true
    const options = this.#options
    const at = options.indexOf(this.active) + by
    this.#activate(options.at(at % options.length))
  }

  get active() {
    return this.querySelector('[role=option][aria-selected=true]')
  }

  // Private

  async #ask(asked) {
    const { signal } = (this.#search = new AbortController())
    const answer = await load(`${this.getAttribute('find')}&${new URLSearchParams(asked)}`, { signal }).catch(() => null)
    if (signal.aborted) return
    this.#group('tickets').replaceChildren(...(answer?.nodes.querySelectorAll('[role=option]') ?? []))
    const stays = this.active && (this.#isMoved || !this.active.matches('[data-more]'))
    this.#activate(stays ? this.active : this.#options[0])
  }

  #option({ name, fit, key }) {
    const option = document.createElement('li')
    const text = document.createElement('span')
    Object.assign(option, { className: 'palette__option', role: 'option', id: `palette-${name.replace(/\s/g, '-')}` })
    text.className = 'palette__text'
    for (const piece of pieces(name, fit.at)) {
      const part = document.createElement(piece.isTyped ? 'mark' : 'span')
      part.textContent = piece.text
      text.append(part)
    }
    option.append(text, caps(key))
    option.dataset.command = name
    return option
  }

  #activate(option) {
    for (const each of this.querySelectorAll('[role=option]')) each.ariaSelected = each === option ? 'true' : 'false'
    for (const group of this.querySelectorAll('[role=group]')) group.hidden = !group.querySelector('[role=option]')
    const field = this.closest('dialog').querySelector('[role=combobox]')
    if (option) field.setAttribute('aria-activedescendant', option.id)
    else field.removeAttribute('aria-activedescendant')
    option?.scrollIntoView({ block: 'nearest' })
  }

  #group = (kind) => this.querySelector(`[data-group="${kind}"]`)

  get #options() {
    return [...this.querySelectorAll('[role=option]:not([hidden])')]
  }
}

customElements.define('palette-list', PaletteList)
