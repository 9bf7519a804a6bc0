/* <select-rows for="bulk">: tickets are chosen by their boxes, in ranges with Shift, and from the
   keyboard: x is in the markup, Shift with j or k takes the next one too. The bar with what can be
   done to them is there as long as any is chosen. */

import { currentRow, single } from './keys.js'
import { boxOf, choose } from './rows.js'

const MOST = 200
const STEPS = { J: 1, K: -1 }
const TOLD = ['click', 'change', 'keydown', 'refreshed', 'reread']

class SelectRows extends HTMLElement {
  #last = null

  // Lifecycle

  connectedCallback() {
    this.#all?.removeAttribute('hidden')
    for (const type of TOLD) this.#list.addEventListener(type, this)
    this.#form.addEventListener('reset', () => setTimeout(() => this.#count()))
    this.#count()
  }

  handleEvent(event) {
    if (event.type === 'keydown') return this.#key(event)
    if (event.type === 'click') return this.#click(event)
    if (event.target === this.#all) this.#chooseAll()
    this.#count()
  }

  // Actions

  /** The whole cell counts as the box; with Shift, all from the one before. */
  #click({ target, shiftKey }) {
    const cell = target.closest('[data-row] > [data-column=select]')
    const row = cell?.parentElement
    if (!row) return
    const box = boxOf(row)
    if (target === cell && !box.disabled) box.checked = !box.checked
    if (shiftKey && this.#last?.isConnected) this.#range(this.#last, row, box.checked)
    this.#last = row
    this.#count()
  }

  #key(event) {
    const row = currentRow()
    const step = STEPS[event.key]
    if (!row || !step || !single.areOn || event.ctrlKey || event.metaKey || event.altKey) return
    event.preventDefault()
    const rows = this.#rows
    this.#last = rows[rows.indexOf(row) + step] ?? row
    for (const each of [row, this.#last]) choose(each, true)
    this.#last.querySelector('[data-key=o]').focus()
    this.#count()
  }

  #chooseAll() {
    this.#rows.forEach((row, index) => choose(row, this.#all.checked && index < MOST))
  }

  // Private

  #range(from, to, isChosen) {
    const rows = this.#rows
    const [first, last] = [rows.indexOf(from), rows.indexOf(to)].sort((a, b) => a - b)
    rows.slice(first, last + 1).forEach((row) => choose(row, isChosen))
  }

  #count() {
    const rows = this.#rows
    const chosen = rows.filter((row) => boxOf(row).checked)
    rows.forEach((row) => row.toggleAttribute('data-chosen', boxOf(row).checked))
    const output = this.#form.querySelector('output')
    const text = chosen.length > MOST ? output.dataset.most : output.dataset.text.replace('{n}', chosen.length)
    if (chosen.length && output.textContent !== text) output.textContent = text
    this.#form.toggleAttribute('data-count', chosen.length > 0)
    this.#form.querySelectorAll('[type=submit]').forEach((button) => (button.disabled = chosen.length > MOST))
    if (!this.#all) return
    this.#all.checked = chosen.length > 0
    this.#all.indeterminate = chosen.length > 0 && chosen.length < rows.length
  }

  get #list() {
    return this.closest('ticket-list')
  }

  get #rows() {
    return [...this.#list.querySelectorAll('[data-row]')].filter(boxOf)
  }

  get #all() {
    return this.#list.querySelector('.tickets__all')
  }

  get #form() {
    return document.getElementById(this.getAttribute('for'))
  }
}

customElements.define('select-rows', SelectRows)
