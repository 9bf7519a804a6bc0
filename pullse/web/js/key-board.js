/* <key-board>: presses what carries the key that was pressed (`data-key`, see keys.js), and moves
   between `[data-row]` by j and k, or by the arrows in a row. It takes nothing from fields, from
   other parts of the page while a dialog is open, or from the browser: of keys with Ctrl or Command
   it knows those alone that the markup names. */

import { all, announce, currentRow, isField, keyOf, press, single, withKey } from './keys.js'
import { enterRow, lastRow, rememberRow } from './last-row.js'

const PATIENCE = 1500
const STEPS = { j: 1, ArrowDown: 1, k: -1, ArrowUp: -1 }
const LOCKS = ['Shift', 'CapsLock']

class KeyBoard extends HTMLElement {
  #before = ''
  #forgets
  #watcher = new MutationObserver(announce)

  // Lifecycle

  connectedCallback() {
    document.addEventListener('keydown', this)
    document.addEventListener('focusin', this)
    announce()
    this.#watcher.observe(document.body, { childList: true, subtree: true })
  }

  disconnectedCallback() {
    document.removeEventListener('keydown', this)
    document.removeEventListener('focusin', this)
    this.#watcher.disconnect()
  }

  handleEvent(event) {
    if (event.type === 'focusin') return rememberRow()
    const key = event.defaultPrevented ? null : keyOf(event)
    if (key && this.#take(key, event.target, event.repeat)) event.preventDefault()
  }

  // Actions

  #take(key, target, isHeld) {
    if (LOCKS.includes(key)) return false
    if (isField(target)) return key.length > 1 && this.#pressIn(target.form ?? target.closest('form'), key)
    const scope = [...document.querySelectorAll(':modal')].pop() ?? document
    const isSingle = key.length === 1
    if (isSingle && !single.areOn) return false
    if (this.#step(key, scope)) return true
    if (isHeld) return false
    const whole = this.#before ? `${this.#before} ${key}` : key
    const found = withKey(whole, scope)
    const begins = isSingle && all(`[data-key^="${CSS.escape(`${whole} `)}"]`, scope).length > 0
    this.#wait(begins ? whole : '')
    if (found && !begins) press(found)
    return Boolean(found) || begins
  }

  #step(key, scope) {
    const row = currentRow()
    if (!(key in STEPS) || this.#before || (key.length > 1 && !row)) return false
    const rows = all('[data-row]', scope)
    if (!rows.length) return false
    const at = rows.indexOf(row ?? lastRow(rows))
    const next = row || at < 0 ? Math.max(0, at + STEPS[key]) : at
    enterRow(rows[Math.min(next, rows.length - 1)])
    return true
  }

  // Private

  /** Keys that a field leaves to its form: Escape, and those with Mod. */
  #pressIn(form, key) {
    const found = form && all(`[data-key="${CSS.escape(key)}"]`).find((node) => form.contains(node) || node.form === form)
    if (found) press(found)
    return Boolean(found)
  }

  #wait(before) {
    this.#before = before
    clearTimeout(this.#forgets)
    if (before) this.#forgets = setTimeout(() => (this.#before = ''), PATIENCE)
  }
}

customElements.define('key-board', KeyBoard)
