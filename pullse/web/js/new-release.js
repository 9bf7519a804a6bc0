/* <new-release role=status>: another release runs than the one this page is of. It is loaded anew
   when nobody is at work here; until then a line says so. Looked at when the feed comes back, which
   is when servers restart, and now and then. */

import { agent, here, release } from './here.js'
import { isAtWork } from './typed.js'

const EACH = 600_000
const IDLE = 60_000
const LOOK = 5000
const LOADED = 'pullse.release'
/* For which one this tab was loaded anew: of two that run side by side, not in turns for ever. */

class NewRelease extends HTMLElement {
  #usedAt = 0
  #askedAt = Date.now()
  #timer

  // Lifecycle

  connectedCallback() {
    document.addEventListener('caught-up', () => this.ask())
    document.addEventListener('visibilitychange', () => this.#look())
    for (const name of ['pointerdown', 'keydown', 'wheel']) {
      addEventListener(name, () => (this.#usedAt = Date.now()), { passive: true, capture: true })
    }
    this.#timer = setInterval(() => this.#look(), LOOK)
  }

  disconnectedCallback() {
    clearInterval(this.#timer)
  }

  // Actions

  async ask() {
    this.#askedAt = Date.now()
    const found = await here()
    if (!found) return
    if (found.agent !== agent) document.dispatchEvent(new CustomEvent('other-agent'))
    else if (found.release !== release) this.#announce(found.release)
  }

  // Private

  #look() {
    if (!this.dataset.found) return document.hidden || Date.now() - this.#askedAt < EACH || this.ask()
    const isIdle = document.hidden || Date.now() - this.#usedAt > IDLE
    if (!isIdle || isAtWork() || this.#wasLoaded) return
    sessionStorage.setItem(LOADED, this.dataset.found)
    location.reload()
  }

  #announce(found) {
    this.dataset.found = found
    this.#look()
    if (this.childElementCount > 1) return
    this.append(this.querySelector('template').content.cloneNode(true))
    this.querySelector('button').addEventListener('click', () => location.reload())
  }

  get #wasLoaded() {
    return sessionStorage.getItem(LOADED) === this.dataset.found
  }
}

customElements.define('new-release', NewRelease)
