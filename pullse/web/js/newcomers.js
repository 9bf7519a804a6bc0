/* What newly belongs on a list, and the quiet button that says how many. */

const MOST = 200

export class Newcomers {
  #ids = new Set()
  #areMore = false
  #button
  #text

  constructor(button, text) {
    this.#button = button
    this.#text = text
  }

  // Actions

  add(id) {
    if (this.#ids.size < MOST) this.#ids.add(id)
    else this.more()
  }

  delete(id) {
    this.#ids.delete(id)
  }

  /** There are others, which nobody has counted. */
  more() {
    this.#areMore = true
  }

  clear() {
    this.#ids.clear()
    this.#areMore = false
    this.say()
  }

  /** Only where it says something else than before. */
  say() {
    const count = this.#areMore ? `${this.#ids.size || ''}+` : `${this.#ids.size}`
    this.#button.hidden = count === '0'
    const said = this.#text.replace('{n}', count)
    const place = this.#button.querySelector('span')
    if (place.textContent !== said) place.textContent = said
  }
}
