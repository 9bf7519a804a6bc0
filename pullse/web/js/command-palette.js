/* <command-palette>: a button (Ctrl-K, or Command-K on a Mac), and a dialog in which a few letters
   find what the page offers (commands.js) and tickets, by number, by words, or as visited before.
   What is found stands in <palette-list>. */

import { commandsOf } from './commands.js'
import { keyOf } from './keys.js'
import './palette-list.js'
import { forget, visit, visited } from './visited.js'

const NUMBER = /^#?(\d{1,18})$/

class CommandPalette extends HTMLElement {
  #commands = []

  // Lifecycle

  connectedCallback() {
    this.hidden = false
    for (const type of ['click', 'input', 'mousedown']) this.addEventListener(type, this)
    for (const type of ['keydown', 'submit']) document.addEventListener(type, this)
    const number = /^\/tickets\/(\d+)$/.exec(location.pathname)?.[1]
    if (number) visit(this.dataset.agent, number)
  }

  disconnectedCallback() {
    for (const type of ['keydown', 'submit']) document.removeEventListener(type, this)
  }

  handleEvent(event) {
    const option = event.target.closest?.('[role=option]')
    if (event.type === 'submit') event.target.matches('[action="/sign-out"]') && forget()
    else if (event.type === 'keydown') this.#take(event)
    else if (event.type === 'input') this.#show()
    else if (event.type === 'mousedown') option && event.preventDefault()
    else if (option) this.run(option, event)
    else if (event.target.closest('[data-opens]')) this.open()
    else if (event.target === this.#dialog) this.#dialog.close()
  }

  // Actions

  open() {
    this.#commands = commandsOf()
    this.#field.value = ''
    this.#dialog.showModal()
    this.#show()
  }

  run(option, event) {
    const run = this.#list.runOf(option)
    const { href } = option.dataset
    this.#dialog.close()
    if (run) run()
    else if (event.ctrlKey || event.metaKey) window.open(href)
    else location.assign(href)
  }

  // Private

  #take(event) {
    const key = event.defaultPrevented ? null : keyOf(event)
    const isHere = this.#dialog.open && event.target === this.#field
    if (key === 'Mod+k' && (this.#dialog.open || !document.querySelector(':modal'))) this.#toggle()
    else if (isHere && (key === 'ArrowDown' || key === 'ArrowUp')) this.#list.step(key === 'ArrowDown' ? 1 : -1)
    else if (isHere && (key === 'Enter' || key === 'Mod+Enter')) this.#enter(event)
    else return
    event.preventDefault()
  }

  #toggle() {
    if (this.#dialog.open) this.#dialog.close()
    else this.open()
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

  get #dialog() {
    return this.querySelector('dialog')
  }

  get #field() {
    return this.querySelector('[role=combobox]')
  }

  get #list() {
    return this.querySelector('palette-list')
  }
}

customElements.define('command-palette', CommandPalette)
