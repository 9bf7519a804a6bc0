/* <connection-state role="status">: says quietly that the connection is lost, and that it is back.
   A cut that is over at once is not worth a word. */

import { word } from './words.js'

const WORTH = 1500
const READ = 5000

class ConnectionState extends HTMLElement {
  #timer
  #isCut = false

  // Lifecycle

  connectedCallback() {
    document.addEventListener('feed', this)
  }

  disconnectedCallback() {
    document.removeEventListener('feed', this)
  }

  // Actions

  handleEvent({ detail }) {
    clearTimeout(this.#timer)
    if (detail.state === 'live') this.#back()
    else if (detail.state === 'cut') this.#timer = setTimeout(() => this.#cut(), this.#isCut ? 0 : WORTH)
    else if (detail.state === 'signed-out') this.#say('signedOut', word('signIn'), 'sign-in-needed')
    else this.#say('')
  }

  // Private

  #cut() {
    this.#isCut = true
    this.#say('cut')
  }

  #back() {
    if (!this.#isCut) return this.#say('')
    this.#isCut = false
    this.#say('back')
    this.#timer = setTimeout(() => this.#say(''), READ)
  }

  #say(name, label, event) {
    this.dataset.state = name
    this.replaceChildren()
    if (!name) return
    const line = document.createElement('p')
    line.className = 'connection__line'
    line.append(word(name), ' ')
    if (label) line.append(this.#button(label, event))
    this.append(line)
  }

  #button(label, event) {
    const button = document.createElement('button')
    button.className = 'button'
    button.type = 'button'
    button.textContent = label
    button.addEventListener('click', () => document.dispatchEvent(new CustomEvent(event)))
    return button
  }
}

customElements.define('connection-state', ConnectionState)
