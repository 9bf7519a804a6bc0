/* <command-palette>: a button (Ctrl-K, or Command-K on a Mac), and a dialog in which a few letters find
   what the page offers and tickets, by number, by words, or as visited before: see <palette-list>. */

import { commandsOf } from './commands.js'
import { keyOf } from './keys.js'
import './palette-list.js'
import { forget, visit, visited } from './visited.js'

const HERE = ['click', 'input', 'mousedown', 'close']
const EVERYWHERE = ['keydown', 'submit']
const NUMBER = /^#?(\d{1,18})$/

class CommandPalette extends HTMLElement {
  #commands = []
  #from

  // Lifecycle

  connectedCallback() {
    this.hidden = false
    for (const type of HERE) this.addEventListener(type, this, type === 'close')
    for (const type of EVERYWHERE) document.addEventListener(type, this)
    const number = /^\/tickets\/(\d+)$/.exec(location.pathname)?.[1]
    if (number) visit(this.dataset.agent, number)
  }

  disconnectedCallback() {
    for (const type of EVERYWHERE) document.removeEventListener(type, this)
  }

  handleEvent(event) {
    const option = event.target.closest?.('[role=option]')
    if (event.type === 'submit') event.target.matches('[action="/sign-out"]') && forget()
    else if (event.type === 'keydown') this.#take(event)
    else if (event.type === 'close') this.#back()
    else if (event.type === 'input') this.#show()
    else if (event.type === 'mousedown') option && event.preventDefault()
    else if (option) this.run(option, event)
    else if (event.target.closest('[data-opens]')) this.open()
    else if (event.target === this.#dialog) this.#dialog.close()
  }

  // Actions

  open() {
    this.#commands = commandsOf()
    this.#from = document.activeElement?.id
    this.#field.value = ''
    this.#dialog.showModal()
    this.#show()
  }

  run(option, event) {
    const { href, command } = option.dataset
    this.#dialog.close()
    // Found again, for what is live may have put another element in its place meanwhile.
    if (command) commandsOf().find(({ name }) => name === command)?.run()
    else if (event.ctrlKey || event.metaKey) window.open(href)
    else location.assign(href)
  }

  // Private

  #take(event) {
    const key = event.defaultPrevented ? null : keyOf(event)
    const isHere = this.#dialog.open && event.target === this.#field
    if (key === 'Mod+k' && this.#dialog.open) this.#dialog.close()
    else if (key === 'Mod+k' && !document.querySelector(':modal')) this.open()
    else if (isHere && (key === 'ArrowDown' || key === 'ArrowUp')) this.#list.step(key === 'ArrowDown' ? 1 : -1)
    else if (isHere && (key === 'Enter' || key === 'Mod+Enter')) this.#enter(event)
    else return
    event.preventDefault()
  }

  /** Where one was may have been put there anew meanwhile. */
  #back() {
    const isLost = document.activeElement === document.body || this.contains(document.activeElement)
    if (this.#from && isLost) document.getElementById(this.#from)?.focus()
  }

  /** A number is a ticket's at once, whether the server has answered yet or not. */
  #enter(event) {
    const number = NUMBER.exec(this.#field.value.trim())?.[1]
    const option = this.#list.active
    if (number && !option?.dataset.href?.endsWith(`/${number}`)) location.assign(`/tickets/${number}`)
    else if (option) this.run(option, event)
  }

  #show() {
    this.#list.show(this.#commands, this.#field.value.trim(), visited(this.dataset.agent))
  }

  get #dialog() { return this.querySelector('dialog') }
  get #field() { return this.querySelector('[role=combobox]') }
  get #list() { return this.querySelector('palette-list') }
}

customElements.define('command-palette', CommandPalette)
